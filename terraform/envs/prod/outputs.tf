output "chart_values" {
  description = "What argocd/environments/<env>.yaml needs beside the image."
  value       = module.platform.chart_values
}

output "image_repositories" {
  description = "Where the publishing workflow pushes."
  value       = module.platform.image_repositories
}

output "github_roles" {
  description = "The repository's variables for the workflows."
  value       = module.platform.github_roles
}
