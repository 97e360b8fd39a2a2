# shellcheck shell=bash
# Breaks one thing at a time in a copy of the Terraform (mocked.sh's, which can be run) and demands that the check whose matter
# it is refuses it, and says why. Sourced by run.
# shellcheck disable=SC2154  # root, out, python, tree are run's and mocked.sh's

copy=$root/$out/broken
rm -rf "$copy"
mkdir -p "$copy/helm"
cp -r argocd "$copy/"
cp -r helm/hodoscope "$copy/helm/"

# broken <file of terraform/> <sed expression> <command…>
broken() {
  local file=$copy/terraform/$1
  rm -rf "$copy/terraform"
  cp -a "$tree" "$copy/terraform"
  sed -i "$2" "$file"
  ! cmp -s "$tree/$1" "$file" || {
    echo "the change changed nothing"
    return 0
  }
  "${@:3}"
}
lines() { ! "$python" "$@" | grep '^FAIL'; }
tests() { # tests <module>
  (
    unset TF_DATA_DIR
    export TF_CLI_CONFIG_FILE=$root/$out/mirrored HODOSCOPE_PROVIDER_SCHEMA=$root/$out/schema.json
    terraform -chdir="$copy/terraform/modules/$1" test -no-color
  )
}
scan() { # scan <folder>
  "$root/target/venv/infra/bin/checkov" --directory "$copy/terraform/$1" --framework terraform --skip-download --compact \
    --config-file verify/infra/checkov.yaml --output json >"$out/broken.json" 2>/dev/null || true
  lines verify/infra/checkov.py "$copy/terraform/$1" <"$out/broken.json"
}
jsii=$root/target/npm/node_modules/@cdktf/provider-aws/.jsii

refuses "a bucket open to the public" "the bucket is open to the public" \
  broken modules/bucket/main.tf '/block_public_policy/s/true/false/' tests bucket
refuses "a bucket without our key" "objects must be encrypted by the given key" \
  broken modules/bucket/main.tf 's/"aws:kms"/"AES256"/' tests bucket
refuses "the state open to the public" "aws_s3_bucket_public_access_block.state" \
  broken bootstrap/main.tf '/block_public_policy/s/true/false/' scan bootstrap
refuses "a role with a wildcard" "an action with a wildcard" \
  broken modules/policies/pods.tf '/ReadReleases/s/s3:GetObject/s3:Get*/' tests policies
refuses "a drift job that deletes" "a role may delete" \
  broken modules/policies/pods.tf '/WriteVerdicts/s/\["s3:PutObject"\]/["s3:PutObject", "s3:DeleteObject"]/' tests policies
refuses "a bucket of releases that forgets" "nothing is deleted" \
  broken modules/policies/buckets.tf '/for bucket in/s/\["releases", "charts"\]/["charts", "capture"]/; s/local.nothing_is_deleted.releases/local.nothing_is_deleted.charts/' tests policies
refuses "a workflow of any ref that applies" "every role is bound to main" \
  broken modules/policies/trust.tf 's#apply = "refs/heads/main"#apply = "*"#' tests policies
refuses "a plan that cannot list" "terraform init must list" \
  broken modules/policies/workflows.tf '/FindState/,/Condition/s/s3:ListBucket/s3:GetObject/' tests policies
refuses "a cluster without volumes" "no claim is ever bound" \
  broken modules/cluster/main.tf '/pod_identity_association/s/ebs-csi-controller-sa/default/' tests cluster
refuses "a copy of releases that takes over deletions" "encrypted objects too" \
  broken modules/storage/replica.tf 's/"Disabled"/"Enabled"/' tests storage
refuses "production without a copy" 'has_a_second_copy_of_its_releases"... fail' \
  broken modules/platform/variables.tf 's/|| !var.protected/|| var.replica == null/' tests platform
refuses "a provider of any version" "envs/prod/versions.tf" \
  broken envs/prod/versions.tf 's/"6\./">= 6./' pinned "$copy/terraform"
refuses "nodes too small for the pods" "staging: 2 pods" \
  broken envs/dev/main.tf 's/c7a.xlarge/c7a.large/' lines verify/infra/nodes.py "$copy"
refuses "a value that the chart does not take" "stores" \
  broken modules/platform/outputs.tf 's/^    store  /    stores /' lines verify/infra/chart.py "$copy"
refuses "an attribute that the provider does not have" "no attribute \`isPublic\`" \
  broken modules/tracking/main.tf 's/publicly_accessible/is_public/' lines verify/infra/schema.py "$copy/terraform/modules/tracking" "$jsii" verify/infra/modules
refuses "a name that nobody declares" "var.replicas is not declared" \
  broken modules/storage/replica.tf 's/var.replica ==/var.replicas ==/' lines verify/infra/references.py "$copy/terraform" verify/infra/modules
