# What each role may and may not do. Runs without a provider: terraform -chdir=terraform/modules/policies test

variables {
  bucket_arns = {
    releases = "arn:aws:s3:::releases", charts = "arn:aws:s3:::charts", capture = "arn:aws:s3:::capture", artifacts = "arn:aws:s3:::artifacts"
  }
  key_arns = { releases = "arn:aws:kms:eu-central-1:111122223333:key/r", data = "arn:aws:kms:eu-central-1:111122223333:key/d" }
  service_accounts = {
    serve = "hodoscope-staging:hodoscope", push = "hodoscope-staging:hodoscope-uploads"
    drift = "hodoscope-staging:hodoscope-drift", tracking = "mlflow:mlflow"
  }
  database              = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:s", key_arn = "arn:aws:kms:eu-central-1:111122223333:key/p" }
  account_id            = "111122223333"
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
    train   = ["repo:o/r:environment:train"]
  }
}

run "serving_reads_releases_and_writes_only_what_it_saw" {
  assert {
    condition = { for s in jsondecode(output.pods.serve).Statement : s.Sid => { action = s.Action, resource = s.Resource } if startswith(s.Action[0], "s3:") } == {
      ReadReleases  = { action = ["s3:GetObject"], resource = ["arn:aws:s3:::releases/blobs/*", "arn:aws:s3:::releases/index/*", "arn:aws:s3:::releases/yanked/*"] }
      ReadVerdicts  = { action = ["s3:GetObject"], resource = ["arn:aws:s3:::capture/verdicts/v1/*"] }
      WriteCaptured = { action = ["s3:PutObject"], resource = ["arn:aws:s3:::capture/capture/v1/*", "arn:aws:s3:::capture/profiles/v1/*"] }
    }
    error_message = "serve may do another thing with S3 than read releases and verdicts, and write captured rows and profiles"
  }
  assert {
    condition     = toset([for s in jsondecode(output.pods.serve).Statement : s.Resource[0] if contains(s.Action, "kms:GenerateDataKey")]) == toset(["arn:aws:kms:eu-central-1:111122223333:key/d"])
    error_message = "serve must not encrypt with the releases' key"
  }
}

run "pushing_creates_releases_and_sees_no_traffic" {
  assert {
    condition = toset(flatten([for s in jsondecode(output.pods.push).Statement : s.Action])) == toset([
      "s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"
    ])
    error_message = "push may do more than create and read"
  }
  assert {
    condition     = !strcontains(jsonencode([for s in jsondecode(output.pods.push).Statement : s.Resource if s.Sid == "CreateReleases"]), "yanked")
    error_message = "an upload endpoint must not yank"
  }
  assert {
    condition     = !strcontains(output.pods.push, "s3:::capture") && !strcontains(output.pods.push, "key/d")
    error_message = "an upload endpoint must not reach captured rows"
  }
}

run "the_drift_job_reads_traffic_writes_verdicts_and_creates_releases" {
  assert {
    condition = { for s in jsondecode(output.pods.drift).Statement : s.Sid => s.Resource if contains(s.Action, "s3:PutObject") } == {
      CreateReleases = ["arn:aws:s3:::releases/blobs/*", "arn:aws:s3:::releases/docs/*", "arn:aws:s3:::releases/index/*"]
      WriteVerdicts  = ["arn:aws:s3:::capture/verdicts/v1/*"]
    }
    error_message = "drift writes something else than releases and verdicts: it must never write the traffic that it judges"
  }
  assert {
    condition = { for s in jsondecode(output.pods.drift).Statement : one(s.Resource) => s.Condition.StringLike["s3:prefix"] if contains(s.Action, "s3:ListBucket") } == {
      "arn:aws:s3:::capture"  = ["capture/v1/*", "profiles/v1/*"]
      "arn:aws:s3:::releases" = ["index/*", "yanked/*"]
    }
    error_message = "drift must list captured rows and profiles and the releases' index, and nothing else"
  }
}

run "mlflow_reaches_its_artifacts_and_its_password_alone" {
  assert {
    condition = alltrue([
      for s in jsondecode(output.pods.tracking).Statement : alltrue([for r in s.Resource : anytrue([
        startswith(r, "arn:aws:s3:::artifacts"), r == "arn:aws:kms:eu-central-1:111122223333:key/d",
        r == var.database.secret_arn, r == var.database.key_arn,
      ])])
    ])
    error_message = "MLflow reaches more than its own"
  }
}

run "without_a_database_mlflow_reads_no_secret" {
  variables {
    database = null
  }
  assert {
    condition     = !strcontains(output.pods.tracking, "secretsmanager")
    error_message = "there is no secret to read"
  }
}

run "nobody_deletes_but_the_lock_s_holder" {
  assert {
    condition = alltrue([
      for policy in concat(values(output.pods), [output.workflows.publish, output.workflows.train]) : !strcontains(policy, "Delete")
    ])
    error_message = "a role may delete"
  }
  assert {
    condition     = [for s in jsondecode(output.workflows.plan).Statement : s.Resource if strcontains(jsonencode(s.Action), "Delete")] == [["arn:aws:s3:::state/dev/terraform.tfstate.tflock"]]
    error_message = "planning may delete more than its lock"
  }
}

run "planning_finds_the_state_reads_it_and_writes_its_lock_alone" {
  assert {
    condition = { for s in jsondecode(output.workflows.plan).Statement : s.Sid => { action = s.Action, resource = s.Resource } } == {
      FindState = { action = ["s3:ListBucket"], resource = ["arn:aws:s3:::state"] }
      ReadState = { action = ["s3:GetObject"], resource = ["arn:aws:s3:::state/dev/terraform.tfstate"] }
      HoldLock  = { action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], resource = ["arn:aws:s3:::state/dev/terraform.tfstate.tflock"] }
    }
    error_message = "terraform init must list, and planning must not write the state"
  }
  assert {
    condition     = one([for s in jsondecode(output.workflows.plan).Statement : s.Condition if s.Sid == "FindState"]) == { StringLike = { "s3:prefix" = ["env:/", "dev/terraform.tfstate*"] } }
    error_message = "listing is for the workspaces and this state alone"
  }
  assert {
    condition     = [for s in jsondecode(output.workflows.apply).Statement : s if !contains(jsondecode(output.workflows.plan).Statement, s)] == [{ Sid = "WriteState", Effect = "Allow", Action = ["s3:PutObject"], Resource = ["arn:aws:s3:::state/dev/terraform.tfstate"] }]
    error_message = "beside what planning may, applying writes the state"
  }
}

run "no_role_has_a_wildcard" {
  assert {
    condition = alltrue([
      for s in flatten([for policy in concat(values(output.pods), values(output.workflows)) : jsondecode(policy).Statement]) :
      s.Effect == "Allow" && alltrue([for action in s.Action : !strcontains(action, "*")]) &&
      (s.Sid == "LogIn" || alltrue([for resource in s.Resource : !strcontains(split("/", resource)[0], "*")]))
    ])
    error_message = "an action with a wildcard, or a resource of everything"
  }
  assert {
    condition     = jsondecode(output.workflows.publish).Statement[0].Action == ["ecr:GetAuthorizationToken"]
    error_message = "the statement without a resource is for the login alone"
  }
}

run "training_reads_what_it_is_told_to_and_no_more" {
  variables {
    training_data_arns = ["arn:aws:s3:::plant/exports/*"]
  }
  assert {
    condition     = [for s in jsondecode(output.workflows.train).Statement : s if s.Sid == "ReadTrainingData"][0].Resource == ["arn:aws:s3:::plant/exports/*"]
    error_message = "training must read the named data"
  }
  assert {
    condition     = [for s in jsondecode(output.workflows.train).Statement : s if s.Sid != "ReadTrainingData"] == jsondecode(output.pods.drift).Statement
    error_message = "beside that, training may do what the drift job may"
  }
}

run "every_bucket_refuses_plain_http_and_other_accounts" {
  assert {
    condition = alltrue([
      for policy in values(output.buckets) : alltrue([for s in jsondecode(policy).Statement : s.Effect == "Deny" && s.Principal == "*"]) &&
      one([for s in jsondecode(policy).Statement : s.Condition if s.Sid == "OnlyTls"]) == { Bool = { "aws:SecureTransport" = "false" } } &&
      one([for s in jsondecode(policy).Statement : s.Condition.StringNotEquals if s.Sid == "OnlyThisAccount"]) == { "aws:PrincipalAccount" = "111122223333" }
    ])
    error_message = "a bucket's policy must only deny, plain HTTP and other accounts among the rest"
  }
  assert {
    condition     = keys(output.buckets) == ["artifacts", "capture", "charts", "releases"]
    error_message = "a bucket has no policy"
  }
}

run "what_is_written_once_cannot_be_written_again" {
  assert {
    condition = { for bucket in ["releases", "capture", "charts"] : bucket => one([for s in jsondecode(output.buckets[bucket]).Statement : s.Resource if s.Sid == "OnlyCreate"]) } == {
      releases = ["arn:aws:s3:::releases/*"], charts = ["arn:aws:s3:::charts/*.tgz", "arn:aws:s3:::charts/*.prov"]
      capture  = ["arn:aws:s3:::capture/capture/*", "arn:aws:s3:::capture/profiles/*"]
    }
    error_message = "releases, captured parts and packages are created, never replaced; verdicts are replaced"
  }
  assert {
    condition = alltrue([
      for bucket in ["releases", "capture", "charts"] : one([for s in jsondecode(output.buckets[bucket]).Statement : s if s.Sid == "OnlyCreate"]).Condition == {
        Null = { "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" }
      } && one([for s in jsondecode(output.buckets[bucket]).Statement : s if s.Sid == "OnlyCreate"]).Action == "s3:PutObject"
    ])
    error_message = "a write without if-none-match must be refused, parts of multipart uploads apart"
  }
}

run "the_index_of_charts_is_replaced_only_by_who_read_it" {
  assert {
    condition = one([for s in jsondecode(output.buckets.charts).Statement : s if s.Sid == "OnlyReplaceTheIndexThatWasRead"]) == {
      Sid       = "OnlyReplaceTheIndexThatWasRead", Effect = "Deny", Principal = "*", Action = "s3:PutObject", Resource = ["arn:aws:s3:::charts/*.yaml"]
      Condition = { Null = { "s3:if-match" = "true", "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" } }
    }
    error_message = "an index written without a condition must be refused"
  }
}

run "releases_and_charts_are_never_deleted" {
  assert {
    condition = alltrue([
      for bucket in ["releases", "charts"] : one([for s in jsondecode(output.buckets[bucket]).Statement : s if s.Sid == "NothingIsDeleted"]) == {
        Sid = "NothingIsDeleted", Effect = "Deny", Principal = "*", Action = ["s3:DeleteObject", "s3:DeleteObjectVersion"], Resource = ["arn:aws:s3:::${bucket}/*"]
      }
    ])
    error_message = "nothing is deleted"
  }
}

run "a_lock_table_is_there_only_for_those_who_migrate" {
  variables {
    lock_table_arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/locks"
  }
  assert {
    condition     = one([for s in jsondecode(output.workflows.plan).Statement : s.Resource if s.Sid == "HoldLockInTable"]) == ["arn:aws:dynamodb:eu-central-1:111122223333:table/locks"]
    error_message = "planning must hold the lock in the table"
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

run "a_workflow_takes_a_role_only_from_its_repository_environment_and_ref" {
  assert {
    condition = jsondecode(output.github_trust["apply"]).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = ["repo:o/r:environment:dev"]
      }
      StringLike = { "token.actions.githubusercontent.com:ref" = "refs/heads/main" }
    }
    error_message = "apply must be bound to whole subjects and to main"
  }
  assert {
    condition = { for role, trust in output.github_trust : role => jsondecode(trust).Statement[0].Condition.StringLike["token.actions.githubusercontent.com:ref"] } == {
      plan = "refs/heads/main", apply = "refs/heads/main", train = "refs/heads/main", publish = "refs/tags/v*"
    }
    error_message = "every role is bound to main, publishing to tags of versions"
  }
}

run "refuses_a_subject_with_a_wildcard" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/*:environment:dev-plan"], apply = ["repo:o/r:environment:dev"], publish = [], train = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_a_subject_that_any_branch_has" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/r:ref:refs/heads/main"], apply = ["repo:o/r:environment:dev"], publish = [], train = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_training_data_of_any_bucket" {
  command = plan
  variables {
    training_data_arns = ["arn:aws:s3:::*/exports"]
  }
  expect_failures = [var.training_data_arns]
}

run "refuses_one_subject_for_plan_and_apply" {
  command = plan
  variables {
    github_subjects = { plan = ["repo:o/r:environment:dev"], apply = ["repo:o/r:environment:dev"], publish = [], train = [] }
  }
  expect_failures = [var.github_subjects]
}

run "refuses_one_account_for_serving_and_pushing" {
  command = plan
  variables {
    service_accounts = { serve = "n:hodoscope", push = "n:hodoscope", drift = "n:drift", tracking = "m:mlflow" }
  }
  expect_failures = [var.service_accounts]
}

run "refuses_an_account_with_a_wildcard" {
  command = plan
  variables {
    service_accounts = { serve = "*:hodoscope", push = "n:hodoscope", drift = "n:drift", tracking = "m:mlflow" }
  }
  expect_failures = [var.service_accounts]
}
