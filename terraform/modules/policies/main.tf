# Every policy document, as a pure function of names: no provider, so `terraform test` runs anywhere, and what a role may
# do is read on a few pages: buckets.tf (what the buckets refuse to everyone), pods.tf and workflows.tf (what roles may do),
# trust.tf (who may take them). The keys are the store's (registry/src/key.rs) and the capture's.

locals {
  version  = "2012-10-17"
  releases = var.bucket_arns.releases
  capture  = var.bucket_arns.capture

  # What a host asks for. Never s3:ListBucket: hosts do not list. `yanked/` goes with `index/`: without the right to list,
  # a role that may not read the marker could not tell "not yanked" from "forbidden".
  readable = [for family in ["blobs", "index", "yanked"] : "${local.releases}/${family}/*"]
  # What a push creates. Not `yanked/`: taking a release out of use is a person's act.
  creatable = [for family in ["blobs", "docs", "index"] : "${local.releases}/${family}/*"]
  # What hosts write of their traffic, and what the drift job answers. A new layout is a new `v2/`, and a new line here.
  captured = [for family in ["capture", "profiles"] : "${local.capture}/${family}/v1/*"]
  verdicts = ["${local.capture}/verdicts/v1/*"]

  create_releases = [
    { Sid = "CreateReleases", Effect = "Allow", Action = ["s3:PutObject"], Resource = local.creatable },
    { Sid = "ReadReleases", Effect = "Allow", Action = ["s3:GetObject"], Resource = concat(local.creatable, ["${local.releases}/yanked/*"]) },
  ]
  # The drift job looks for the candidate that it, or another run, made before, and for the next free version.
  list_releases = [
    {
      Sid       = "ListReleases"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [local.releases]
      Condition = { StringLike = { "s3:prefix" = ["index/*", "yanked/*"] } }
    },
  ]
  read_captured = [
    {
      Sid       = "ListCaptured"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [local.capture]
      Condition = { StringLike = { "s3:prefix" = ["capture/v1/*", "profiles/v1/*"] } }
    },
    { Sid = "ReadCaptured", Effect = "Allow", Action = ["s3:GetObject"], Resource = concat(local.captured, local.verdicts) },
  ]
}
