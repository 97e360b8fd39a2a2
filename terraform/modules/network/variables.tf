variable "name" {
  description = "The network's name."
  type        = string
}

variable "cidr" {
  description = "The VPC's addresses; a /16 leaves room for pods, which have addresses of their own."
  type        = string
  default     = "10.0.0.0/16"
}

variable "zones" {
  description = "The availability zones: two at least, three in production."
  type        = list(string)
  validation {
    condition     = length(var.zones) >= 2
    error_message = "EKS needs two zones at least"
  }
}

variable "nat_per_zone" {
  description = "One NAT gateway in each zone, so that a zone's loss takes no other with it; else one in all."
  type        = bool
  default     = true
}

variable "region" {
  description = "The region, for the S3 endpoint."
  type        = string
}
