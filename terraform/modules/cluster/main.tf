# EKS: private nodes, network policies enforced by the CNI, the Pod Identity agent and IRSA side by side, CPU metrics for
# the autoscaler, volumes, secrets encrypted by a key of ours, every control plane log kept.

locals {
  addons = {
    # Volumes for claims, Prometheus' among them. Its pods cannot take the node's role (one hop to the metadata), so they have
    # one of their own: volumes.tf.
    aws-ebs-csi-driver = {
      pod_identity_association = [{ role_arn = aws_iam_role.volumes.arn, service_account = "ebs-csi-controller-sa" }]
    }
    coredns = {}
    eks-pod-identity-agent = {
      before_compute = true
    }
    kube-proxy     = {}
    metrics-server = {}
    vpc-cni = {
      before_compute       = true
      configuration_values = jsonencode({ enableNetworkPolicy = "true" })
    }
  }
}

module "eks" {
  source  = "terraform-aws-modules/eks/aws"
  version = "21.19.0"

  name               = var.name
  kubernetes_version = var.kubernetes_version
  vpc_id             = var.vpc_id
  subnet_ids         = var.subnet_ids

  enable_irsa                  = true
  endpoint_private_access      = true
  endpoint_public_access       = length(var.public_access_cidrs) > 0
  endpoint_public_access_cidrs = var.public_access_cidrs
  authentication_mode          = "API"
  deletion_protection          = true
  enabled_log_types            = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_entries = {
    for arn in var.admin_role_arns : arn => {
      principal_arn = arn
      policy_associations = {
        admin = {
          policy_arn   = "arn:${var.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
          access_scope = { type = "cluster" }
        }
      }
    }
  }

  addons = local.addons

  eks_managed_node_groups = {
    scoring = {
      instance_types = [var.nodes.type]
      min_size       = var.nodes.min
      max_size       = var.nodes.max
      desired_size   = var.nodes.min
    }
  }
}
