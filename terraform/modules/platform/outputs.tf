output "chart_values" {
  description = "What argocd/environments/<env>.yaml needs beside the image."
  value = {
    store  = module.storage.store
    region = var.region
    identity = {
      mode      = var.identity_mode
      serveRole = module.identity.pod_roles["serve"]
      pushRole  = module.identity.pod_roles["push"]
    }
  }
}

output "image_repositories" {
  description = "Where the publishing workflow pushes."
  value       = module.images.repository_urls
}

output "github_roles" {
  description = "The repository's variables for the workflows."
  value       = module.identity.github_roles
}
