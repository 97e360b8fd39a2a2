variable "name" {
  description = "The bucket's name: unique in the world."
  type        = string
}

variable "key_arn" {
  description = "The KMS key that encrypts its objects."
  type        = string
}

variable "policy" {
  description = "Its own policy, from modules/policies."
  type        = string
}

variable "log_bucket" {
  description = "The bucket that its access logs go to."
  type        = string
}

variable "log_prefix" {
  description = "Where they lie there, without the slash."
  type        = string
}

variable "expire_days" {
  description = "After how many days objects are removed, by prefix; empty: nothing ever is."
  type        = map(number)
  default     = {}
  validation {
    condition     = alltrue([for prefix, days in var.expire_days : endswith(prefix, "/") && days >= 1])
    error_message = "a prefix ends with a slash (an empty one would expire the whole bucket), and days are at least 1"
  }
}

variable "replaced_days" {
  description = "After how many days an object's earlier versions are removed; null: never."
  type        = number
  default     = null
}
