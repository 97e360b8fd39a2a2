# Serves the channel `staging`: small, one NAT gateway.

module "platform" {
  source        = "../../modules/platform"
  environment   = "staging"
  identity_mode = "irsa"
  protected     = false
  nat_per_zone  = false
  nodes         = { type = "c7a.xlarge", min = 2, max = 4 }

  name                = var.name
  region              = var.region
  zones               = var.zones
  admin_role_arns     = var.admin_role_arns
  public_access_cidrs = var.public_access_cidrs
  github_provider_arn = var.github_provider_arn
  github_subjects     = var.github_subjects
  training_data_arns  = var.training_data_arns
  replica             = var.replica
  lock_table_arn      = var.lock_table_arn
  plan_policy_arns    = var.plan_policy_arns
  apply_policy_arns   = var.apply_policy_arns
  state_bucket        = var.state_bucket
  state_key           = "dev/terraform.tfstate"
}
