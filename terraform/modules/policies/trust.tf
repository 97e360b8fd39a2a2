# Who may take a role: a service account, by IRSA or by Pod Identity; a workflow, by repository, environment and ref.

locals {
  issuer = try(split("oidc-provider/", var.oidc_provider_arn)[1], "")
  irsa = {
    for role, account in var.service_accounts : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Federated = var.oidc_provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = { StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "system:serviceaccount:${account}"
        } }
      }]
    }
  }

  pod_identity = {
    for role, account in var.service_accounts : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        # The tags that the agent sets on each session.
        Condition = { StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = var.cluster_arn
          "aws:RequestTag/kubernetes-namespace"       = split(":", account)[0]
          "aws:RequestTag/kubernetes-service-account" = split(":", account)[1]
        } }
      }]
    }
  }

  # The subject names repository and environment; the ref is a claim of its own, which STS checks since January 2026.
  refs = { plan = "refs/heads/main", apply = "refs/heads/main", train = "refs/heads/main", publish = "refs/tags/v*" }
  github = {
    for role, subjects in var.github_subjects : role => {
      Version = local.version
      Statement = [{
        Effect    = "Allow"
        Principal = { Federated = var.github_provider_arn }
        Action    = "sts:AssumeRoleWithWebIdentity"
        Condition = {
          StringEquals = {
            "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
            "token.actions.githubusercontent.com:sub" = subjects
          }
          StringLike = { "token.actions.githubusercontent.com:ref" = local.refs[role] }
        }
      }]
    }
  }
}
