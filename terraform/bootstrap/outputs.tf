output "state_bucket" {
  description = "For -backend-config and the environments' `state_bucket`."
  value       = aws_s3_bucket.state.id
}

output "github_provider_arn" {
  description = "For the environments' `github_provider_arn`."
  value       = aws_iam_openid_connect_provider.github.arn
}

output "lock_table_arn" {
  description = "For the environments' `lock_table_arn`; null without a table."
  value       = one(aws_dynamodb_table.lock[*].arn)
}
