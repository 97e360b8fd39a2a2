output "serve" {
  description = "What the serving pods may do."
  value       = jsonencode(local.serve)
}

output "push" {
  description = "What the upload endpoint may do."
  value       = jsonencode(local.push)
}

output "releases_bucket" {
  description = "The releases bucket's own policy."
  value       = jsonencode(local.releases_bucket)
}

output "irsa_trust" {
  description = "Who may take the role of each service account, by IRSA."
  value       = { for role, document in local.irsa : role => jsonencode(document) }
}

output "pod_identity_trust" {
  description = "The same, by Pod Identity."
  value       = { for role, document in local.pod_identity : role => jsonencode(document) }
}

output "github_trust" {
  description = "Which workflows may take each GitHub role."
  value       = { for role, document in local.github : role => jsonencode(document) }
}

output "publish" {
  description = "What the publishing workflow may do."
  value       = jsonencode(local.publish)
}

output "plan" {
  description = "What planning may do beside reading the account."
  value       = jsonencode(local.plan)
}
