# shellcheck shell=bash
# Runs the scripts of the workflows where they need no cloud: a registry on loopback, stand-ins for terraform and docker that
# write down what they were told. Sourced by run.
# shellcheck disable=SC2154  # root and out are run's

# helm/push, to a real OCI registry
port=${REGISTRY_PORT:-21720}
crane registry serve --address "127.0.0.1:$port" >"$out/registry.log" 2>&1 &
registry=$!
trap 'kill "$registry" 2>/dev/null || true' EXIT
export HELM_FLAGS=--plain-http
for _ in $(seq 300); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
push() { helm/push "oci://127.0.0.1:$port/charts"; }
check "the chart is pushed" push
again() { push >"$out/again" && grep -q "with the same files" "$out/again"; }
check "the same chart again is no change" again
raised() { # another chart under the same version, from a copy of the tree
  rm -rf "$out/tree"
  mkdir -p "$out/tree/target/tools"
  cp -r helm "$out/tree/"
  ln -s "$root/target/tools/helm" "$out/tree/target/tools/helm"
  echo "# changed" >>"$out/tree/helm/hodoscope/values.yaml"
  (cd "$out/tree" && helm/push "oci://127.0.0.1:$port/charts")
}
refuses "another chart under the same version" "raise the version" raised
refuses "a registry that does not answer" "cannot tell" helm/push "oci://127.0.0.1:1/charts"

# argocd/propose-image, at first without its pull request
image=registry.example/hodoscope@sha256:$(printf '%064d' 1)
proposed() {
  rm -rf "$out/tree"
  mkdir -p "$out/tree"
  cp -r argocd "$out/tree/"
  (cd "$out/tree" && argocd/propose-image --dry-run "$@" && cat "argocd/environments/$1.yaml")
}
named() { [ "$(proposed staging "$image" | grep -c "^image: $image$")" -eq 1 ]; }
check "an image is named in the environment's values" named
renamed() { # twice: the second replaces the first
  proposed staging "registry.example/hodoscope@sha256:$(printf '%064d' 2)" >/dev/null
  (cd "$out/tree" && argocd/propose-image --dry-run staging "$image" && [ "$(grep -c '^image: ' argocd/environments/staging.yaml)" -eq 1 ] && grep -q "$image" argocd/environments/staging.yaml)
}
check "a newer image takes its place" renamed
refuses "an image by tag" "not named by digest" proposed staging registry.example/hodoscope:latest
refuses "an environment that does not exist" "no environment" proposed nowhere "$image"
# shellcheck source=verify/workflows/proposing.sh
source verify/workflows/proposing.sh

# terraform/plan, with a stand-in for terraform
cat >"$out/terraform" <<'FAKE'
#!/usr/bin/env bash
echo "$*" >>"$TOLD"
for argument in "$@"; do
  case $argument in -out=*) echo "a plan" >"${argument#-out=}" ;; -var-file=*) cat "${argument#-var-file=}" >>"$TOLD" ;; esac
done
case "$*" in *" apply "*) cat "${@: -1}" >>"$TOLD" ;; esac
FAKE
chmod +x "$out/terraform"
export TOLD=$out/told TERRAFORM=$out/terraform TF_STATE_BUCKET=state AWS_REGION=eu-central-1 PLAN_PASSPHRASE=a-long-enough-passphrase TF_VARIABLES='name = "x"'
sealed=$root/target/terraform/dev.plan.enc
rm -f "$sealed" "$TOLD"
refuses "applying without a plan" "only a reviewed plan" terraform/plan dev apply
check "a plan is sealed" terraform/plan dev plan
unreadable() { ! grep -q "a plan" "$sealed"; }
check "and cannot be read" unreadable
applied() { : >"$TOLD"; terraform/plan dev apply && grep -q "^a plan" "$TOLD" && ! grep -q " plan " "$TOLD"; }
check "that plan is applied, and no other is made" applied
tables() { grep -c dynamodb_table "$TOLD" || true; }
by_file() { : >"$TOLD"; terraform/plan dev plan >/dev/null && [ "$(tables)" -eq 0 ]; }
check "no table locks unless it is named" by_file
by_table() { : >"$TOLD"; TF_LOCK_TABLE=locks terraform/plan dev plan >/dev/null && grep -q -- '-backend-config=dynamodb_table=locks' "$TOLD"; }
check "a table that is named does" by_table
other_key() { PLAN_PASSPHRASE=another-long-enough-passphrase terraform/plan dev apply; }
refuses "a plan sealed with another passphrase" "another passphrase" other_key
costly() { # a guess of the passphrase must cost more than one hash
  python - "$sealed" <<'GUESS'
import hmac, os, sys
tag, sealed = open(sys.argv[1], "rb").read().split(b"\n", 1)
assert len(tag) == 64 and sealed.startswith(b"Salted__")
head = os.popen("git rev-parse HEAD").read().strip()
for said in [b"", f"dev {head}\n".encode()]:
    assert hmac.new(os.environb[b"PLAN_PASSPHRASE"], said + sealed, "sha256").hexdigest().encode() != tag
GUESS
}
check "the passphrase itself is not the key of the tag" costly
cp "$sealed" "$out/sealed"
flipped() { # flipped <offset>: of the tag, the salt, the last block
  python -c 'import sys; at = int(sys.argv[3]); b = bytearray(open(sys.argv[1], "rb").read()); b[at] ^= 1; open(sys.argv[2], "wb").write(b)' "$out/sealed" "$sealed" "$1"
  terraform/plan dev apply
}
for offset in 0 73 -1; do refuses "a plan that was changed at byte $offset" "was changed" flipped "$offset"; done
longer() { { cat "$out/sealed"; printf x; } >"$sealed"; terraform/plan dev apply; }
refuses "a plan that was changed at its end" "was changed" longer
elsewhere() { cp "$out/sealed" "$root/target/terraform/prod.plan.enc"; terraform/plan prod apply; }
refuses "the plan of another environment" "made for another environment" elsewhere
rm -f "$root/target/terraform/prod.plan.enc"
later() { # in a repository of its own
  rm -rf "$out/tree"
  mkdir -p "$out/tree/terraform/envs/dev"
  cp terraform/plan "$out/tree/terraform/"
  cd "$out/tree" || return
  git init -q
  commit() { git -c user.name=x -c user.email=x@x commit -q --allow-empty -m "$1"; }
  commit one && terraform/plan dev plan && terraform/plan dev apply || return 0
  commit two && terraform/plan dev apply
}
refuses "a plan of another commit" "at another commit" later
short() { PLAN_PASSPHRASE=short terraform/plan dev plan; }
refuses "a short passphrase" "20 characters" short
refuses "an environment without Terraform" "no environment" terraform/plan nowhere plan

# .github/scripts/plan-run, with a stand-in for gh that knows one run
mkdir -p "$out/bin"
cat >"$out/bin/gh" <<'FAKE'
#!/usr/bin/env bash
[ "$*" = "api repos/owner/repo/actions/runs/17" ] && echo "$RUN" || { echo "gh: Not Found (HTTP 404)" >&2; exit 1; }
FAKE
chmod +x "$out/bin/gh"
# plan_run [<field> <another value>]
plan_run() {
  local field=${1:-event} value=${2:-push}
  RUN=$(python - "$field" "$value" <<'RUN'
import json, sys
run = dict(path=".github/workflows/terraform.yml", event="push", head_branch="main", head_sha="c0ffee", conclusion="success", head_repository="owner/repo")
run[sys.argv[1]] = sys.argv[2] or None
print(json.dumps(run | {"head_repository": {"full_name": run["head_repository"]}}))
RUN
  ) PATH=$out/bin:$PATH GITHUB_REPOSITORY=owner/repo GITHUB_SHA=c0ffee .github/scripts/plan-run "${run_id:-17}"
}
check "a plan of a push to main may be applied" plan_run
check "and of a run by hand" plan_run event workflow_dispatch
check "however GitHub tells its path" plan_run path .github/workflows/terraform.yml@main
refuses "a run of another branch" "of main" plan_run head_branch feature
refuses "a run of another workflow" "terraform.yml's" plan_run path .github/workflows/evil.yml
refuses "a run of a fork" "fork/repo" plan_run head_repository fork/repo
refuses "a run at another commit" "at c0ffee" plan_run head_sha decaf
refuses "a run that failed" "a success" plan_run conclusion failure
refuses "a run that goes on" "a success" plan_run conclusion ""
refuses "a run of a pull request" "pull_request" plan_run event pull_request
unknown() { run_id=18 plan_run; }
refuses "a run that GitHub does not know" "404" unknown
no_run() { run_id=../../x plan_run; }
refuses "a run that is no number" "no run's id" no_run

# .github/scripts/version
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
check "a tag of the version of executable and chart" .github/scripts/version "v$version"
refuses "another tag" "Cargo.toml says $version" .github/scripts/version v999.0.0
refuses "a tag without its v" "the tag is $version;" .github/scripts/version "$version"
other_version() { # other_version <sed expression>: the chart alone has another version
  rm -rf "$out/tree"
  mkdir -p "$out/tree/.github/scripts" "$out/tree/helm/hodoscope"
  cp .github/scripts/version "$out/tree/.github/scripts/"
  cp Cargo.toml "$out/tree/"
  sed "$1" helm/hodoscope/Chart.yaml >"$out/tree/helm/hodoscope/Chart.yaml"
  "$out/tree/.github/scripts/version" "v$version"
}
refuses "a chart of another version" "helm/hodoscope/Chart.yaml 9.9.9" other_version 's/^version: .*/version: 9.9.9/'
refuses "a chart for another executable" "appVersion 9.9.9" other_version 's/^appVersion: .*/appVersion: 9.9.9/'

# image/push, with a stand-in for docker and a registry of one tag
cat >"$out/docker" <<FAKE
#!/usr/bin/env bash
echo "\$*" >>"\$TOLD"
there=$out/there
case "\$*" in
  "pull "*) [ -z "\${DOWN:-}" ] || { echo "dial tcp: i/o timeout"; exit 1; }; [ -f "\$there" ] || { echo "manifest unknown"; exit 1; } ;;
  "push "*) echo ours >"\$there" ;;
  *RepoDigests*) [ -n "\${LOST:-}" ] || { echo "other.example/x@sha256:$(printf '%064d' 3)"; echo "$image"; } ;;
  *.Id*" registry.example/"*) cat "\$there" ;;
  *.Id*) echo ours ;;
esac
FAKE
chmod +x "$out/docker"
pushes() {
  : >"$TOLD"
  NO_LOGIN=1 DOCKER=$out/docker REPOSITORY=registry.example/hodoscope TAG=v1 image/push >"$out/pushed"
}
pushed() { pushes && grep -qx "image=$image" "$out/pushed" && grep -q "^tag localhost/hodoscope:latest registry.example/hodoscope:v1" "$TOLD" && grep -q ^push "$TOLD"; }
check "a pushed image is told by its digest" pushed
repeated() { pushes && grep -qx "image=$image" "$out/pushed" && ! grep -q ^push "$TOLD"; }
check "the same image again is not pushed, and told again" repeated
another() { echo theirs >"$out/there" && pushes; }
refuses "another image under the same tag" "registry.example/hodoscope:v1 is there already as another image, theirs, not ours" another
down() { DOWN=1 pushes; }
refuses "a registry of images that does not answer" "cannot tell" down
lost() { rm -f "$out/there"; LOST=1 pushes; }
refuses "an image without a digest" "no digest" lost

# shellcheck source=verify/workflows/charts.sh
source verify/workflows/charts.sh

# shellcheck source=verify/workflows/training.sh
source verify/workflows/training.sh
