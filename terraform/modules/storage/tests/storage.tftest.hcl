# Runs where the provider can be had (.github/workflows/ci.yml): terraform -chdir=terraform/modules/storage test

mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::mocked" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/mocked" }
  }
}

variables {
  name       = "example-dev"
  account_id = "111122223333"
  releases_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Deny", Principal = "*", Action = "s3:DeleteObject", Resource = "arn:aws:s3:::mocked/*" }]
  })
}

run "no_bucket_is_public" {
  command = plan
  assert {
    condition = alltrue([
      for block in [aws_s3_bucket_public_access_block.releases, aws_s3_bucket_public_access_block.logs] :
      block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets
    ])
    error_message = "a bucket is open to the public"
  }
}

run "releases_are_versioned_and_encrypted_by_our_key" {
  command = plan
  assert {
    condition     = aws_s3_bucket_versioning.releases.versioning_configuration[0].status == "Enabled"
    error_message = "releases must be versioned"
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.releases.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "releases must be encrypted by KMS"
  }
  assert {
    condition     = aws_kms_key.releases.enable_key_rotation
    error_message = "the key must rotate"
  }
}

run "the_given_policy_is_the_bucket_s" {
  command = plan
  assert {
    condition     = aws_s3_bucket_policy.releases.policy == var.releases_policy
    error_message = "the releases bucket has another policy"
  }
}
