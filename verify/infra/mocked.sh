# shellcheck shell=bash
# Runs Terraform itself, where its AWS provider cannot be downloaded: `validate` of every folder and every test with a mocked
# provider, in a copy of the tree, against a stand-in that offers the provider's schema and nothing else. Modules of the
# registry become folders with the variables and outputs that their recorded lists name. Sourced by run.
# shellcheck disable=SC2154  # root, out, python are run's

tree=$root/$out/tree
# The one version that the root folders name.
aws=$(sed -n 's/^ *version = "\([0-9.]*\)"$/\1/p' terraform/bootstrap/versions.tf)
mirror=$root/$out/mirror/registry.terraform.io/hashicorp/aws/$aws/$(go env GOOS)_$(go env GOARCH)
rm -rf "$tree" "$root/$out/mirror"
mkdir -p "$mirror" "$tree/registry"
go_module verify/infra/provider . terraform-provider-aws
cp "$tools/terraform-provider-aws" "$mirror/terraform-provider-aws_v$aws"
"$python" verify/infra/provider_schema.py terraform "$root/target/npm/node_modules/@cdktf/provider-aws/.jsii" "$root/$out/schema.json" >/dev/null

cp -r terraform/. "$tree/"
find "$tree" -name '.terraform*' -not -name '.tflint.hcl' -prune -exec rm -rf {} +
for recorded in verify/infra/modules/*.outputs.txt; do
  name=$(basename "$recorded" .outputs.txt)
  module=$tree/registry/${name%-*}
  mkdir -p "$module"
  grep -v '^#' "verify/infra/modules/$name.txt" | sed '/^$/d; s/.*/variable "&" {\n  type    = any\n  default = null\n}/' >"$module/variables.tf"
  # An output that nobody knows yet, of any type.
  { echo 'resource "terraform_data" "later" {}'; grep -v '^#' "$recorded" | sed '/^$/d; s/.*/output "&" {\n  value = terraform_data.later.output\n}/'; } >"$module/outputs.tf"
  grep -rlE "source +=.*/${name%-*}/aws\"" "$tree/modules" | while read -r file; do
    sed -i -E "s#(source +=) \"[^\"]*/${name%-*}/aws\"#\1 \"../../registry/${name%-*}\"#; /^  version +=/d" "$file"
  done
done

cat >"$root/$out/mirrored" <<CONFIG
provider_installation {
  filesystem_mirror {
    path = "$root/$out/mirror"
  }
}
CONFIG

mocked() { # mocked <folder> <command...>
  local folder=$1
  shift
  (
    unset TF_DATA_DIR
    export TF_CLI_CONFIG_FILE=$root/$out/mirrored HODOSCOPE_PROVIDER_SCHEMA=$root/$out/schema.json
    [ -d "$tree/$folder/.terraform" ] || terraform -chdir="$tree/$folder" init -backend=false -input=false -no-color || exit 1
    terraform -chdir="$tree/$folder" "$@" -no-color
  )
}

for folder in bootstrap $(cd terraform && echo envs/* modules/*); do
  check "terraform validate: $folder" mocked "$folder" validate
done

for tests in terraform/modules/*/tests; do
  module=$(basename "$(dirname "$tests")")
  # Runs without a provider, and did.
  [ "$module" != policies ] || continue
  mocked "modules/$module" test >"$out/$module.log" 2>&1 || true
  sed -n "s/^  run \"\(.*\)\"\.\.\. pass\$/ok    $module: \1/p; s/^  run \"\(.*\)\"\.\.\. fail\$/FAIL  $module: \1/p" "$out/$module.log" | tr _ ' ' >"$out/$module.lines"
  count "$out/$module.lines"
  check "the tests of $module ran" finished "$out/$module.log"
done
