# Every bucket is made here, so what holds here holds for all. The provider is mocked: `make infra` runs this against its
# schema, .github/workflows/ci.yml against the provider itself.

mock_provider "aws" {}

variables {
  name       = "example-capture"
  key_arn    = "arn:aws:kms:eu-central-1:111122223333:key/k"
  policy     = jsonencode({ Version = "2012-10-17", Statement = [] })
  log_bucket = "example-logs"
  log_prefix = "capture"
}

run "no_bucket_is_public" {
  command = plan
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.bucket.block_public_acls, aws_s3_bucket_public_access_block.bucket.block_public_policy,
      aws_s3_bucket_public_access_block.bucket.ignore_public_acls, aws_s3_bucket_public_access_block.bucket.restrict_public_buckets,
    ])
    error_message = "the bucket is open to the public"
  }
  assert {
    condition     = one(aws_s3_bucket_ownership_controls.bucket.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "access lists must be off"
  }
}

run "objects_are_versioned_encrypted_by_our_key_and_logged" {
  command = plan
  assert {
    condition     = one(aws_s3_bucket_versioning.bucket.versioning_configuration).status == "Enabled"
    error_message = "objects must be versioned"
  }
  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.bucket.rule :
      one(rule.apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" &&
      one(rule.apply_server_side_encryption_by_default).kms_master_key_id == var.key_arn
    ])
    error_message = "objects must be encrypted by the given key"
  }
  assert {
    condition     = aws_s3_bucket_logging.bucket.target_bucket == "example-logs" && aws_s3_bucket_logging.bucket.target_prefix == "capture/"
    error_message = "access must be logged under the bucket's own prefix"
  }
}

run "the_given_policy_is_the_bucket_s" {
  command = plan
  assert {
    condition     = aws_s3_bucket_policy.bucket.policy == var.policy
    error_message = "the bucket has another policy"
  }
}

run "nothing_expires_unless_it_is_said" {
  command = plan
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.bucket.rule : length(rule.expiration) == 0 && length(rule.noncurrent_version_expiration) == 0])
    error_message = "objects would expire"
  }
}

run "what_expires_does_so_by_prefix" {
  command = plan
  variables {
    expire_days   = { "capture/" = 30, "profiles/" = 400 }
    replaced_days = 7
  }
  assert {
    condition = { for rule in aws_s3_bucket_lifecycle_configuration.bucket.rule : one(rule.filter).prefix => one(rule.expiration).days if length(rule.expiration) > 0 } == {
      "capture/" = 30, "profiles/" = 400
    }
    error_message = "another prefix or time"
  }
  assert {
    condition     = sum([for rule in aws_s3_bucket_lifecycle_configuration.bucket.rule : one(rule.noncurrent_version_expiration).noncurrent_days if length(rule.noncurrent_version_expiration) > 0]) == 7
    error_message = "replaced versions must go after the given days"
  }
}

run "refuses_to_expire_the_whole_bucket" {
  command = plan
  variables {
    expire_days = { "" = 30 }
  }
  expect_failures = [var.expire_days]
}
