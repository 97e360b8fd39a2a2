variable "state_bucket" {
  description = "The bucket to make for Terraform's state: unique in the world."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "lock_table" {
  description = "A DynamoDB table to make for the state's lock, for those who migrate from one; empty: none, the lock is a file. Terraform calls the table deprecated."
  type        = string
  default     = ""
}
