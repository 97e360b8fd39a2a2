# What the workflows may do, beside what the account's owner gives to planning and applying (modules/identity).

locals {
  # Image and chart: to ECR, and to the bucket of charts, where packages are created and only the index is replaced.
  publish = [
    # The one call of ECR that names no resource.
    { Sid = "LogIn", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
    {
      Sid    = "Push"
      Effect = "Allow"
      Action = [
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
      ]
      Resource = var.image_repository_arns
    },
    # With the right to list, a missing index is told from a forbidden one: only the first may be begun anew.
    { Sid = "ListCharts", Effect = "Allow", Action = ["s3:ListBucket"], Resource = [var.bucket_arns.charts] },
    { Sid = "WriteCharts", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject"], Resource = ["${var.bucket_arns.charts}/*"] },
    { Sid = "EncryptAndDecrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.key_arns.releases] },
  ]

  # What the drift job may do, and read the data that a person may name.
  train = concat(local.drift, length(var.training_data_arns) == 0 ? [] : [
    { Sid = "ReadTrainingData", Effect = "Allow", Action = ["s3:GetObject"], Resource = var.training_data_arns },
  ])

  # Planning reads the state and holds its lock, which is a file beside it. `init` lists workspaces, of which there are none,
  # and with the right to list, a state that is not there yet is told from a forbidden one.
  plan = concat([
    {
      Sid       = "FindState"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.state_bucket_arn]
      Condition = { StringLike = { "s3:prefix" = ["env:/", "${var.state_key}*"] } }
    },
    { Sid = "ReadState", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${var.state_bucket_arn}/${var.state_key}"] },
    {
      Sid      = "HoldLock"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
      Resource = ["${var.state_bucket_arn}/${var.state_key}.tflock"]
    },
    ], var.lock_table_arn == null ? [] : [
    { Sid = "HoldLockInTable", Effect = "Allow", Action = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"], Resource = [var.lock_table_arn] },
  ])

  # Applying does the same and writes the state; the rest is the owner's to give.
  apply = concat(local.plan, [
    { Sid = "WriteState", Effect = "Allow", Action = ["s3:PutObject"], Resource = ["${var.state_bucket_arn}/${var.state_key}"] },
  ])

  workflows = { publish = local.publish, train = local.train, plan = local.plan, apply = local.apply }
}
