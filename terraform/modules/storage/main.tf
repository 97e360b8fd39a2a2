# The buckets and their keys: releases (create-only, nothing deleted), charts, capture (expires), MLflow's artifacts; and
# the bucket of their access logs. Releases and charts are code and share a key; captured rows and artifacts hold what
# customers sent, so they have one of their own, which a host may only encrypt with.

locals {
  buckets = {
    releases  = { key = "releases", expire_days = {}, replaced_days = null }
    charts    = { key = "releases", expire_days = {}, replaced_days = 90 }
    capture   = { key = "data", expire_days = { "capture/" = var.capture_days, "profiles/" = var.profile_days }, replaced_days = 7 }
    artifacts = { key = "data", expire_days = {}, replaced_days = 90 }
  }
}

resource "aws_kms_key" "key" {
  for_each                = { releases = "releases and charts", data = "captured rows and artifacts" }
  description             = "Encrypts the ${each.value} of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  # The account decides by IAM; modules/policies says which roles it lets in.
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

  lifecycle {
    # Without the key everything is lost.
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "key" {
  for_each      = aws_kms_key.key
  name          = "alias/${var.name}-${each.key}"
  target_key_id = each.value.key_id
}

module "bucket" {
  source        = "../bucket"
  for_each      = local.buckets
  name          = "${var.name}-${each.key}"
  key_arn       = aws_kms_key.key[each.value.key].arn
  policy        = var.bucket_policies[each.key]
  log_bucket    = aws_s3_bucket.logs.id
  log_prefix    = each.key
  expire_days   = each.value.expire_days
  replaced_days = each.value.replaced_days
}
