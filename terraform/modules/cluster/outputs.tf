output "name" {
  description = "The cluster's name."
  value       = module.eks.cluster_name
}

output "arn" {
  description = "The cluster, as Pod Identity's session tags name it."
  value       = module.eks.cluster_arn
}

output "oidc_provider_arn" {
  description = "The cluster's issuer, for IRSA."
  value       = module.eks.oidc_provider_arn
}

output "node_security_group_id" {
  description = "The nodes' security group, for what pods reach inside the VPC."
  value       = module.eks.node_security_group_id
}
