output "host" {
  description = "Where MLflow connects to."
  value       = aws_db_instance.database.address
}

output "port" {
  description = "On which port."
  value       = aws_db_instance.database.port
}

output "name" {
  description = "The database's name."
  value       = aws_db_instance.database.db_name
}

output "secret_arn" {
  description = "The secret of user and password: JSON with `username` and `password`, rotated by RDS every seven days."
  value       = one(aws_db_instance.database.master_user_secret).secret_arn
}

output "key_arn" {
  description = "The key that encrypts the secret."
  value       = aws_kms_key.database.arn
}
