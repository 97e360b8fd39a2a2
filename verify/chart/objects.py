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


def template(deployment):
    return deployment["spec"]["template"]


def container(deployment):
    [only] = template(deployment)["spec"]["containers"]
    return only


def environment(deployment):
    return {entry["name"]: entry.get("value") for entry in container(deployment)["env"]}


deployments = of("Deployment")
serving = [d for d in deployments if "--accept-uploads" not in container(d)["args"]]
uploading = [d for d in deployments if "--accept-uploads" in container(d)["args"]]


def every_pod_meets_the_restricted_profile():
    for d in deployments:
        pod, box = template(d)["spec"], container(d)["securityContext"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, name(d)
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name(d)
        assert box["allowPrivilegeEscalation"] is False and box["capabilities"] == {"drop": ["ALL"]}, name(d)
        assert box["readOnlyRootFilesystem"] is True and not box.get("privileged"), name(d)
        assert not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "initContainers")), name(d)
        assert all(set(v) & {"configMap", "emptyDir"} for v in pod["volumes"]), f"{name(d)}: a volume of another kind"


def no_pod_holds_a_token_of_the_cluster():
    for o in deployments:
        assert template(o)["spec"]["automountServiceAccountToken"] is False, name(o)
    for o in of("ServiceAccount"):
        assert o["automountServiceAccountToken"] is False, name(o)


def every_container_has_requests_and_a_memory_limit():
    for d in deployments:
        resources = container(d).get("resources", {})
        assert {"cpu", "memory"} <= set(resources.get("requests", {})), f"{name(d)}: requests"
        assert "memory" in resources.get("limits", {}), f"{name(d)}: no memory limit"
        for volume in template(d)["spec"]["volumes"]:
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], f"{name(d)}: {volume['name']}"


def every_image_is_named_by_digest():
    for d in deployments:
        assert SIGNS["DIGEST"].fullmatch(container(d)["image"]), f"{name(d)}: {container(d)['image']}"


def every_name_stands_once_and_no_secret_is_made():
    names = [name(o) for o in objects]
    assert len(names) == len(set(names)), names
    assert not of("Secret"), "tokens come from Secrets by name, never from values"


def the_channel_is_one_json_document_that_a_swap_of_its_folder_delivers():
    [channel] = of("ConfigMap")
    assert list(channel["data"]) == ["channel.json"], "one key"
    assert set(json.loads(channel["data"]["channel.json"])) == {"detectors"}
    assert len(channel["data"]["channel.json"]) < 1 << 20, "a ConfigMap cannot hold more"
    assert not re.search(r"-[0-9a-f]{8,}$", channel["metadata"]["name"]), "a hash in the name would restart pods"
    for d in deployments:
        notes = template(d)["metadata"].get("annotations", {})
        assert not [key for key in notes if key.startswith("checksum/")], "a checksum would restart pods"
        mounts = container(d)["volumeMounts"]
        assert not [m for m in mounts if "subPath" in m], f"{name(d)}: subPath never sees a change"
    for d in serving:
        [volume] = [v for v in template(d)["spec"]["volumes"] if "configMap" in v]
        assert volume["configMap"] == {"name": channel["metadata"]["name"]}, "the volume is not the channel"
        [mount] = [m for m in container(d)["volumeMounts"] if m["name"] == volume["name"]]
        assert environment(d)["HODOSCOPE_CHANNEL_DIR"] == mount["mountPath"]


def serving_and_uploading_share_no_account_and_no_port():
    accounts = {o["metadata"]["name"] for o in of("ServiceAccount")}
    used = [template(d)["spec"]["serviceAccountName"] for d in deployments]
    assert set(used) == accounts and len(used) == len(set(used)), f"{used} of {accounts}"
    roles = [o["metadata"].get("annotations", {}).get("eks.amazonaws.com/role-arn") for o in of("ServiceAccount")]
    assert len(set(roles) - {None}) == len([r for r in roles if r]), f"one role twice: {roles}"
    for d in uploading:
        assert [p["name"] for p in container(d)["ports"]] == ["admin"], f"{name(d)}: has a data port"
        assert "HODOSCOPE_TOKEN" in environment(d), f"{name(d)}: nobody knows its token"
        assert not {"HODOSCOPE_DATA_ADDRESS", "HODOSCOPE_CHANNEL_DIR"} & set(environment(d)), name(d)


def every_setting_is_one_that_the_executable_reads():
    known = set(SIGNS["SETTING"].findall((root / "host/src/config.rs").read_text()))
    for d in deployments:
        for variable in environment(d):
            if variable.startswith("HODOSCOPE_"):
                assert variable.removeprefix("HODOSCOPE_").lower() in known, f"{name(d)}: {variable}"
    flags = (root / "host/src/commands/serve.rs").read_text()
    for d in deployments:
        verb, *rest = container(d)["args"]
        assert verb == "serve" and all(f.removeprefix("--").replace("-", "_") in flags for f in rest), name(d)


def every_probe_asks_a_route_that_the_router_has():
    if not (root / "host/src/http").is_dir():
        return "SKIP: the host has no routes yet"
    router = (root / "host/src/http/router.rs").read_text()
    for d in deployments:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            ask = container(d)[probe]["httpGet"]
            assert f'"{ask["path"]}"' in router, f"{name(d)}: {ask['path']}"
            assert ask["port"] in [p["name"] for p in container(d)["ports"]], f"{name(d)}: {ask['port']}"


def every_service_finds_pods_and_ports():
    for o in of("Service"):
        found = [d for d in deployments if selects(o["spec"]["selector"], template(d)["metadata"]["labels"])]
        assert len(found) == 1, f"{name(o)} selects {[name(d) for d in found]}"
        ports = [p["name"] for p in container(found[0])["ports"]]
        for port in o["spec"]["ports"]:
            assert port["targetPort"] in ports, f"{name(o)}: {port['targetPort']}"
        assert len(o["spec"]["ports"]) == 1, f"{name(o)}: data and admin stay apart"
        assert o["spec"].get("type", "ClusterIP") == "ClusterIP", f"{name(o)} leaves the cluster"


def every_selector_finds_its_deployment_and_no_other():
    for d in deployments:
        assert selects(d["spec"]["selector"]["matchLabels"], template(d)["metadata"]["labels"]), name(d)
    for o in of("PodDisruptionBudget") + of("NetworkPolicy"):
        selector = o["spec"].get("selector", o["spec"].get("podSelector"))["matchLabels"]
        found = [d for d in deployments if selects(selector, template(d)["metadata"]["labels"])]
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
    for d in deployments:
        labels = template(d)["metadata"]["labels"]
        [policy] = [p for p in policies if selects(p["spec"]["podSelector"]["matchLabels"], labels)]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"], name(policy)
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert ports <= {53, 80, 443}, f"{name(policy)}: {ports}"
        for rule in policy["spec"]["egress"]:
            assert rule["to"], f"{name(policy)}: open to everywhere"
            if rule["ports"][0]["port"] == 80:
                assert rule["to"] == [{"ipBlock": {"cidr": "169.254.170.23/32"}}], f"{name(policy)}: 80"
        served = {rule["ports"][0]["port"] for rule in policy["spec"]["ingress"]}
        assert served == {p["name"] for p in container(d)["ports"]}, f"{name(policy)}: {served}"


CHECKS = [value for key, value in list(globals().items()) if callable(value) and re.match(r"(every|no|the|serving|network)_", key)]
for check in CHECKS:
    sentence = f"{rendering.stem}: {check.__name__.replace('_', ' ')}"
    try:
        remark = check()
        print(f"ok    {sentence}{f' ({remark})' if remark else ''}")
    except (AssertionError, KeyError, ValueError, OSError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
