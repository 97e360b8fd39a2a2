variable "name" {
  description = "The start of all names: unique in the world, since buckets bear it."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "zones" {
  description = "Availability zones."
  type        = list(string)
}

variable "admin_role_arns" {
  description = "Who administers the cluster."
  type        = set(string)
}

variable "public_access_cidrs" {
  description = "Who may reach the API server from outside; empty: only from the VPC."
  type        = list(string)
  default     = []
}

variable "github_provider_arn" {
  description = "The account's OIDC provider for GitHub Actions, from terraform/bootstrap."
  type        = string
}

variable "github_subjects" {
  description = "Who may plan, apply, publish and train: whole `sub` claims."
  type        = object({ plan = list(string), apply = list(string), publish = list(string), train = list(string) })
}

variable "plan_policy_arns" {
  description = "What planning may read, as managed policies."
  type        = set(string)
}

variable "apply_policy_arns" {
  description = "What applying may do, as managed policies."
  type        = set(string)
}

variable "state_bucket" {
  description = "The state's bucket, as given to -backend-config."
  type        = string
}

variable "training_data_arns" {
  description = "Objects that the training workflow may read beside captured rows: arn:aws:s3:::bucket/prefix/*."
  type        = list(string)
  default     = []
}

variable "lock_table_arn" {
  description = "The DynamoDB table that locks the state, for those who migrate from one (terraform/bootstrap's output); null: the lock is a file."
  type        = string
  default     = null
}

variable "replica" {
  description = "A versioned bucket in another region that releases are copied to, and its KMS key; null: there is no copy."
  type        = object({ bucket_arn = string, key_arn = string })
  default     = null
}
