# One environment: network, cluster, buckets, images, MLflow's database, roles. Environments differ by the arguments of this
# module alone.

data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}

locals {
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition
  # As argocd/ names the namespaces, and the charts their accounts.
  namespace = "hodoscope-${var.environment}"
  service_accounts = {
    serve    = "${local.namespace}:hodoscope"
    push     = "${local.namespace}:hodoscope-uploads"
    drift    = "${local.namespace}:hodoscope-drift"
    tracking = "mlflow:mlflow"
  }
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
  partition           = local.partition
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
  bucket_policies = module.policies.buckets
  capture_days    = var.capture_days
  replica         = var.replica
}

module "tracking" {
  source                 = "../tracking"
  name                   = var.name
  account_id             = local.account
  partition              = local.partition
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.private_subnets
  node_security_group_id = module.cluster.node_security_group_id
  protected              = var.protected
}

module "policies" {
  source                = "../policies"
  bucket_arns           = { for bucket in ["releases", "charts", "capture", "artifacts"] : bucket => "arn:${local.partition}:s3:::${var.name}-${bucket}" }
  key_arns              = module.storage.keys
  account_id            = local.account
  service_accounts      = local.service_accounts
  cluster_arn           = module.cluster.arn
  oidc_provider_arn     = module.cluster.oidc_provider_arn
  github_provider_arn   = var.github_provider_arn
  github_subjects       = var.github_subjects
  image_repository_arns = module.images.repository_arns
  training_data_arns    = var.training_data_arns
  state_bucket_arn      = "arn:${local.partition}:s3:::${var.state_bucket}"
  state_key             = var.state_key
  lock_table_arn        = var.lock_table_arn
  database              = { secret_arn = module.tracking.secret_arn, key_arn = module.tracking.key_arn }
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
