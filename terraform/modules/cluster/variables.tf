variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "kubernetes_version" {
  description = "The minor version; the chart needs 1.30."
  type        = string
  default     = "1.34"
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, for nodes and the control plane's interfaces."
  type        = list(string)
}

variable "admin_role_arns" {
  description = "IAM roles of the people who administer the cluster."
  type        = set(string)
}

variable "public_access_cidrs" {
  description = "Who may reach the API server from outside; empty: only from the VPC."
  type        = list(string)
  default     = []
  validation {
    condition     = !contains(var.public_access_cidrs, "0.0.0.0/0")
    error_message = "name the networks; the whole internet is refused"
  }
}

variable "nodes" {
  description = "The nodes: their type, and how many at least and at most."
  type        = object({ type = string, min = number, max = number })
}

variable "partition" {
  description = "The AWS partition."
  type        = string
  default     = "aws"
}
