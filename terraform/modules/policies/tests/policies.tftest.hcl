# What each role may and may not do. Runs without a provider: terraform -chdir=terraform/modules/policies test

variables {
  releases_bucket_arn   = "arn:aws:s3:::releases"
  key_arn               = "arn:aws:kms:eu-central-1:111122223333:key/k"
  account_id            = "111122223333"
  service_accounts      = { serve = "hodoscope-staging:hodoscope", push = "hodoscope-staging:hodoscope-uploads" }
  cluster_arn           = "arn:aws:eks:eu-central-1:111122223333:cluster/c"
  oidc_provider_arn     = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/ABC"
  github_provider_arn   = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  image_repository_arns = ["arn:aws:ecr:eu-central-1:111122223333:repository/hodoscope"]
  state_bucket_arn      = "arn:aws:s3:::state"
  state_key             = "dev/terraform.tfstate"
  github_subjects = {
    plan    = ["repo:o/r:environment:dev-plan"]
    apply   = ["repo:o/r:environment:dev"]
    publish = ["repo:o/r:environment:publish"]
  }
}

run "serving_reads_releases_and_does_nothing_else" {
  assert {
    condition     = toset(flatten([for s in jsondecode(output.serve).Statement : s.Action])) == toset(["s3:GetObject", "kms:Decrypt"])
    error_message = "serve may do more than read releases"
  }
  assert {
    condition     = toset(jsondecode(output.serve).Statement[0].Resource) == toset(["arn:aws:s3:::releases/blobs/*", "arn:aws:s3:::releases/index/*", "arn:aws:s3:::releases/yanked/*"])
    error_message = "serve must read blobs, index and yanked, and nothing else"
  }
}

run "pushing_creates_releases_and_deletes_nothing" {
  assert {
    condition = toset(flatten([for s in jsondecode(output.push).Statement : s.Action])) == toset([
      "s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"
    ])
    error_message = "push may do more than create and read"
  }
  assert {
    condition     = !strcontains(jsonencode([for s in jsondecode(output.push).Statement : s.Resource if s.Sid == "CreateReleases"]), "yanked")
    error_message = "an upload endpoint must not yank"
  }
}

run "no_role_has_a_wildcard" {
  assert {
    condition = alltrue([
      for s in concat(jsondecode(output.serve).Statement, jsondecode(output.push).Statement, jsondecode(output.plan).Statement,
      [for s in jsondecode(output.publish).Statement : s if s.Sid != "LogIn"]) :
      s.Effect == "Allow" && alltrue([for action in flatten([s.Action]) : !strcontains(action, "*")]) && alltrue([for resource in flatten([s.Resource]) : resource != "*" && !startswith(resource, "*") && length(regexall("\\*", split("/", resource)[0])) == 0])
    ])
    error_message = "an action with a wildcard, or a resource of everything"
  }
  assert {
    condition     = jsondecode(output.publish).Statement[0].Action == ["ecr:GetAuthorizationToken"]
    error_message = "the statement without a resource is for the login alone"
  }
}

run "the_bucket_refuses_what_the_store_promises_never_to_do" {
  assert {
    condition     = alltrue([for s in jsondecode(output.releases_bucket).Statement : s.Effect == "Deny" && s.Principal == "*"])
    error_message = "the bucket's policy only denies; roles allow"
  }
  assert {
    condition = one([for s in jsondecode(output.releases_bucket).Statement : s if s.Sid == "OnlyCreate"]) == {
      Sid       = "OnlyCreate", Effect = "Deny", Principal = "*", Action = "s3:PutObject", Resource = "arn:aws:s3:::releases/*"
      Condition = { Null = { "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" } }
    }
    error_message = "a write without if-none-match must be refused, parts of multipart uploads apart"
  }
  assert {
    condition = one([for s in jsondecode(output.releases_bucket).Statement : s.Action if s.Sid == "NothingIsDeleted"]) == [
      "s3:DeleteObject", "s3:DeleteObjectVersion"
    ]
    error_message = "nothing is deleted"
  }
  assert {
    condition     = one([for s in jsondecode(output.releases_bucket).Statement : s.Condition if s.Sid == "OnlyTls"]) == { Bool = { "aws:SecureTransport" = "false" } }
    error_message = "plain HTTP must be refused"
  }
}

run "each_service_account_takes_its_own_role" {
  assert {
    condition = jsondecode(output.irsa_trust["serve"]).Statement[0].Condition == { StringEquals = {
      "oidc.eks.eu-central-1.amazonaws.com/id/ABC:aud" = "sts.amazonaws.com"
      "oidc.eks.eu-central-1.amazonaws.com/id/ABC:sub" = "system:serviceaccount:hodoscope-staging:hodoscope"
    } }
    error_message = "IRSA must name issuer, audience and account"
  }
  assert {
    condition     = jsondecode(output.pod_identity_trust["push"]).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-service-account"] == "hodoscope-uploads"
    error_message = "Pod Identity must name the account"
  }
  assert {
    condition     = jsondecode(output.pod_identity_trust["push"]).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-namespace"] == "hodoscope-staging"
    error_message = "Pod Identity must name the namespace"
  }
}

run "a_workflow_takes_a_role_only_from_its_environment" {
  assert {
    condition = jsondecode(output.github_trust["apply"]).Statement[0].Condition == { StringEquals = {
      "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
      "token.actions.githubusercontent.com:sub" = ["repo:o/r:environment:dev"]
    } }
    error_message = "apply must be bound to whole subjects"
  }
}

run "refuses_a_subject_with_a_wildcard" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/*:environment:dev-plan"], apply = ["repo:o/r:environment:dev"], publish = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_a_subject_that_any_branch_has" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/r:ref:refs/heads/main"], apply = ["repo:o/r:environment:dev"], publish = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_one_subject_for_plan_and_apply" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/r:environment:dev"], apply = ["repo:o/r:environment:dev"], publish = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_one_account_for_serving_and_pushing" {
  command = plan
  variables {
    service_accounts = { serve = "n:hodoscope", push = "n:hodoscope" }
  }
  expect_failures = [var.service_accounts]
}

run "refuses_an_account_with_a_wildcard" {
  command = plan
  variables {
    service_accounts = { serve = "*:hodoscope", push = "n:hodoscope" }
  }
  expect_failures = [var.service_accounts]
}
