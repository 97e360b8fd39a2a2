output "store" {
  description = "The chart's `store`."
  value       = "s3://${aws_s3_bucket.releases.id}"
}

output "releases_bucket" {
  description = "The releases bucket's name."
  value       = aws_s3_bucket.releases.id
}

output "key_arn" {
  description = "The key that encrypts the releases."
  value       = aws_kms_key.releases.arn
}
