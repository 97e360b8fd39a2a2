# What pods may do. None of them deletes anything, and none but MLflow lists without a prefix.

locals {
  serve = [
    { Sid = "ReadReleases", Effect = "Allow", Action = ["s3:GetObject"], Resource = local.readable },
    { Sid = "ReadVerdicts", Effect = "Allow", Action = ["s3:GetObject"], Resource = local.verdicts },
    # It writes what it saw and cannot read it back: a host that is taken over learns nothing of yesterday's traffic.
    { Sid = "WriteCaptured", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.captured },
    { Sid = "Decrypt", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.key_arns.releases] },
    { Sid = "EncryptCaptured", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.key_arns.data] },
  ]

  push = concat(local.create_releases, [
    { Sid = "EncryptAndDecrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.key_arns.releases] },
  ])

  drift = concat(local.create_releases, local.list_releases, local.read_captured, [
    { Sid = "WriteVerdicts", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.verdicts },
    { Sid = "EncryptAndDecrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = values(var.key_arns) },
  ])

  # MLflow: its artifacts, and the password of its database.
  tracking = concat([
    { Sid = "ListArtifacts", Effect = "Allow", Action = ["s3:ListBucket"], Resource = [var.bucket_arns.artifacts] },
    { Sid = "Artifacts", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"], Resource = ["${var.bucket_arns.artifacts}/*"] },
    { Sid = "EncryptAndDecrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.key_arns.data] },
    ], var.database == null ? [] : [
    { Sid = "ReadPassword", Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = [var.database.secret_arn] },
    { Sid = "DecryptPassword", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.database.key_arn] },
  ])

  pods = { serve = local.serve, push = local.push, drift = local.drift, tracking = local.tracking }
}
