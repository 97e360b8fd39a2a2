variable "state_bucket" {
  description = "The bucket to make for Terraform's state: unique in the world."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}
