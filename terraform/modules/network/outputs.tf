output "vpc_id" {
  description = "The VPC."
  value       = module.vpc.vpc_id
}

output "private_subnets" {
  description = "Where nodes run."
  value       = module.vpc.private_subnets
}
