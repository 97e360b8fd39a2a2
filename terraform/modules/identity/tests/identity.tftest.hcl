# Runs where the provider can be had (.github/workflows/ci.yml): terraform -chdir=terraform/modules/identity test

mock_provider "aws" {}

variables {
  name              = "example"
  cluster_name      = "example"
  service_accounts  = { serve = "n:hodoscope", push = "n:hodoscope-uploads" }
  plan_policy_arns  = []
  apply_policy_arns = []
  policies = {
    serve              = jsonencode({ serve = true })
    push               = jsonencode({ push = true })
    publish            = jsonencode({ publish = true })
    plan               = jsonencode({ plan = true })
    irsa_trust         = { serve = jsonencode({ irsa = "serve" }), push = jsonencode({ irsa = "push" }) }
    pod_identity_trust = { serve = jsonencode({ pod = "serve" }), push = jsonencode({ pod = "push" }) }
    github_trust       = { plan = jsonencode({ g = "plan" }), apply = jsonencode({ g = "apply" }), publish = jsonencode({ g = "publish" }) }
  }
}

run "irsa_trusts_the_clusters_issuer_and_makes_no_association" {
  command = plan
  assert {
    condition     = jsondecode(aws_iam_role.pod["serve"].assume_role_policy) == { irsa = "serve" } && length(aws_eks_pod_identity_association.pod) == 0
    error_message = "IRSA must trust the issuer, and need no association"
  }
}

run "pod_identity_trusts_the_agent_and_associates_each_account" {
  command = plan
  variables {
    mode = "pod-identity"
  }
  assert {
    condition     = jsondecode(aws_iam_role.pod["push"].assume_role_policy) == { pod = "push" } && aws_eks_pod_identity_association.pod["push"].service_account == "hodoscope-uploads"
    error_message = "Pod Identity must trust the agent, and associate each account"
  }
}

run "roles_hold_their_own_policies" {
  command = plan
  assert {
    condition     = jsondecode(aws_iam_role_policy.pod["serve"].policy) == { serve = true } && jsondecode(aws_iam_role_policy.pod["push"].policy) == { push = true }
    error_message = "a role holds another's policy"
  }
}

run "refuses_a_mode_that_it_does_not_know" {
  command = plan
  variables {
    mode = "kiam"
  }
  expect_failures = [var.mode]
}
