variable "bucket_arns" {
  description = "The buckets of modules/storage."
  type        = object({ releases = string, charts = string, capture = string, artifacts = string })
}

variable "key_arns" {
  description = "The KMS keys of modules/storage."
  type        = object({ releases = string, data = string })
}

variable "account_id" {
  description = "The account of bucket, key and roles."
  type        = string
  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must have 12 digits"
  }
}

variable "service_accounts" {
  description = "The Kubernetes service account of each role, as namespace:name."
  type        = object({ serve = string, push = string, drift = string, tracking = string })
  validation {
    condition     = alltrue([for name in values(var.service_accounts) : can(regex("^[a-z0-9-]+:[a-z0-9-]+$", name))])
    error_message = "a service account is written namespace:name, without wildcards"
  }
  validation {
    condition     = length(distinct(values(var.service_accounts))) == length(values(var.service_accounts))
    error_message = "each role must have a service account of its own"
  }
}

variable "cluster_arn" {
  description = "The EKS cluster whose pods may take the roles by Pod Identity."
  type        = string
}

variable "oidc_provider_arn" {
  description = "The cluster's OIDC provider, for IRSA; empty under Pod Identity."
  type        = string
  default     = ""
}

variable "github_provider_arn" {
  description = "The account's OIDC provider for GitHub Actions."
  type        = string
}

variable "github_subjects" {
  description = "Who may take each GitHub role: whole `sub` claims, each with an environment; no wildcards."
  type        = object({ plan = list(string), apply = list(string), publish = list(string), train = list(string) })
  validation {
    condition = alltrue([
      for subject in flatten(values(var.github_subjects)) : can(regex("^repo:[^*?]+:environment:[^*?:]+$", subject))
    ])
    error_message = "a subject is repo:<owner>/<repository>:environment:<name> (or with the immutable ids), without wildcards"
  }
  validation {
    condition     = length(distinct(flatten(values(var.github_subjects)))) == length(flatten(values(var.github_subjects)))
    error_message = "roles must not share a subject: each has an environment of its own, and apply's is protected"
  }
}

variable "image_repository_arns" {
  description = "The ECR repositories that the publishing workflow pushes to."
  type        = list(string)
  validation {
    condition     = length(var.image_repository_arns) > 0 && alltrue([for arn in var.image_repository_arns : !strcontains(arn, "*")])
    error_message = "name each repository; no wildcards"
  }
}

variable "state_bucket_arn" {
  description = "The bucket with Terraform's state, for the plan role's lock."
  type        = string
}

variable "state_key" {
  description = "The state's key in its bucket."
  type        = string
}

variable "lock_table_arn" {
  description = "The DynamoDB table that locks the state, for those who still migrate from one; null: the lock is a file."
  type        = string
  default     = null
}

variable "database" {
  description = "The tracking database's password: its secret and the key that encrypts it; null: there is no database."
  type        = object({ secret_arn = string, key_arn = string })
  default     = null
}

variable "training_data_arns" {
  description = "Objects that the training workflow may read beside captured rows, for instance arn:aws:s3:::plant/exports/*."
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for arn in var.training_data_arns : can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+/.+$", arn))])
    error_message = "name a bucket without wildcards, and a key or prefix in it: arn:aws:s3:::bucket/prefix/*"
  }
}
