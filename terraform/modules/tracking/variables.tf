variable "name" {
  description = "The start of all names."
  type        = string
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

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones at least."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "RDS needs subnets in two zones at least"
  }
}

variable "node_security_group_id" {
  description = "The security group of the cluster's nodes, which alone may connect."
  type        = string
}

variable "protected" {
  description = "Whether runs must outlive mistakes: a standby in another zone, no deletion, a last snapshot. Production's."
  type        = bool
}

variable "postgres_version" {
  description = "PostgreSQL's major version; minor ones come by themselves."
  type        = string
  default     = "17"
}

variable "instance_class" {
  description = "The instance's class."
  type        = string
  default     = "db.t4g.small"
}

variable "storage_limit_gib" {
  description = "How far storage may grow by itself."
  type        = number
  default     = 200
}

variable "backup_days" {
  description = "How many days back the database can be restored."
  type        = number
  default     = 14
  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days is 7 to 35; RDS keeps no more, and less is no backup"
  }
}
