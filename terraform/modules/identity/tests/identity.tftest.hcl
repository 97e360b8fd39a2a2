# The provider is mocked: `make infra` runs this against its schema, .github/workflows/ci.yml against the provider itself.

mock_provider "aws" {}

variables {
  name              = "example"
  cluster_name      = "example"
  service_accounts  = { serve = "n:hodoscope", push = "n:hodoscope-uploads", drift = "n:hodoscope-drift", tracking = "mlflow:mlflow" }
  plan_policy_arns  = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
  apply_policy_arns = ["arn:aws:iam::111122223333:policy/apply"]
  policies = {
    pods               = { for role in ["serve", "push", "drift", "tracking"] : role => jsonencode({ may = role }) }
    workflows          = { for role in ["plan", "apply", "publish", "train"] : role => jsonencode({ may = role }) }
    irsa_trust         = { for role in ["serve", "push", "drift", "tracking"] : role => jsonencode({ irsa = role }) }
    pod_identity_trust = { for role in ["serve", "push", "drift", "tracking"] : role => jsonencode({ pod = role }) }
    github_trust       = { for role in ["plan", "apply", "publish", "train"] : role => jsonencode({ github = role }) }
  }
}

run "irsa_trusts_the_clusters_issuer_and_makes_no_association" {
  command = plan
  assert {
    condition     = { for role, resource in aws_iam_role.pod : role => jsondecode(resource.assume_role_policy).irsa } == { for role in keys(var.policies.pods) : role => role }
    error_message = "IRSA must trust the issuer, for each role its own account"
  }
  assert {
    condition     = length(aws_eks_pod_identity_association.pod) == 0
    error_message = "IRSA needs no association"
  }
}

run "pod_identity_trusts_the_agent_and_associates_each_account" {
  command = plan
  variables {
    mode = "pod-identity"
  }
  assert {
    condition     = { for role, resource in aws_iam_role.pod : role => jsondecode(resource.assume_role_policy).pod } == { for role in keys(var.policies.pods) : role => role }
    error_message = "Pod Identity must trust the agent"
  }
  assert {
    condition     = { for role, made in aws_eks_pod_identity_association.pod : role => "${made.namespace}:${made.service_account}" } == var.service_accounts
    error_message = "Pod Identity must associate each account with its own role"
  }
}

run "roles_hold_their_own_policies" {
  command = plan
  assert {
    condition     = alltrue([for role, held in merge(aws_iam_role_policy.pod, aws_iam_role_policy.github) : jsondecode(held.policy).may == role && held.name == role])
    error_message = "a role holds another's policy"
  }
}

run "workflows_are_trusted_each_by_its_own_document" {
  command = plan
  assert {
    condition     = { for role, resource in aws_iam_role.github : role => jsondecode(resource.assume_role_policy).github } == { plan = "plan", apply = "apply", publish = "publish", train = "train" }
    error_message = "a workflow's role trusts another's subjects"
  }
  assert {
    condition     = keys(aws_iam_role_policy_attachment.plan) == ["arn:aws:iam::aws:policy/ReadOnlyAccess"] && keys(aws_iam_role_policy_attachment.apply) == ["arn:aws:iam::111122223333:policy/apply"]
    error_message = "planning and applying must hold the owner's policies, each its own"
  }
}

run "refuses_a_mode_that_it_does_not_know" {
  command = plan
  variables {
    mode = "kiam"
  }
  expect_failures = [var.mode]
}
