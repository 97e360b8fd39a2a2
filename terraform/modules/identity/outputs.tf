output "pod_roles" {
  description = "The role of each service account: serve and push; the chart's `identity`."
  value       = { for role, resource in aws_iam_role.pod : role => resource.arn }
}

output "github_roles" {
  description = "The role of each workflow: plan, apply and publish."
  value       = { for role, resource in aws_iam_role.github : role => resource.arn }
}
