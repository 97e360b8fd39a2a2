# MLflow's database: PostgreSQL in the private subnets, reached by the nodes alone and over TLS alone, encrypted by a key of
# its own. Its password is made, kept and rotated by RDS in Secrets Manager: no plan, no state and no file ever holds it.

locals {
  name = "${var.name}-tracking"
  port = 5432
}

resource "aws_kms_key" "database" {
  description             = "Encrypts the tracking database of ${var.name} and its password"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AccountDecides"
      Effect    = "Allow"
      Principal = { AWS = "arn:${var.partition}:iam::${var.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_db_subnet_group" "database" {
  name       = local.name
  subnet_ids = var.subnet_ids
}

# It answers and never calls: no egress rule.
resource "aws_security_group" "database" {
  name_prefix = "${local.name}-"
  description = "PostgreSQL from the cluster's nodes"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.database.id
  referenced_security_group_id = var.node_security_group_id
  description                  = "MLflow's pods"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_db_parameter_group" "database" {
  name_prefix = "${local.name}-"
  family      = "postgres${var.postgres_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # Statements of change, and slow ones; never every statement, whose values would lie in the log.
  parameter {
    name  = "log_statement"
    value = "ddl"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "monitoring" {
  name = "${local.name}-monitoring"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${var.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "database" {
  #checkov:skip=CKV_AWS_293:prod sets it, tests/tracking.tftest.hcl says so; a database for trials may be taken down
  #checkov:skip=CKV_AWS_157:prod sets it likewise
  identifier     = local.name
  db_name        = "mlflow"
  engine         = "postgres"
  engine_version = var.postgres_version
  port           = local.port

  username                      = "mlflow"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = aws_kms_key.database.arn

  instance_class        = var.instance_class
  allocated_storage     = 20
  max_allocated_storage = var.storage_limit_gib
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = aws_kms_key.database.arn

  db_subnet_group_name   = aws_db_subnet_group.database.name
  vpc_security_group_ids = [aws_security_group.database.id]
  parameter_group_name   = aws_db_parameter_group.database.name
  publicly_accessible    = false
  multi_az               = var.protected

  auto_minor_version_upgrade = true
  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  delete_automated_backups   = false
  deletion_protection        = var.protected
  skip_final_snapshot        = !var.protected
  final_snapshot_identifier  = var.protected ? "${local.name}-last" : null

  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = aws_kms_key.database.arn
  performance_insights_retention_period = 7
  iam_database_authentication_enabled   = true
}
