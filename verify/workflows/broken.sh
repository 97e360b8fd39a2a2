# shellcheck shell=bash
# The rules, each seen to fail: a copy of the repository with one thing broken must be refused, by its name. Sourced by run.
# shellcheck disable=SC2154,SC2016  # root and out are run's; what is in single quotes is for sed

copy=$out/broken
: >"$out/broken.seen"
# broken <file> <sed expression>: of the copy only that file is its own, the rest are links.
broken() {
  local entry
  rm -rf "$copy"
  mkdir -p "$copy"
  for entry in "$root"/* "$root"/.github; do
    [ "$entry" = "$root/target" ] || ln -s "$entry" "$copy/"
  done
  rm "${copy:?}/${1%%/*}"
  cp -r "$root/${1%%/*}" "$copy/"
  sed -i -E "$2" "$copy/$1"
  ! cmp -s "$root/$1" "$copy/$1" || {
    echo "the change changed nothing"
    return 0
  }
  python verify/workflows/rules.py "$copy" >"$out/broken.lines"
  grep '^FAIL' "$out/broken.lines" >>"$out/broken.seen"
  ! grep '^FAIL' "$out/broken.lines"
}
flows=.github/workflows
refuses "an action by its tag" "checkout@v7" broken $flows/ci.yml '0,/checkout@[0-9a-f]{40} # v7.0.1/s//checkout@v7/'
refuses "an action of two commits" "actions/checkout" broken $flows/ci.yml '0,/checkout@3d3c/s//checkout@3d3d/'
refuses "the right to take a role at the top" "train-model.yml" broken $flows/train-model.yml 's/^permissions: \{\}/permissions: {id-token: write}/'
refuses "a job of every right" "terraform.yml: plan" broken $flows/terraform.yml '0,/^    permissions:/s//    permissions: write-all\n    was:/'
refuses "a job without a time limit" "time limit" broken $flows/ci.yml '0,/^    timeout-minutes: .*/s///'
refuses "a secret in a pull request's job" "ci.yml" broken $flows/ci.yml '0,/      - run: make test/s//&\n        env:\n          TOKEN: ${{ secrets.TOKEN }}/'
refuses "a pull request's job that writes" "'contents', 'write'" broken $flows/security.yml '0,/contents: read/s//contents: write/'
refuses "a pull request that runs with main's rights" "ci.yml" broken $flows/ci.yml 's/^  pull_request:/  pull_request_target:/'
refuses "a role without an environment" "upload-helm.yml: chart" broken $flows/upload-helm.yml '/environment: publish/d'
refuses "a queue that drops who waits" "terraform.yml" broken $flows/terraform.yml '/queue: max/d'
refuses "a queue of another word" "maxx" broken $flows/train-model.yml 's/queue: max/&x/'
refuses "a checkout that leaves its token" "ci.yml: test" broken $flows/ci.yml '0,/persist-credentials: false/s//persist-credentials: true/'
refuses "a build beside the right to take a role" "train-model.yml: train runs make build" broken $flows/train-model.yml 's/run: chmod .*/run: make build/'
refuses "a right that no page grants" "permission-issues" broken $flows/train-model.yml 's/^( *)permission-contents: write/&\n\1permission-issues: write/'
refuses "an environment open to other branches" "train" broken docs/install.md '/^\| `train`/s/branch `main`/any branch/'
refuses "a secret that install does not tell" "MLFLOW_TRACKING_TOKEN" broken docs/install.md 's/, `MLFLOW_TRACKING_TOKEN`//'
refuses "a tag of any version" "upload-helm.yml does not begin with it" broken $flows/upload-helm.yml '/scripts\/version/d'
refuses "a script that is gone" "argocd/propose-picture" broken $flows/build-deploy.yml 's/propose-image/propose-picture/'
refuses "a group that CI forgot" "mlflow" broken $flows/ci.yml 's/ mlflow,//'
refuses "a tested module that CI forgot" "modules/tracking" broken $flows/ci.yml 's/ tracking,//'
refuses "an input that is never sent" "train-model.yml" broken $flows/train-model.yml 's/^      detector:/      detectors:/'
refuses "a setting that does not exist" "STOREHOUSE" broken $flows/train-model.yml 's/HODOSCOPE_STORE:/HODOSCOPE_STOREHOUSE:/'
refuses "a secret for every step" "train-model.yml: train gives" broken $flows/train-model.yml 's/^      DETECTOR: /      KEY: ${{ secrets.APP_PRIVATE_KEY }}\n&/'
refuses "a scanner that may write" "dependencies" broken $flows/security.yml '/^  dependencies:/,/contents: read/s/contents: read/security-events: write/'
refuses "a scan that fails nothing" "Trivy refuses nothing" broken $flows/security.yml 's/exit-code: "1"/exit-code: "0"/'
refuses "a scan of the image that fails nothing" "Trivy refuses nothing" broken $flows/build-deploy.yml 's/exit-code: "1"/exit-code: "0"/'
refuses "findings that are not reported" "trivy: what failed" broken $flows/security.yml '0,/      - if: .*/s//      - if: success()/'
refuses "a proposal without a scan" "what is proposed" broken $flows/build-deploy.yml 's/needs: \[image, scan\]/needs: [image]/'
refuses "a proposal of another revision" "the tag's commit" broken $flows/build-deploy.yml 's/REVISION: .*/REVISION: main/'
refuses "a command of install that does not exist" "promotion" broken docs/install.md 's/^hodoscope (.*) promote /hodoscope \1 promotion /'
refuses "a threat's test that is gone" "nowhere" broken docs/threats.md 's/_at_the_deadline`/_some_day`/'
refuses "a repository that a workflow names" "no file of ours" broken $flows/train-model.yml 's/^name: .*/&\n# git.example/'
all_seen() { diff <(sed -E 's/^[a-zA-Z]+ +//; s/:.*//' "$out/rules.lines" | sort -u) <(sed -E 's/^FAIL +//; s/:.*//' "$out/broken.seen" | sort -u); }
check "every rule was seen to fail" all_seen
