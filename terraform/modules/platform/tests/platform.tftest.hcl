# How the modules are joined: whose policy names which bucket, who reaches what. Network and cluster are overridden, since
# they are the registry's. The provider is mocked: `make infra` runs this against its schema, .github/workflows/ci.yml
# against the provider itself.

mock_provider "aws" {
  override_during = plan
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/mocked" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { arn = "arn:aws:ecr:eu-central-1:111122223333:repository/mocked" }
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

override_module {
  target          = module.network
  override_during = plan
  outputs         = { vpc_id = "vpc-1", private_subnets = ["subnet-1", "subnet-2"] }
}

override_module {
  target          = module.cluster
  override_during = plan
  outputs = {
    name                   = "acme"
    arn                    = "arn:aws:eks:eu-central-1:111122223333:cluster/acme"
    oidc_provider_arn      = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/ABC"
    node_security_group_id = "sg-nodes"
  }
}

variables {
  name                = "acme"
  environment         = "staging"
  region              = "eu-central-1"
  zones               = ["eu-central-1a", "eu-central-1b"]
  nodes               = { type = "c7a.large", min = 2, max = 4 }
  admin_role_arns     = []
  github_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  github_subjects = {
    plan    = ["repo:o/r:environment:dev-plan"]
    apply   = ["repo:o/r:environment:dev"]
    publish = ["repo:o/r:environment:publish"]
    train   = ["repo:o/r:environment:train"]
  }
  plan_policy_arns  = []
  apply_policy_arns = []
  state_bucket      = "acme-state"
  state_key         = "dev/terraform.tfstate"
  replica           = { bucket_arn = "arn:aws:s3:::elsewhere", key_arn = "arn:aws:kms:eu-west-1:111122223333:key/e" }
}

run "the_chart_gets_each_role_and_both_buckets" {
  command = plan
  assert {
    condition = output.chart_values == {
      store   = "s3://acme-releases", region = "eu-central-1"
      capture = { location = "s3://acme-capture" }
      identity = {
        mode      = "irsa", serveRole = "arn:aws:iam::111122223333:role/mocked"
        pushRole  = "arn:aws:iam::111122223333:role/mocked"
        driftRole = "arn:aws:iam::111122223333:role/mocked"
      }
    }
    error_message = "the chart's values name another bucket, or lack a role"
  }
}

run "policies_name_the_buckets_that_are_made" {
  command = plan
  assert {
    condition     = { for bucket, policy in module.policies.buckets : bucket => jsondecode(policy).Statement[0].Resource[0] } == { for bucket, name in module.storage.buckets : bucket => "arn:aws:s3:::${name}" }
    error_message = "a policy speaks of a bucket that is not made"
  }
  assert {
    condition     = one([for s in jsondecode(module.policies.pods.serve).Statement : s.Resource if s.Sid == "WriteCaptured"]) == ["arn:aws:s3:::acme-capture/capture/v1/*", "arn:aws:s3:::acme-capture/profiles/v1/*"]
    error_message = "hosts must write to this environment's capture bucket"
  }
}

run "each_role_belongs_to_the_account_that_the_charts_name" {
  command = plan
  assert {
    condition = { for role, trust in module.policies.irsa_trust : role => jsondecode(trust).Statement[0].Condition.StringEquals["oidc.eks.eu-central-1.amazonaws.com/id/ABC:sub"] } == {
      serve    = "system:serviceaccount:hodoscope-staging:hodoscope"
      push     = "system:serviceaccount:hodoscope-staging:hodoscope-uploads"
      drift    = "system:serviceaccount:hodoscope-staging:hodoscope-drift"
      tracking = "system:serviceaccount:mlflow:mlflow"
    }
    error_message = "a role is bound to another account"
  }
}

run "mlflow_gets_its_database_its_password_and_its_bucket" {
  command = plan
  assert {
    condition     = output.tracking_values.artifacts == "s3://acme-artifacts" && output.tracking_values.database.host == "mocked.rds.amazonaws.com"
    error_message = "MLflow's values name another bucket or database"
  }
  assert {
    condition     = one([for s in jsondecode(module.policies.pods.tracking).Statement : s.Resource if s.Sid == "ReadPassword"]) == [output.tracking_values.database.secret]
    error_message = "MLflow must read its own database's password"
  }
}

run "a_protected_environment_has_a_second_copy_of_its_releases" {
  command = plan
  variables {
    replica = null
  }
  expect_failures = [var.replica]
}
