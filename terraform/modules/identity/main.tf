# Roles: serve, push, drift and tracking for pods, plan, apply, publish and train for workflows. Who may take them and what
# they may do comes from modules/policies; here they only become resources.

locals {
  pods  = var.policies.pods
  trust = var.mode == "irsa" ? var.policies.irsa_trust : var.policies.pod_identity_trust
}

resource "aws_iam_role" "pod" {
  for_each             = local.pods
  name                 = "${var.name}-${each.key}"
  assume_role_policy   = local.trust[each.key]
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "pod" {
  for_each = local.pods
  name     = each.key
  role     = aws_iam_role.pod[each.key].id
  policy   = each.value
}

resource "aws_eks_pod_identity_association" "pod" {
  for_each        = var.mode == "pod-identity" ? local.pods : {}
  cluster_name    = var.cluster_name
  namespace       = split(":", var.service_accounts[each.key])[0]
  service_account = split(":", var.service_accounts[each.key])[1]
  role_arn        = aws_iam_role.pod[each.key].arn
}

resource "aws_iam_role" "github" {
  for_each             = var.policies.github_trust
  name                 = "${var.name}-github-${each.key}"
  assume_role_policy   = each.value
  max_session_duration = 3600
}

resource "aws_iam_role_policy" "github" {
  for_each = var.policies.workflows
  name     = each.key
  role     = aws_iam_role.github[each.key].id
  policy   = each.value
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each   = var.plan_policy_arns
  role       = aws_iam_role.github["plan"].name
  policy_arn = each.value
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each   = var.apply_policy_arns
  role       = aws_iam_role.github["apply"].name
  policy_arn = each.value
}
