output "pods" {
  description = "What each pod's role may do: serve, push, drift, tracking."
  value       = { for role, statements in local.pods : role => jsonencode({ Version = local.version, Statement = statements }) }
}

output "workflows" {
  description = "What each workflow's role may do: publish, train, plan, apply."
  value       = { for role, statements in local.workflows : role => jsonencode({ Version = local.version, Statement = statements }) }
}

output "buckets" {
  description = "Each bucket's own policy."
  value       = { for bucket, statements in local.buckets : bucket => jsonencode({ Version = local.version, Statement = statements }) }
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
