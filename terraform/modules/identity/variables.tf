variable "name" {
  description = "The start of every role's name."
  type        = string
}

variable "mode" {
  description = "How pods take their roles: irsa or pod-identity; the chart's `identity.mode`."
  type        = string
  default     = "irsa"
  validation {
    condition     = contains(["irsa", "pod-identity"], var.mode)
    error_message = "mode is irsa or pod-identity"
  }
}

variable "cluster_name" {
  description = "The EKS cluster, for Pod Identity's associations."
  type        = string
}

variable "service_accounts" {
  description = "The service account of each role, as namespace:name."
  type        = object({ serve = string, push = string, drift = string, tracking = string })
}

variable "policies" {
  description = "The outputs of modules/policies."
  type = object({
    pods               = map(string)
    workflows          = map(string)
    irsa_trust         = map(string)
    pod_identity_trust = map(string)
    github_trust       = map(string)
  })
}

variable "plan_policy_arns" {
  description = "What planning may read, as managed policies: the account owner's decision."
  type        = set(string)
}

variable "apply_policy_arns" {
  description = "What applying may do, as managed policies: the account owner's decision."
  type        = set(string)
}
