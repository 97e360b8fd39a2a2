# The state's lock is a file beside it (`use_lockfile`). While hosts with an older Terraform still lock by a table, both hold:
# set `lock_table`, and give its name to terraform/plan as TF_LOCK_TABLE until the last of them is gone.

resource "aws_dynamodb_table" "lock" {
  #checkov:skip=CKV_AWS_119:it holds locks and checksums, no state; the key of AWS is enough
  count                       = var.lock_table == "" ? 0 : 1
  name                        = var.lock_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "LockID"
  deletion_protection_enabled = true

  attribute {
    name = "LockID"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}
