variable "name" {
  description = "The start of all names: unique in the world, since buckets bear it."
  type        = string
}

variable "environment" {
  description = "The channel that this cluster serves."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.environment))
    error_message = "environment is a channel's name"
  }
}

variable "region" {
  description = "The region."
  type        = string
}

variable "zones" {
  description = "Availability zones."
  type        = list(string)
}

variable "nat_per_zone" {
  description = "As in modules/network."
  type        = bool
  default     = true
}

variable "nodes" {
  description = "As in modules/cluster."
  type        = object({ type = string, min = number, max = number })
}

variable "admin_role_arns" {
  description = "Who administers the cluster."
  type        = set(string)
}

variable "public_access_cidrs" {
  description = "As in modules/cluster."
  type        = list(string)
  default     = []
}

variable "protected" {
  description = "Whether what is stored must outlive mistakes: MLflow's database, as in modules/tracking, and releases, by a `replica`."
  type        = bool
  default     = true
}

variable "capture_days" {
  description = "How long captured rows are kept."
  type        = number
  default     = 30
}

variable "training_data_arns" {
  description = "As in modules/policies."
  type        = list(string)
  default     = []
}

variable "lock_table_arn" {
  description = "As in modules/policies."
  type        = string
  default     = null
}

variable "identity_mode" {
  description = "irsa or pod-identity."
  type        = string
  default     = "irsa"
}

variable "github_provider_arn" {
  description = "The account's OIDC provider for GitHub Actions, from terraform/bootstrap."
  type        = string
}

variable "github_subjects" {
  description = "As in modules/policies."
  type        = object({ plan = list(string), apply = list(string), publish = list(string), train = list(string) })
}

variable "plan_policy_arns" {
  description = "As in modules/identity."
  type        = set(string)
}

variable "apply_policy_arns" {
  description = "As in modules/identity."
  type        = set(string)
}

variable "state_bucket" {
  description = "The state's bucket, from terraform/bootstrap."
  type        = string
}

variable "state_key" {
  description = "The state's key."
  type        = string
}

variable "replica" {
  description = "As in modules/storage."
  type        = object({ bucket_arn = string, key_arn = string })
  default     = null
  validation {
    condition     = var.replica != null || !var.protected
    error_message = "a protected environment has a second copy of its releases: set replica, terraform/README.md says how"
  }
}
