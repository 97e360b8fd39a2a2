"""Checks of a rendering that need more than one object, or our own sources, at a time: what schemas cannot see.
`objects.py <repository> <rendering>` prints one line for each check and counts for itself."""

import json
import re
import sys
from pathlib import Path

import yaml

root, rendering = Path(sys.argv[1]), Path(sys.argv[2])
objects = [o for o in yaml.safe_load_all(rendering.read_text()) if o]
SIGNS = {"DIGEST": re.compile(r".+@sha256:[0-9a-f]{64}"), "SETTING": re.compile(r'"([a-z0-9_]+)"')}


def of(kind):
    return [o for o in objects if o["kind"] == kind]


def name(o):
    return f"{o['kind']}/{o['metadata']['name']}"


def selects(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def job(o):
    """The part of a workload that holds its pods' template."""
    return o["spec"]["jobTemplate"]["spec"] if o["kind"] == "CronJob" else o["spec"]


def template(o):
    return job(o)["template"]


def container(o):
    [only] = template(o)["spec"]["containers"]
    return only


def environment(o):
    return {entry["name"]: entry.get("value") for entry in container(o)["env"]}


def ports(o):
    return [port["name"] for port in container(o).get("ports", [])]


deployments = of("Deployment")
jobs = of("CronJob") + of("Job")
workloads = deployments + jobs
serving = [d for d in deployments if "--accept-uploads" not in container(d)["args"]]
uploading = [d for d in deployments if "--accept-uploads" in container(d)["args"]]
following = serving + jobs


def every_pod_meets_the_restricted_profile():
    for d in workloads:
        pod, box = template(d)["spec"], container(d)["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, name(d)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name(d)
        assert box["allowPrivilegeEscalation"] is False and box["capabilities"] == {"drop": ["ALL"]}, name(d)
        assert box["readOnlyRootFilesystem"] is True and not box.get("privileged"), name(d)
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "initContainers")), name(d)
        kinds = {"configMap", "emptyDir"} | ({"secret"} if d in of("CronJob") else set())
        assert all(set(v) & kinds for v in pod["volumes"]), f"{name(d)}: a volume of another kind"


def no_pod_holds_a_token_of_the_cluster():
    for o in workloads:
        assert template(o)["spec"]["automountServiceAccountToken"] is False, name(o)
    for o in of("ServiceAccount"):
        assert o["automountServiceAccountToken"] is False, name(o)


def every_container_has_requests_and_a_memory_limit():
    for d in workloads:
        resources = container(d).get("resources", {})
        assert {"cpu", "memory"} <= set(resources.get("requests", {})), f"{name(d)}: requests"
        assert "memory" in resources.get("limits", {}), f"{name(d)}: no memory limit"
        for volume in template(d)["spec"]["volumes"]:
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], f"{name(d)}: {volume['name']}"


def every_image_is_named_by_digest():
    for d in workloads:
        assert SIGNS["DIGEST"].fullmatch(container(d)["image"]), f"{name(d)}: {container(d)['image']}"


def every_name_stands_once_and_no_secret_is_made():
    names = [name(o) for o in objects]
    assert len(names) == len(set(names)), names
    assert not of("Secret"), "tokens come from Secrets by name, never from values"


def the_channel_is_one_json_document_that_a_swap_of_its_folder_delivers():
    [channel] = [o for o in of("ConfigMap") if "channel.json" in o["data"]]
    assert list(channel["data"]) == ["channel.json"], "one key"
    assert set(json.loads(channel["data"]["channel.json"])) == {"detectors"}
    assert len(channel["data"]["channel.json"]) < 1 << 20, "a ConfigMap cannot hold more"
    assert not re.search(r"-[0-9a-f]{8,}$", channel["metadata"]["name"]), "a hash in the name would restart pods"
    for d in deployments:
        notes = template(d)["metadata"].get("annotations", {})
        assert not [key for key in notes if key.startswith("checksum/")], "a checksum would restart pods"
    for d in workloads:
        mounts = container(d)["volumeMounts"]
        assert not [m for m in mounts if "subPath" in m], f"{name(d)}: subPath never sees a change"
    for d in following:
        [volume] = [v for v in template(d)["spec"]["volumes"] if v.get("configMap") == {"name": channel["metadata"]["name"]}]
        [mount] = [m for m in container(d)["volumeMounts"] if m["name"] == volume["name"]]
        told = [a.partition("=")[2] for a in container(d)["args"] if a.startswith("--channel-dir=")]
        assert (told or [environment(d).get("HODOSCOPE_CHANNEL_DIR")]) == [mount["mountPath"]], name(d)


def every_dashboard_is_its_source_and_has_an_id_of_its_own():
    found = [o for o in of("ConfigMap") if "grafana_dashboard" in o["metadata"]["labels"]]
    assert len(found) in (0, len(list((root / "helm/hodoscope/dashboards").glob("*.json")))), "some are not made"
    for o in found:
        [(file, text)] = o["data"].items()
        assert json.loads(text) == json.loads((root / "helm/hodoscope/dashboards" / file).read_text()), name(o)
    ids = [json.loads(text)["uid"] for o in found for text in o["data"].values()]
    assert len(ids) == len(set(ids)), ids


def every_row_that_the_owner_named_is_where_the_drift_job_looks():
    kept = {o["metadata"]["name"] for o in of("ConfigMap") if any(key.endswith(".csv") for key in o["data"])}
    for d in of("CronJob"):
        mounted = {v["name"]: v["configMap"]["name"] for v in template(d)["spec"]["volumes"] if v.get("configMap", {}).get("name") in kept}
        paths = {m["mountPath"] for m in container(d)["volumeMounts"] if m["name"] in mounted and m["readOnly"]}
        assert set(mounted.values()) == kept and paths == {environment(d).get("HODOSCOPE_EXPECTATIONS")} - {None}, name(d)


def no_two_workloads_share_an_account_and_only_serving_has_a_data_port():
    accounts = {o["metadata"]["name"] for o in of("ServiceAccount")}
    used = [template(d)["spec"]["serviceAccountName"] for d in workloads]
    assert set(used) == accounts and len(used) == len(set(used)), f"{used} of {accounts}"
    roles = [o["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn") for o in of("ServiceAccount")]
    assert len(set(roles) - {None}) == len([r for r in roles if r]), f"one role twice: {roles}"
    for d in uploading:
        assert [p["name"] for p in container(d)["ports"]] == ["admin"], f"{name(d)}: has a data port"
        assert "HODOSCOPE_TOKEN" in environment(d), f"{name(d)}: nobody knows its token"
        assert not {"HODOSCOPE_DATA_ADDRESS", "HODOSCOPE_CHANNEL_DIR"} & set(environment(d)), name(d)


def every_setting_is_one_that_the_executable_reads():
    sources = [root / "host/src/config.rs", *(root / "host/src/config").glob("*.rs")]
    known = set(SIGNS["SETTING"].findall("".join(path.read_text() for path in sources)))
    for d in workloads:
        for variable in environment(d):
            if variable.startswith("HODOSCOPE_"):
                assert variable.removeprefix("HODOSCOPE_").lower() in known, f"{name(d)}: {variable}"


def every_command_and_flag_is_one_that_the_executable_has():
    for d in workloads:
        verb, *rest = container(d)["args"]
        assert verb == {"Deployment": "serve", "CronJob": "drift", "Job": "status"}[d["kind"]], name(d)
        text = (root / f"host/src/commands/{verb}.rs").read_text()
        for flag in rest:
            field = flag.partition("=")[0].removeprefix("--").replace("-", "_")
            assert re.search(rf"^    (?:pub )?{field}: ", text, re.M), f"{name(d)}: {flag}"


def every_job_ends_and_is_not_tried_for_ever():
    for o in jobs:
        spec = job(o)
        assert 0 < spec["activeDeadlineSeconds"] <= 86400, name(o)
        assert spec["backoffLimit"] <= 1 and template(o)["spec"]["restartPolicy"] == "Never", name(o)
        assert not ports(o) and "HODOSCOPE_TOKEN" not in environment(o), f"{name(o)}: listens"
        assert "ttlSecondsAfterFinished" not in spec, f"{name(o)}: Argo CD hangs on a hook that vanishes (argo-cd#21055)"
    for o in of("CronJob"):
        assert o["spec"]["concurrencyPolicy"] == "Forbid" and o["spec"]["startingDeadlineSeconds"] >= 60, name(o)
        assert job(o)["activeDeadlineSeconds"] > 2 * 60, name(o)
    for o in of("Job"):
        notes = o["metadata"]["annotations"]
        assert notes["argocd.argoproj.io/hook"] == "PostSync", name(o)
        assert notes["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation", name(o)
        assert notes["helm.sh/hook"] and notes["helm.sh/hook-delete-policy"] == "before-hook-creation", name(o)
        assert job(o)["activeDeadlineSeconds"] <= 960, f"{name(o)}: a rollback waits as long"
        [hosts] = [a.partition("=")[2] for a in container(o)["args"] if a.startswith("--hosts=")]
        [service] = [s for s in of("Service") if s["metadata"]["name"] == hosts.partition(":")[0]]
        assert service["spec"]["clusterIP"] == "None" and service["spec"]["publishNotReadyAddresses"], name(service)
        assert str(service["spec"]["ports"][0]["port"]) == hosts.partition(":")[2], hosts


def every_window_is_cut_alike_by_hosts_and_the_drift_job():
    for key in ("LOCATION", "WINDOW_SECONDS", "PART_SECONDS"):
        told = {environment(d).get(f"HODOSCOPE_CAPTURE_{key}") for d in serving + of("CronJob")}
        assert len(told) == 1, f"{key}: {told}"


def every_secret_is_named_and_used_by_whom_it_is_for():
    private = {"HODOSCOPE_CAPTURE_KEY": "Deployment", "HODOSCOPE_GITHUB_TOKEN": "CronJob", "MLFLOW_TRACKING_TOKEN": "CronJob", "HODOSCOPE_TOKEN": "Deployment"}
    for d in workloads:
        for entry in container(d)["env"]:
            if entry["name"] in private:
                assert private[entry["name"]] == d["kind"], f"{name(d)}: {entry['name']}"
                assert entry["valueFrom"]["secretKeyRef"]["name"], f"{name(d)}: {entry['name']}"
        if "--accept-uploads" in container(d)["args"]:
            assert "HODOSCOPE_CAPTURE_KEY" not in environment(d), name(d)


def every_probe_asks_a_route_that_the_router_has():
    if not (root / "host/src/http").is_dir():
        return "SKIP: the host has no routes yet"
    router = (root / "host/src/http/router.rs").read_text()
    for d in deployments:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            ask = container(d)[probe]["httpGet"]
            assert f'"{ask["path"]}"' in router, f"{name(d)}: {ask['path']}"
            assert ask["port"] in ports(d), f"{name(d)}: {ask['port']}"


def every_service_finds_pods_and_ports():
    for o in of("Service"):
        found = [d for d in workloads if selects(o["spec"]["selector"], template(d)["metadata"]["labels"])]
        assert len(found) == 1, f"{name(o)} selects {[name(d) for d in found]}"
        for port in o["spec"]["ports"]:
            assert port["targetPort"] in ports(found[0]), f"{name(o)}: {port['targetPort']}"
        assert len(o["spec"]["ports"]) == 1, f"{name(o)}: data and admin stay apart"
        assert o["spec"].get("type", "ClusterIP") == "ClusterIP", f"{name(o)} leaves the cluster"


def every_selector_finds_its_workload_and_no_other():
    for d in deployments:
        assert selects(d["spec"]["selector"]["matchLabels"], template(d)["metadata"]["labels"]), name(d)
    for o in of("PodDisruptionBudget") + of("NetworkPolicy"):
        selector = o["spec"].get("selector", o["spec"].get("podSelector"))["matchLabels"]
        found = [d for d in workloads if selects(selector, template(d)["metadata"]["labels"])]
        assert len(found) == 1, f"{name(o)} selects {[name(d) for d in found]}"
    for d in serving:
        for rule in template(d)["spec"]["topologySpreadConstraints"]:
            assert selects(rule["labelSelector"]["matchLabels"], template(d)["metadata"]["labels"]), name(d)
    for o in of("ServiceMonitor"):
        found = [s for s in of("Service") if selects(o["spec"]["selector"]["matchLabels"], s["metadata"]["labels"])]
        asked = [s for s in found if s["spec"]["ports"][0]["name"] == o["spec"]["endpoints"][0]["port"]]
        assert len(asked) == len(deployments), f"{name(o)} reaches {[name(s) for s in asked]}"


def the_autoscaler_owns_the_number_of_pods_or_the_chart_does():
    targets = [o["spec"]["scaleTargetRef"]["name"] for o in of("HorizontalPodAutoscaler")]
    for d in deployments:
        assert (d["metadata"]["name"] in targets) != ("replicas" in d["spec"]), name(d)


def network_policies_cover_every_pod_and_open_no_more():
    policies = of("NetworkPolicy")
    if not policies:
        return "none in this rendering"
    for d in workloads:
        labels = template(d)["metadata"]["labels"]
        [policy] = [p for p in policies if selects(p["spec"]["podSelector"]["matchLabels"], labels)]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"], name(policy)
        role, spec = labels["app.kubernetes.io/component"], policy["spec"]
        allowed = {53, 8081} if role == "postsync" else {53, 80, 443} | ({5000} if role == "drift" else set())
        assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} <= allowed, name(policy)
        for rule in spec["egress"]:
            assert rule["to"], f"{name(policy)}: open to everywhere"
            if rule["ports"][0]["port"] == 80:
                assert rule["to"] == [{"ipBlock": {"cidr": "169.254.170.23/32"}}], f"{name(policy)}: 80"
            if rule["ports"][0]["port"] == 8081:
                [peer] = rule["to"]
                assert selects(peer["podSelector"]["matchLabels"], template(serving[0])["metadata"]["labels"]), name(policy)
        assert spec.get("ingress") != [], f"{name(policy)}: the server stores no empty list, so Argo CD would see a difference for ever"
        entries = spec.get("ingress", [])
        assert {rule["ports"][0]["port"] for rule in entries} == set(ports(d)), name(policy)
        for rule in entries:
            assert rule["from"], f"{name(policy)}: anyone comes in"


CHECKS = [value for key, value in list(globals().items()) if callable(value) and re.match(r"(every|no|the|serving|network)_", key)]
for check in CHECKS:
    sentence = f"{rendering.stem}: {check.__name__.replace('_', ' ')}"
    try:
        remark = check()
        print(f"ok    {sentence}{f' ({remark})' if remark else ''}")
    except (AssertionError, KeyError, ValueError, OSError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
