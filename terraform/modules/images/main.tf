# Where image and chart are published: tags that never move, scanned at each push, encrypted by a key.

resource "aws_kms_key" "images" {
  description             = "Encrypts the images of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AccountDecides"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.here.partition}:iam::${data.aws_caller_identity.here.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

data "aws_partition" "here" {}
data "aws_caller_identity" "here" {}

resource "aws_ecr_repository" "image" {
  for_each             = toset([var.name, "${var.name}-charts/hodoscope"])
  name                 = each.value
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.images.arn
  }
}
