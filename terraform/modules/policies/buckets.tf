# What each bucket refuses, to everyone, the account's administrators included: roles allow, buckets deny.

locals {
  closed = {
    for bucket, arn in var.bucket_arns : bucket => [
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [arn, "${arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "OnlyThisAccount"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [arn, "${arn}/*"]
        Condition = {
          StringNotEquals = { "aws:PrincipalAccount" = var.account_id }
          Bool            = { "aws:PrincipalIsAWSService" = "false" }
        }
      },
    ]
  }

  # What is written once: a release, a captured part, a chart's package. Every write must ask that the key is new, so
  # nobody points a version elsewhere or rewrites what another host saw. The second condition leaves out the parts of
  # multipart uploads, which cannot carry the header; their completion can.
  written_once = {
    releases = ["${local.releases}/*"]
    capture  = ["${local.capture}/capture/*", "${local.capture}/profiles/*"]
    charts   = ["${var.bucket_arns.charts}/*.tgz", "${var.bucket_arns.charts}/*.prov"]
  }
  only_create = {
    for bucket, keys in local.written_once : bucket => {
      Sid       = "OnlyCreate"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = keys
      Condition = {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      }
    }
  }

  # The index of charts is replaced, but only by whoever says which one he read, and begun only where none is: so no
  # writer takes another's entries out, whatever tool he uses.
  only_known_index = {
    Sid       = "OnlyReplaceTheIndexThatWasRead"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:PutObject"
    Resource  = ["${var.bucket_arns.charts}/*.yaml"]
    Condition = {
      Null = { "s3:if-match" = "true", "s3:if-none-match" = "true" }
      Bool = { "s3:ObjectCreationOperation" = "true" }
    }
  }

  # Captured rows may be deleted by a person, for instance at the wish of whoever they tell about.
  nothing_is_deleted = {
    for bucket in ["releases", "charts"] : bucket => {
      Sid       = "NothingIsDeleted"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource  = ["${var.bucket_arns[bucket]}/*"]
    }
  }

  buckets = {
    releases  = concat(local.closed.releases, [local.only_create.releases, local.nothing_is_deleted.releases])
    charts    = concat(local.closed.charts, [local.only_create.charts, local.only_known_index, local.nothing_is_deleted.charts])
    capture   = concat(local.closed.capture, [local.only_create.capture])
    artifacts = local.closed.artifacts
  }
}
