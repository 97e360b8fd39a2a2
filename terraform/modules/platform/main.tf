# One environment: network, cluster, releases, images, roles. Environments differ by the arguments of this module alone.

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  # As argocd/applications.yaml names the namespace, and the chart its accounts.
  namespace        = "hodoscope-${var.environment}"
  service_accounts = { serve = "${local.namespace}:hodoscope", push = "${local.namespace}:hodoscope-uploads" }
}

module "network" {
  source       = "../network"
  name         = var.name
  region       = var.region
  zones        = var.zones
  nat_per_zone = var.nat_per_zone
}

module "cluster" {
  source              = "../cluster"
  name                = var.name
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.private_subnets
  admin_role_arns     = var.admin_role_arns
  public_access_cidrs = var.public_access_cidrs
  nodes               = var.nodes
}

module "images" {
  source = "../images"
  name   = var.name
}

module "storage" {
  source          = "../storage"
  name            = var.name
  account_id      = local.account
  partition       = local.partition
  releases_policy = module.policies.releases_bucket
}

module "policies" {
  source                = "../policies"
  releases_bucket_arn   = "arn:${local.partition}:s3:::${var.name}-releases"
  key_arn               = module.storage.key_arn
  account_id            = local.account
  service_accounts      = local.service_accounts
  cluster_arn           = module.cluster.arn
  oidc_provider_arn     = module.cluster.oidc_provider_arn
  github_provider_arn   = var.github_provider_arn
  github_subjects       = var.github_subjects
  image_repository_arns = module.images.repository_arns
  state_bucket_arn      = "arn:${local.partition}:s3:::${var.state_bucket}"
  state_key             = var.state_key
}

module "identity" {
  source            = "../identity"
  name              = var.name
  mode              = var.identity_mode
  cluster_name      = module.cluster.name
  service_accounts  = local.service_accounts
  plan_policy_arns  = var.plan_policy_arns
  apply_policy_arns = var.apply_policy_arns
  policies          = module.policies
}
