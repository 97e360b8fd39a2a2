output "chart_values" {
  description = "What argocd/environments/<env>.yaml needs beside the image."
  value       = module.platform.chart_values
}

output "tracking_values" {
  description = "What MLflow needs: its database, where the password lies, its artifacts, its role."
  value       = module.platform.tracking_values
}

output "charts" {
  description = "The S3 chart repository."
  value       = module.platform.charts
}

output "image_repositories" {
  description = "Where the publishing workflow pushes."
  value       = module.platform.image_repositories
}

output "github_roles" {
  description = "The repository's variables for the workflows."
  value       = module.platform.github_roles
}
