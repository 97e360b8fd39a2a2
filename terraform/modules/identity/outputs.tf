output "pod_roles" {
  description = "The role of each service account: serve, push, drift and tracking; the chart's `identity`."
  value       = { for role, resource in aws_iam_role.pod : role => resource.arn }
}

output "github_roles" {
  description = "The role of each workflow: plan, apply, publish and train."
  value       = { for role, resource in aws_iam_role.github : role => resource.arn }
}
