output "id" {
  description = "The bucket's name."
  value       = aws_s3_bucket.bucket.id
}

output "arn" {
  description = "The bucket."
  value       = aws_s3_bucket.bucket.arn
}
