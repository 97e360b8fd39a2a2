# shellcheck shell=bash
# Environments that must stop a sync, made from the real tree by one change each. Sourced by run.
# shellcheck disable=SC2154  # root, out, chart, python and render are run's

scratch=$root/$out/scratch
# changed <shell command…>: a copy of what Argo CD reads, changed by the command, which runs inside it.
changed() {
  rm -rf "$scratch"
  mkdir -p "$scratch/registry"
  cp -r argocd "$scratch/"
  cp -r registry/channels "$scratch/registry/"
  (cd "$scratch" && bash -euc "$1")
}
sync() { # sync <environment>: what Argo CD would do
  local arguments
  arguments_of "$1" "$scratch" && render helm "$1" "${arguments[@]}"
}
sync_after() {
  changed "$1" && sync "$2"
}
channels_after() {
  changed "$1" && "$python" verify/chart/channels.py "$scratch/registry/channels"
}
pin() { printf 'detectors: {%s: {active: {version: %s, digest: "sha256:%064d"}}}' "$1" "$2" 0; }

check "an environment with a pin is taken" sync_after "echo '$(pin pump 1.0.0)' > registry/channels/staging/pump.yaml" staging
check "its channel folder is accepted" channels_after "echo '$(pin pump 1.0.0)' > registry/channels/staging/pump.yaml"
refuses "a sync of an emptied environment" "matched no files" sync_after "rm registry/channels/staging/*" staging
refuses "a sync of a renamed environment" "matched no files" sync_after "mv registry/channels/staging registry/channels/stage" staging
refuses "a sync without _channel.yaml" "_channel.yaml" \
  sync_after "rm registry/channels/staging/_channel.yaml; echo '$(pin pump 1.0.0)' > registry/channels/staging/pump.yaml" staging
refuses "a sync of another environment's files" "are those of \"production\"" \
  sync_after "cp registry/channels/production/_channel.yaml registry/channels/staging/" staging
refuses "a sync of a file that unpins everything" "detectors is null" \
  sync_after "echo 'detectors:' > registry/channels/staging/pump.yaml" staging
refuses "a sync of a detector that is null" "detectors" \
  sync_after "echo 'detectors: {pump: null}' > registry/channels/staging/pump.yaml" staging
refuses "a sync of a pin without a digest" "digest" \
  sync_after "echo 'detectors: {pump: {active: {version: 1.0.0}}}' > registry/channels/staging/pump.yaml" staging
refuses "a sync of a half-written file" "pump.yaml" sync_after "echo 'detectors: {pump: {' > registry/channels/staging/pump.yaml" staging
refuses "one detector in two files" "is in" channels_after \
  "echo '$(pin pump 1.0.0)' > registry/channels/staging/pump.yaml; echo '$(pin pump 1.1.0)' > registry/channels/staging/pump-2.yaml"
refuses "one detector twice in a file" "stands twice" channels_after \
  "printf 'detectors:\n  pump: {}\n  pump: {}\n' > registry/channels/staging/pump.yaml"
refuses "a channel folder without _channel.yaml" "_channel.yaml is missing" channels_after "rm registry/channels/production/_channel.yaml"
refuses "a channel file that Argo CD would not read" "would not read it" channels_after \
  "echo '$(pin pump 1.0.0)' > registry/channels/staging/pump.yml"

bare=$out/scratch-bare
mkdir -p "$bare"
cat registry/channels/staging/_channel.yaml argocd/environments/staging.yaml >"$bare/values.yaml"
refuses "an environment whose values were never filled in" "is missing" render helm staging hodoscope --values "$bare/values.yaml"
old_cluster() { helm template x "$chart" --kube-version 1.29.0 --values "$chart/ci/minimal-values.yaml"; }
refuses "a cluster older than 1.30" "1.30" old_cluster
