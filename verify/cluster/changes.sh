# shellcheck shell=bash
# What is really stored, and then changed: by Argo CD's way (apply, hooks apart) and by Helm's. Nothing runs, so "no restart"
# is read from what the server stores: a Deployment whose generation stays has the pod template that it had. Sourced by run.
# shellcheck disable=SC2154  # root, out, chart, version and python are run's

pin() { printf 'detectors: {pump: {active: {version: %s, digest: "sha256:%064d"}}}\n' "$1" "$2"; }
image() { printf 'registry.example/hodoscope@sha256:%064d' "$1"; }
generation() { kubectl get deployment hodoscope -n "$1" -o 'jsonpath={.metadata.generation}'; }
delivered() { kubectl get configmap hodoscope-channel -n "$1" -o 'jsonpath={.data.channel\.json}' | grep -F -- "$2"; }
versions() { # versions <namespace>: every object but Jobs, and events
  kubectl get -n "$1" -o 'custom-columns=:kind,:metadata.name,:metadata.resourceVersion' --no-headers \
    "${ours/job,/}" | awk '{print $1"/"$2, $3}' | sort
}

echo "-- as Argo CD applies"
space=hodoscope-staging
tree=$out/tree
mkdir -p "$tree/registry"
cp -r argocd "$tree/"
cp -r registry/channels "$tree/registry/"
merged() { # merged <rendering> <pin> [<arguments of helm…>]: what Argo CD renders once a pin is merged
  echo "$2" >"$tree/registry/channels/staging/pump.yaml"
  arguments_of staging "$tree"
  helm template "${arguments[0]}" "$chart" --namespace "$space" --kube-version "$version" "${arguments[@]:1}" "${@:3}" >"$out/$1.whole.yaml"
  parts without "$out/$1.whole.yaml" Job >"$out/$1.json"
  parts only "$out/$1.whole.yaml" Job >"$out/$1.hook.json"
}
applied() { kubectl apply --validate=strict --warnings-as-errors -n "$space" -f "$out/$1.json"; }
differs() { # differs <rendering>: the objects that `kubectl diff` shows
  local shown status=0
  shown=$(KUBECTL_EXTERNAL_DIFF='diff -q -r' kubectl diff -n "$space" -f "$out/$1.json") || status=$?
  [ "$status" -le 1 ] || return "$status"
  sed -n 's|^Files .*/LIVE-[0-9]*/\([^ ]*\) and .*|\1|p; s|^Only in [^:]*: |only |p' <<<"$shown"
}
only_differs() { diff <(differs "$1") <(printf '%s' "${2:+$2$'\n'}"); }
unchanged() { diff <(versions "$space") <(applied "$1" >/dev/null && versions "$space"); }
channel=v1.ConfigMap.$space.hodoscope-channel

merged first "$(pin 1.0.0 1)"
merged second "$(pin 1.1.0 2)"
merged imaged "$(pin 1.1.0 2)" --set "image=$(image 7)"
check "a first sync" applied first
check "its PostSync Job" kubectl create --validate=strict --warnings-as-errors -n "$space" -f "$out/first.hook.json"
check "afterwards nothing differs from what is stored" only_differs first ""
check "a second sync of the same changes nothing" unchanged first
kubectl scale deployment hodoscope -n "$space" --replicas=4 >/dev/null
check "the autoscaler's replicas are no difference" only_differs first ""
before=$(generation "$space")
check "a promotion differs by the channel's ConfigMap alone" only_differs second "$channel"
check "and is taken" applied second
check "with its pin" delivered "$space" 1.1.0
check "pod templates and replicas stay: no restart" [ "$(generation "$space")" = "$before" ]
check "going back differs by the ConfigMap alone" only_differs first "$channel"
check "and is taken, too" applied first
check "with the pin from before" delivered "$space" 1.0.0
check "again without a restart" [ "$(generation "$space")" = "$before" ]
check "another image is taken" applied imaged
check "and does restart" [ "$(generation "$space")" -gt "$before" ]
# Jobs are immutable: what Argo CD does with a hook is to delete the last one before it makes the next.
job_applied() { kubectl apply --validate=strict -n "$space" -f "$out/imaged.hook.json"; }
refuses "the Job of another image over the last one" "field is immutable" job_applied
job_as_hook() { kubectl delete -n "$space" -f "$out/imaged.hook.json" && kubectl create --validate=strict -n "$space" -f "$out/imaged.hook.json"; }
check "as a hook, the last one deleted first, it is taken" job_as_hook
drift_by_hand() { kubectl create job --from=cronjob/hodoscope-drift drift-now -n hodoscope-full --dry-run=server --warnings-as-errors; }
kubectl apply -n hodoscope-full -f "$out/full.yaml" >/dev/null
check "the drift job can be run by hand" drift_by_hand

echo "-- as Helm installs"
space=hodoscope-helm
restricted "$space" >/dev/null
# Hooks wait for their Job; there is no controller, so this ends every Job as if it had succeeded, and notes it.
ended() {
  local job uid now
  while sleep 0.2; do
    kubectl get jobs -n "$space" -o custom-columns=:.metadata.name,:.metadata.uid,:.status.startTime --no-headers 2>/dev/null | while read -r job uid now; do
      [ "$now" = "<none>" ] || continue
      now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
      condition() { printf '{"type":"%s","status":"True","lastTransitionTime":"%s","lastProbeTime":"%s"}' "$1" "$now" "$now"; }
      kubectl patch job "$job" -n "$space" --subresource=status --type=merge -p \
        "{\"status\":{\"startTime\":\"$now\",\"completionTime\":\"$now\",\"succeeded\":1,\"conditions\":[$(condition SuccessCriteriaMet),$(condition Complete)]}}" >/dev/null && echo "$uid"
    done
  done >"$out/ended"
}
ended &
servers+=($!)
# The chart before its last change, or before the change that CI checks.
previous=${CI_BASE:-}
git cat-file -e "${previous:-none}^{commit}" 2>/dev/null || previous=$(git rev-list -n 2 HEAD -- "$chart" | tail -n 1)
git archive "$previous" "$chart" | tar -x -C "$tree"
full=("$chart/ci/full-values.yaml")
install_previous() { helm install hodoscope "$tree/$chart" -n "$space" --no-hooks --values "$tree/${full[0]}"; }
upgrade() { helm upgrade hodoscope "$chart" -n "$space" --timeout 60s --values "${full[0]}" "$@"; }
check "the chart of ${previous:0:12} installs" install_previous
check "it is upgraded to this one" upgrade
check "and to another image" upgrade --set "image=$(image 8)"
versions "$space" >"$out/versions.before"
generation=$(generation "$space")
promote=(--set "image=$(image 8)" --set detectors.pump.active.version=1.2.1 --set "detectors.pump.active.digest=sha256:$(printf '%064d' 3)")
check "a promotion by Helm" upgrade "${promote[@]}"
changed_since() { diff <(versions "$space") "$out/versions.before" | sed -n 's/^< \(.*\) .*/\1/p'; }
only_channel() { [ "$(changed_since)" = ConfigMap/hodoscope-channel ] || { changed_since && return 1; }; }
check "changes the channel's ConfigMap alone" only_channel
check "with its pin" delivered "$space" 1.2.1
check "helm rollback goes back" helm rollback hodoscope -n "$space" --timeout 60s
check "by the ConfigMap alone" only_channel
check "with the pin from before" delivered "$space" 1.2.0
check "and no restart in all of it" [ "$(generation "$space")" = "$generation" ]
check "each of the four waited for a Job of its own" [ "$(sort -u "$out/ended" | wc -l)" -ge 4 ]
