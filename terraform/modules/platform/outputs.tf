output "chart_values" {
  description = "What argocd/environments/<env>.yaml needs beside the image."
  value = {
    store   = "s3://${module.storage.buckets["releases"]}"
    region  = var.region
    capture = { location = "s3://${module.storage.buckets["capture"]}" }
    identity = {
      mode      = var.identity_mode
      serveRole = module.identity.pod_roles["serve"]
      pushRole  = module.identity.pod_roles["push"]
      driftRole = module.identity.pod_roles["drift"]
    }
  }
}

output "tracking_values" {
  description = "What MLflow needs: its database, where the password lies, its artifacts, its role."
  value = {
    database  = { host = module.tracking.host, port = module.tracking.port, name = module.tracking.name, secret = module.tracking.secret_arn }
    artifacts = "s3://${module.storage.buckets["artifacts"]}"
    role      = module.identity.pod_roles["tracking"]
  }
}

output "charts" {
  description = "The S3 chart repository; charts also go to ECR."
  value       = "s3://${module.storage.buckets["charts"]}"
}

output "image_repositories" {
  description = "Where the publishing workflow pushes."
  value       = module.images.repository_urls
}

output "github_roles" {
  description = "The repository's variables for the workflows."
  value       = module.identity.github_roles
}
