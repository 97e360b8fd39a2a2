output "buckets" {
  description = "The names of the buckets: releases, charts, capture, artifacts."
  value       = { for name, bucket in module.bucket : name => bucket.name }
}

output "keys" {
  description = "The keys: releases for releases and charts, data for captured rows and artifacts."
  value       = { for name, key in aws_kms_key.key : name => key.arn }
}
