# Every policy document, as a pure function of names: no provider, so `terraform test` runs anywhere, and what a role may
# do is read on one page. The keys are the store's (registry/src/key.rs).

locals {
  releases = var.releases_bucket_arn
  version  = "2012-10-17"

  # What a host asks for. Never s3:ListBucket: hosts do not list. `yanked/` goes with `index/`: without the right to list,
  # a role that may not read the marker could not tell "not yanked" from "forbidden".
  readable = [for family in ["blobs", "index", "yanked"] : "${local.releases}/${family}/*"]
  # What a push creates. Not `yanked/`: taking a release out of use is a person's act.
  creatable = [for family in ["blobs", "docs", "index"] : "${local.releases}/${family}/*"]

  serve = {
    Version = local.version
    Statement = [
      { Sid = "ReadReleases", Effect = "Allow", Action = ["s3:GetObject"], Resource = local.readable },
      { Sid = "Decrypt", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.key_arn] },
    ]
  }

  push = {
    Version = local.version
    Statement = [
      { Sid = "CreateReleases", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.creatable },
      { Sid = "ReadReleases", Effect = "Allow", Action = ["s3:GetObject"], Resource = concat(local.creatable, ["${local.releases}/yanked/*"]) },
      { Sid = "EncryptAndDecrypt", Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.key_arn] },
    ]
  }

  # Denials hold for everyone, the account's administrators included.
  releases_bucket = {
    Version = local.version
    Statement = [
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.releases, "${local.releases}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        # A version can never be pointed elsewhere: every write must ask that the key is new. The second condition leaves
        # out the parts of multipart uploads, which cannot carry the header; their completion can.
        Sid       = "OnlyCreate"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = "${local.releases}/*"
        Condition = {
          Null = { "s3:if-none-match" = "true" }
          Bool = { "s3:ObjectCreationOperation" = "true" }
        }
      },
      {
        Sid       = "NothingIsDeleted"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource  = "${local.releases}/*"
      },
      {
        Sid       = "OnlyThisAccount"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.releases, "${local.releases}/*"]
        Condition = {
          StringNotEquals = { "aws:PrincipalAccount" = var.account_id }
          Bool            = { "aws:PrincipalIsAWSService" = "false" }
        }
      },
    ]
  }

  issuer = try(split("oidc-provider/", var.oidc_provider_arn)[1], "")
  irsa = {
    for role, account in var.service_accounts : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Federated = var.oidc_provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = { StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${account}"
        } }
      }]
    }
  }

  pod_identity = {
    for role, account in var.service_accounts : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        # The tags that the agent sets on each session.
        Condition = { StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = var.cluster_arn
          "aws:RequestTag/kubernetes-namespace"       = split(":", account)[0]
          "aws:RequestTag/kubernetes-service-account" = split(":", account)[1]
        } }
      }]
    }
  }

  github = {
    for role, subjects in var.github_subjects : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Federated = var.github_provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = { StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = subjects
        } }
      }]
    }
  }

  publish = {
    Version = local.version
    Statement = [
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
    ]
  }

  # Planning reads the state and holds its lock, which is a file beside it.
  plan = {
    Version = local.version
    Statement = [
      { Sid = "ReadState", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${var.state_bucket_arn}/${var.state_key}"] },
      {
        Sid      = "HoldLock"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = ["${var.state_bucket_arn}/${var.state_key}.tflock"]
      },
    ]
  }
}
