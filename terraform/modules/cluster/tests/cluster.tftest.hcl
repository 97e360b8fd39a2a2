# What the cluster is asked to have. The module of the registry is overridden; the provider is mocked: `make infra` runs this
# against its schema, .github/workflows/ci.yml against the provider itself.

mock_provider "aws" {
  override_during = plan
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/mocked" }
  }
}

override_module {
  target          = module.eks
  override_during = plan
  outputs         = { cluster_name = "acme", cluster_arn = "arn:aws:eks:eu-central-1:111122223333:cluster/acme", oidc_provider_arn = "o", node_security_group_id = "sg" }
}

variables {
  name            = "acme"
  vpc_id          = "vpc-1"
  subnet_ids      = ["subnet-1", "subnet-2"]
  admin_role_arns = []
  nodes           = { type = "c7a.xlarge", min = 2, max = 4 }
}

run "claims_get_volumes_from_a_driver_with_a_role_of_its_own" {
  command = plan
  assert {
    condition     = local.addons["aws-ebs-csi-driver"].pod_identity_association == [{ role_arn = aws_iam_role.volumes.arn, service_account = "ebs-csi-controller-sa" }]
    error_message = "without the driver, or its role, no claim is ever bound"
  }
  assert {
    condition = jsondecode(aws_iam_role.volumes.assume_role_policy).Statement[0].Condition.StringEquals == {
      "aws:RequestTag/eks-cluster-arn"            = "arn:aws:eks:eu-central-1:111122223333:cluster/acme"
      "aws:RequestTag/kubernetes-namespace"       = "kube-system"
      "aws:RequestTag/kubernetes-service-account" = "ebs-csi-controller-sa"
    }
    error_message = "the role belongs to the driver of this cluster alone"
  }
  assert {
    condition     = aws_iam_role_policy_attachment.volumes.policy_arn == "arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicyV2"
    error_message = "the driver must reach the volumes that it tagged, and no others"
  }
}

run "network_policies_and_pod_identity_are_there_before_the_nodes" {
  command = plan
  assert {
    condition     = local.addons.vpc-cni.before_compute && jsondecode(local.addons.vpc-cni.configuration_values).enableNetworkPolicy == "true" && local.addons.eks-pod-identity-agent.before_compute
    error_message = "pods would start without policies or without roles"
  }
}
