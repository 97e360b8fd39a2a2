variable "releases_bucket_arn" {
  description = "The bucket with the releases."
  type        = string
}

variable "key_arn" {
  description = "The KMS key that encrypts the releases."
  type        = string
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
  type        = object({ serve = string, push = string })
  validation {
    condition     = alltrue([for name in values(var.service_accounts) : can(regex("^[a-z0-9-]+:[a-z0-9-]+$", name))])
    error_message = "a service account is written namespace:name, without wildcards"
  }
  validation {
    condition     = var.service_accounts.serve != var.service_accounts.push
    error_message = "serve and push must have service accounts of their own"
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
  type        = object({ plan = list(string), apply = list(string), publish = list(string) })
  validation {
    condition = alltrue([
      for subject in flatten(values(var.github_subjects)) : can(regex("^repo:[^*?]+:environment:[^*?:]+$", subject))
    ])
    error_message = "a subject is repo:<owner>/<repository>:environment:<name> (or with the immutable ids), without wildcards"
  }
  validation {
    condition     = length(setintersection(var.github_subjects.plan, var.github_subjects.apply)) == 0
    error_message = "plan and apply must not share a subject: apply belongs to a protected environment"
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
