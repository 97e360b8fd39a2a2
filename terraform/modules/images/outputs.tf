output "repository_arns" {
  description = "For the publishing role."
  value       = [for repository in aws_ecr_repository.image : repository.arn]
}

output "repository_urls" {
  description = "Where to push and pull, by name."
  value       = { for name, repository in aws_ecr_repository.image : name => repository.repository_url }
}
