# A copy of releases in another region, for the day on which their bucket is gone: they are all that cannot be made anew. S3
# copies what is written, never what is deleted. The other bucket is the owner's own (terraform/README.md says how): what
# destroys this environment does not reach it.

locals {
  replica  = var.replica == null ? {} : { releases = var.replica }
  releases = "arn:${var.partition}:s3:::${var.name}-releases"
}

resource "aws_iam_role" "replica" {
  for_each = local.replica
  name     = "${var.name}-replica"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "replica" {
  for_each = local.replica
  name     = "replica"
  role     = aws_iam_role.replica[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "See", Effect = "Allow", Action = ["s3:GetReplicationConfiguration", "s3:ListBucket"], Resource = [local.releases] },
      { Sid = "Read", Effect = "Allow", Action = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"], Resource = ["${local.releases}/*"] },
      { Sid = "Copy", Effect = "Allow", Action = ["s3:ReplicateObject", "s3:ReplicateTags"], Resource = ["${each.value.bucket_arn}/*"] },
      { Sid = "Decrypt", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [aws_kms_key.key["releases"].arn] },
      { Sid = "Encrypt", Effect = "Allow", Action = ["kms:Encrypt", "kms:GenerateDataKey"], Resource = [each.value.key_arn] },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "replica" {
  for_each = local.replica
  bucket   = module.bucket[each.key].name
  role     = aws_iam_role.replica[each.key].arn

  rule {
    id     = each.key
    status = "Enabled"
    filter {}
    delete_marker_replication {
      status = "Disabled"
    }
    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }
    destination {
      bucket = each.value.bucket_arn
      encryption_configuration {
        replica_kms_key_id = each.value.key_arn
      }
    }
  }

  # The bucket must have its versions first.
  depends_on = [module.bucket]
}
