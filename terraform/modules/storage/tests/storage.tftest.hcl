# What differs between the buckets. The provider is mocked: `make infra` runs this against its schema,
# .github/workflows/ci.yml against the provider itself.

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mocked" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/mocked" }
  }
}

override_resource {
  target          = aws_iam_role.replica
  override_during = plan
  values          = { arn = "arn:aws:iam::111122223333:role/mocked" }
}

override_resource {
  target          = aws_kms_key.key
  override_during = plan
  values          = { arn = "arn:aws:kms:eu-central-1:111122223333:key/mocked" }
}

variables {
  name       = "example-dev"
  account_id = "111122223333"
  bucket_policies = {
    for bucket in ["releases", "charts", "capture", "artifacts"] :
    bucket => jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Deny", Principal = "*", Action = "s3:*", Resource = "arn:aws:s3:::${bucket}/*" }] })
  }
}

# Never applied: what must not be destroyed cannot be torn down.
run "each_bucket_has_its_own_name" {
  command = plan
  assert {
    condition     = output.buckets == { for bucket in ["artifacts", "capture", "charts", "releases"] : bucket => "example-dev-${bucket}" }
    error_message = "a bucket is missing, or bears another's name"
  }
}

run "keys_rotate_and_data_has_one_of_its_own" {
  command = plan
  assert {
    condition     = alltrue([for key in aws_kms_key.key : key.enable_key_rotation]) && keys(aws_kms_key.key) == ["data", "releases"]
    error_message = "a key does not rotate, or captured rows share one with releases"
  }
}

run "captured_rows_and_profiles_expire_and_releases_never" {
  command = plan
  variables {
    capture_days = 14
  }
  assert {
    condition     = tomap(local.buckets.capture.expire_days) == tomap({ "capture/" = 14, "profiles/" = 400 })
    error_message = "captured rows must expire after the given days"
  }
  assert {
    condition     = length(local.buckets.releases.expire_days) == 0 && local.buckets.releases.replaced_days == null
    error_message = "releases must never expire"
  }
}

run "logs_are_closed_and_delivered_by_s3_alone" {
  command = plan
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.logs.block_public_acls, aws_s3_bucket_public_access_block.logs.block_public_policy,
      aws_s3_bucket_public_access_block.logs.ignore_public_acls, aws_s3_bucket_public_access_block.logs.restrict_public_buckets,
    ])
    error_message = "the logs are open to the public"
  }
}

run "releases_are_copied_and_deletions_are_not" {
  command = plan
  variables {
    replica = { bucket_arn = "arn:aws:s3:::elsewhere", key_arn = "arn:aws:kms:eu-west-1:111122223333:key/e" }
  }
  assert {
    condition = (
      one(aws_s3_bucket_replication_configuration.replica["releases"].rule).status == "Enabled" &&
      one(one(aws_s3_bucket_replication_configuration.replica["releases"].rule).delete_marker_replication).status == "Disabled" &&
      one(one(one(aws_s3_bucket_replication_configuration.replica["releases"].rule).source_selection_criteria).sse_kms_encrypted_objects).status == "Enabled" &&
      one(one(aws_s3_bucket_replication_configuration.replica["releases"].rule).destination).bucket == "arn:aws:s3:::elsewhere" &&
      aws_s3_bucket_replication_configuration.replica["releases"].bucket == "example-dev-releases"
    )
    error_message = "the copy must get what is written to releases, encrypted objects too, and no deletion"
  }
  assert {
    condition = { for s in jsondecode(aws_iam_role_policy.replica["releases"].policy).Statement : s.Sid => concat(s.Action, s.Resource) } == {
      See     = ["s3:GetReplicationConfiguration", "s3:ListBucket", "arn:aws:s3:::example-dev-releases"]
      Read    = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging", "arn:aws:s3:::example-dev-releases/*"]
      Copy    = ["s3:ReplicateObject", "s3:ReplicateTags", "arn:aws:s3:::elsewhere/*"]
      Decrypt = ["kms:Decrypt", "arn:aws:kms:eu-central-1:111122223333:key/mocked"]
      Encrypt = ["kms:Encrypt", "kms:GenerateDataKey", "arn:aws:kms:eu-west-1:111122223333:key/e"]
    }
    error_message = "S3 may do more than copy"
  }
}

run "without_a_second_bucket_nothing_is_copied" {
  command = plan
  assert {
    condition     = length(aws_s3_bucket_replication_configuration.replica) + length(aws_iam_role.replica) == 0
    error_message = "a copy that nobody asked for"
  }
}
