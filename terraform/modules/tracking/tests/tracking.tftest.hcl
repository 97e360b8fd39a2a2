# MLflow's database. The provider is mocked: `make infra` runs this against its schema, .github/workflows/ci.yml against the
# provider itself.

mock_provider "aws" {
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/mocked" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
  mock_resource "aws_db_instance" {
    defaults = {
      address            = "mocked.rds.amazonaws.com"
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked", secret_status = "active", kms_key_id = "k" }]
    }
  }
}

variables {
  name                   = "example-prod"
  account_id             = "111122223333"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-1", "subnet-2"]
  node_security_group_id = "sg-nodes"
  protected              = true
}

run "the_password_is_managed_by_rds" {
  assert {
    condition     = aws_db_instance.database.manage_master_user_password && aws_db_instance.database.password == null && aws_db_instance.database.password_wo == null
    error_message = "no password may stand in plan or state"
  }
  assert {
    condition     = output.secret_arn == "arn:aws:secretsmanager:eu-central-1:111122223333:secret:mocked" && aws_db_instance.database.master_user_secret_kms_key_id == output.key_arn
    error_message = "the secret must be told, and encrypted by our key"
  }
}

run "it_is_encrypted_and_closed" {
  command = plan
  assert {
    condition     = aws_db_instance.database.storage_encrypted && !aws_db_instance.database.publicly_accessible && aws_kms_key.database.enable_key_rotation
    error_message = "the database must be encrypted and private"
  }
  assert {
    condition     = contains([for p in aws_db_parameter_group.database.parameter : "${p.name}=${p.value}"], "rds.force_ssl=1")
    error_message = "connections must be encrypted"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.nodes.referenced_security_group_id == "sg-nodes" && aws_vpc_security_group_ingress_rule.nodes.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.nodes.from_port == 5432 && aws_vpc_security_group_ingress_rule.nodes.to_port == 5432
    error_message = "only nodes may connect, to one port"
  }
}

run "production_s_runs_outlive_mistakes" {
  command = plan
  assert {
    condition     = aws_db_instance.database.deletion_protection && aws_db_instance.database.multi_az && !aws_db_instance.database.skip_final_snapshot && aws_db_instance.database.final_snapshot_identifier == "example-prod-tracking-last"
    error_message = "a protected database must not be deletable without a snapshot"
  }
}

run "elsewhere_it_can_be_taken_down" {
  command = plan
  variables {
    protected = false
  }
  assert {
    condition     = !aws_db_instance.database.deletion_protection && aws_db_instance.database.skip_final_snapshot
    error_message = "an unprotected database must be deletable"
  }
}

run "refuses_one_subnet" {
  command = plan
  variables {
    subnet_ids = ["subnet-1"]
  }
  expect_failures = [var.subnet_ids]
}

run "refuses_to_go_without_backups" {
  command = plan
  variables {
    backup_days = 0
  }
  expect_failures = [var.backup_days]
}
