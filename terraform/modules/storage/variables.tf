variable "name" {
  description = "The start of every bucket's name: unique in the world, for instance acme-hodoscope-prod."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{2,40}$", var.name))
    error_message = "name must be 3 to 41 lower-case letters, digits and hyphens"
  }
}

variable "bucket_policies" {
  description = "Each bucket's own policy, from modules/policies."
  type        = object({ releases = string, charts = string, capture = string, artifacts = string })
}

variable "capture_days" {
  description = "How long captured rows are kept."
  type        = number
  default     = 30
}

variable "profile_days" {
  description = "How long a window's counts are kept; more than a year, so that a season can be compared with the last."
  type        = number
  default     = 400
}

variable "account_id" {
  description = "The account, which owns the key."
  type        = string
}

variable "partition" {
  description = "The AWS partition."
  type        = string
  default     = "aws"
}

variable "log_days" {
  description = "How long access logs are kept."
  type        = number
  default     = 365
}

variable "replica" {
  description = "A versioned bucket in another region that releases are copied to, and its KMS key; null: there is no copy."
  type        = object({ bucket_arn = string, key_arn = string })
  default     = null
}
