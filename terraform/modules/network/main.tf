# A VPC with private subnets for nodes, a way to S3 that does not pass the NAT, and flow logs.

module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
  version = "6.6.0"

  name            = var.name
  cidr            = var.cidr
  azs             = var.zones
  private_subnets = [for index, _ in var.zones : cidrsubnet(var.cidr, 3, index)]
  public_subnets  = [for index, _ in var.zones : cidrsubnet(var.cidr, 8, 224 + index)]

  enable_nat_gateway     = true
  one_nat_gateway_per_az = var.nat_per_zone
  single_nat_gateway     = !var.nat_per_zone

  map_public_ip_on_launch       = false
  manage_default_security_group = true

  enable_flow_log                                 = true
  create_flow_log_cloudwatch_iam_role             = true
  create_flow_log_cloudwatch_log_group            = true
  flow_log_cloudwatch_log_group_retention_in_days = 365

  public_subnet_tags  = { "kubernetes.io/role/elb" = "1" }
  private_subnet_tags = { "kubernetes.io/role/internal-elb" = "1" }
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = module.vpc.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = module.vpc.private_route_table_ids
}
