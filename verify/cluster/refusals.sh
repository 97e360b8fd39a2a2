# shellcheck shell=bash
# Faults that the server must refuse: each is an admitted object of the full rendering with one change. That the objects are
# admitted without it is checked above. Sourced by run.
# shellcheck disable=SC2154  # root, out, chart, python and strict are run's

space=hodoscope-faults
restricted "$space" >/dev/null
rendering=$out/full.yaml
parts only "$rendering" ServiceAccount | kubectl apply -n "$space" -f - >/dev/null
serving=hodoscope
box=/spec/template/spec/containers/0
# changed <kind> <name> <JSON patch>: the object with the change, tried.
changed() {
  parts object "$rendering" "$1" "$2" | kubectl patch --local -f - --type=json -p "$3" -o json |
    kubectl apply "${strict[@]}" -n "$space" -f -
}
put() { printf '[{"op":"add","path":"%s","value":%s}]' "$1" "$2"; }

refuses "a port that is none" "must be between 1 and 65535" changed Deployment $serving "$(put $box/ports/0/containerPort 99999)"
refuses "a field that is unknown" "unknown field" changed Deployment $serving "$(put $box/readinesProbe '{"httpGet":{"port":80}}')"
refuses "a container's name twice" "Duplicate value" changed Deployment $serving "$(put /spec/template/spec/containers/1 '{"name":"hodoscope","image":"x"}')"
refuses "a volume that nobody declares" "Not found" changed Deployment $serving "$(put $box/volumeMounts/0/name '"chanel"')"
refuses "a setting twice, of which one is hidden" "hides previous definition" changed Deployment $serving "$(put $box/env/- '{"name":"HODOSCOPE_STORE","value":"s3://other"}')"
refuses "a memory limit under the request" "less than or equal to memory limit" changed Deployment $serving "$(put $box/resources/limits/memory '"1Mi"')"
refuses "pods that their own selector misses" "selector" changed Deployment $serving "$(put /spec/template/metadata/labels/app.kubernetes.io~1component '"other"')"
refuses "a Service's port twice" "Duplicate value" changed Service $serving "$(put /spec/ports/- '{"name":"data","port":9090}')"
refuses "a schedule that is none" "schedule" changed CronJob hodoscope-drift "$(put /spec/schedule '"61 1 * * *"')"
refuses "a time zone that is none" "timeZone" changed CronJob hodoscope-drift "$(put /spec/timeZone '"Mars/Base"')"
refuses "a policy's network that is none" "cidr" changed NetworkPolicy hodoscope "$(put /spec/egress/1/to '[{"ipBlock":{"cidr":"10.0.0.0/33"}}]')"
refuses "a budget with two meanings" "cannot be both set" changed PodDisruptionBudget hodoscope "$(put /spec/minAvailable 1)"
refuses "an autoscaler whose least is above its most" "maxReplicas" changed HorizontalPodAutoscaler hodoscope "$(put /spec/minReplicas 99)"
refuses "an alert that waits for no duration" "spec.groups" changed PrometheusRule hodoscope "$(put /spec/groups/0/rules/0/for '"soon"')"
refuses "a monitor's field that is unknown" "unknown field" changed ServiceMonitor hodoscope "$(put /spec/endpoints/0/pth '"/metrics"')"
refuses "a Deployment that asks for a privilege: by the warning" "would violate PodSecurity" changed Deployment $serving "$(put $box/securityContext/capabilities/add '["NET_ADMIN"]')"

echo "-- what the restricted profile must refuse"
parts pods "$rendering" >"$out/pods.json"
# pod <JSON patch>: the serving pod with the change, tried.
pod() {
  parts object "$out/pods.json" Pod deployment-hodoscope |
    kubectl patch --local -f - --type=json -p "$1" -o json | kubectl create "${strict[@]}" -n "$space" -f -
}
check "the serving pod as it is, is admitted" pod '[]'
one=/spec/containers/0/securityContext
violates() { refuses "$1" 'violates PodSecurity "restricted' pod "$2"; }
# Privileged needs the escalation, too, or it is refused as nonsense.
violates "a privileged pod" "[{\"op\":\"add\",\"path\":\"$one/privileged\",\"value\":true},{\"op\":\"add\",\"path\":\"$one/allowPrivilegeEscalation\",\"value\":true}]"
violates "a pod whose programs may gain privileges" "$(put $one/allowPrivilegeEscalation true)"
violates "a pod that keeps capabilities" "[{\"op\":\"remove\",\"path\":\"$one/capabilities\"}]"
violates "a pod with a capability more" "$(put $one/capabilities/add '["NET_ADMIN"]')"
violates "a pod that runs as root" "$(put /spec/securityContext/runAsUser 0)"
violates "a pod that may run as root" "[{\"op\":\"remove\",\"path\":\"/spec/securityContext/runAsNonRoot\"}]"
violates "a pod without a seccomp profile" "[{\"op\":\"remove\",\"path\":\"/spec/securityContext/seccompProfile\"}]"
violates "a pod on the node's network" "$(put /spec/hostNetwork true)"
violates "a pod with a folder of the node" "$(put /spec/volumes/- '{"name":"host","hostPath":{"path":"/"}}')"
refuses "a pod of an account that is not there" "not found" pod "$(put /spec/serviceAccountName '"other"')"
refuses "a pod of a priority that is not there" "no PriorityClass" pod "$(put /spec/priorityClassName '"other"')"

echo "-- what Helm and Argo CD's types must refuse"
# Helm's --dry-run=server asks the server which kinds and names there are, but shows it no object: only an install does.
cp -r "$chart" "$out/port"
sed -i 's/containerPort: 8080/containerPort: 99999/' "$out/port/templates/serve.yaml"
space=hodoscope-others
restricted "$space" >/dev/null
helm_port() { helm install hodoscope "$out/port" -n "$space" --no-hooks --values "$chart/ci/full-values.yaml"; }
refuses "helm install with that port" "must be between 1 and 65535" helm_port
helm uninstall hodoscope -n "$space" >/dev/null
kubectl create configmap hodoscope-channel -n "$space" >/dev/null
taken() { helm install hodoscope "$chart" -n "$space" --values "$chart/ci/full-values.yaml"; }
refuses "an install over a name that is someone else's" "invalid ownership metadata" taken
selector() {
  kubectl get deployment hodoscope -n hodoscope-staging -o json | kubectl patch --local -f - --type=json -p "$(put /spec/selector/matchLabels/more '"label"')" -o json |
    kubectl patch --local -f - --type=json -p "$(put /spec/template/metadata/labels/more '"label"')" -o json | kubectl replace -n hodoscope-staging -f -
}
refuses "another selector of a Deployment that is there" "field is immutable" selector
rendering=argocd/applications.yaml
space=argocd
refuses "an application set whose field is unknown" "unknown field" changed ApplicationSet hodoscope "$(put /spec/syncPolcy '{}')"
refuses "an application set that names no project" "project: Required" changed ApplicationSet hodoscope '[{"op":"remove","path":"/spec/template/spec/project"}]'
rendering=$out/applications.json
refuses "an application whose retries are a text" "limit" changed Application hodoscope-staging "$(put /spec/syncPolicy/retry/limit '"three"')"
refuses "an application without a destination" "destination: Required" changed Application hodoscope-staging '[{"op":"remove","path":"/spec/destination"}]'
rendering=argocd/project.yaml
refuses "a project that allows a kind without a name" "kind: Required" changed AppProject hodoscope "$(put /spec/namespaceResourceWhitelist/- '{"group":"apps"}')"
unknown_kind() { sed 's/kind: Job}/kind: Jop}/' argocd/project.yaml >"$out/project.yaml" && kubectl api-resources | parts scopes "$out/project.yaml"; }
refuses "a project that allows a kind that there is not" "does not know so" unknown_kind
wide() { sed 's/clusterResourceWhitelist: \[\]/clusterResourceWhitelist: [{group: apps, kind: Deployment}]/' argocd/project.yaml >"$out/project.yaml" && kubectl api-resources | parts scopes "$out/project.yaml"; }
refuses "a project that allows a kind in another scope" "does not know so" wide
