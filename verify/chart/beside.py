"""The applications beside Hodoscope and the one that makes them all: versions, kinds and value names against what was
recorded of the charts (charts.yaml), names against those that our own chart and Terraform use.
`beside.py check <repository>` prints one line for each check; `beside.py extra <repository>` prints the objects that our
values add to those charts, and `beside.py alertmanager <repository>` Alertmanager's configuration."""

import json
import re
import sys
from pathlib import Path

import yaml

verb, root = sys.argv[1], Path(sys.argv[2])


def load(path):
    return [o for o in yaml.safe_load_all((root / path).read_text()) if o]


applications = {o["metadata"]["name"]: o for o in load("argocd/platform/applications.yaml")}
values = {name: load(f"argocd/platform/{name}.yaml")[0] for name in applications}
recorded = load("verify/chart/charts.yaml")[0]
argo = recorded.pop("argo-cd")
own = load("helm/hodoscope/values.yaml")[0]
[project] = load("argocd/platform/project.yaml")
[environments] = load("argocd/applications.yaml")

if verb == "extra":
    print(yaml.safe_dump_all(o for name in values for key in ("extraDeploy", "extraManifests") for o in values[name].get(key, [])))
    sys.exit()
if verb == "alertmanager":
    print(yaml.safe_dump(values["monitoring"]["alertmanager"]["config"]))
    sys.exit()


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield ".".join(path)


def spec(o):
    """An Application's, or that of those which a set makes."""
    return o["spec"]["template"]["spec"] if o["kind"] == "ApplicationSet" else o["spec"]


def source(application, key):
    [found] = [s for s in spec(application)["sources"] if key in s]
    return found


def wave(o):
    return int(o["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))


def namespaces_of_environments():
    return {f"hodoscope-{g['clusters']['values']['environment']}" for g in environments["spec"]["generators"]}


def every_chart_is_the_one_that_was_read():
    assert set(recorded) == set(applications)
    for name, o in applications.items():
        chart = source(o, "chart")
        assert [chart["repoURL"], chart["chart"], chart["targetRevision"]] == [recorded[name][k] for k in ("repository", "chart", "version")], name
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", chart["targetRevision"]), f"{name}: a range"
        assert re.search(r"at [0-9a-f]{40}", recorded[name]["read"]), name
        assert chart["helm"]["ignoreMissingValueFiles"] is False
        assert chart["helm"]["valueFiles"] == [f"$platform/argocd/platform/{name}.yaml"], name


def every_value_is_one_that_its_chart_had():
    for name in values:
        known, used = set(recorded[name]["values"]), set()
        for leaf in leaves(values[name]):
            fits = [path for path in known if leaf == path or leaf.startswith(f"{path}.")]
            assert fits, f"{name}: {leaf}"
            used |= set(fits)
        assert used == known, f"{name}: recorded and not used: {known - used}"


def the_project_allows_the_kinds_of_the_charts_and_no_other():
    for field, scope in (("clusterResourceWhitelist", "cluster"), ("namespaceResourceWhitelist", "namespaced")):
        allowed = {f"{k['group']}/{k['kind']}" for k in project["spec"][field]}
        assert allowed == {kind for chart in recorded.values() for kind in chart[scope]}, field
    assert "*" not in json.dumps(project["spec"])
    assert {d["namespace"] for d in project["spec"]["destinations"]} == {spec(o)["destination"]["namespace"] for o in applications.values()}
    assert set(project["spec"]["sourceRepos"]) == {s["repoURL"] for o in applications.values() for s in spec(o)["sources"]}


def named(value):
    """Every repository below a value, charts' apart."""
    if isinstance(value, dict):
        if "repoURL" in value and "chart" not in value:
            yield value["repoURL"]
        yield from (url for url in value.get("sourceRepos", []) if url not in [chart["repository"] for chart in recorded.values()])
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from named(inner)


def the_repository_is_named_alike_everywhere():
    [ours] = {s["repoURL"] for s in spec(environments)["sources"]}
    for path in ("applications", "project", "root", "platform/applications", "platform/project"):
        urls = set(named(load(f"argocd/{path}.yaml")))
        assert urls == {ours}, f"{path}: {urls}"
    # https://host/owner/name.git, ssh://git@host/owner/name.git and git@host:owner/name.git have the page https://host/owner/name.
    page = re.sub(r"^(?:ssh://|https://)?(?:[^@/]+@)?([^:/]+)(?::\d+)?[:/](.+?)(?:\.git)?$", r"https://\1/\2/", ours)
    for path in (root / "argocd/environments").glob("*.yaml"):
        base = load(path.relative_to(root))[0]["alerts"]["runbookBase"]
        assert base.startswith(page), f"{path.name}: runbookBase is {base}, the repository's page {page}"


def no_secret_is_written_and_each_is_named():
    for name in values:
        for leaf in leaves(values[name]):
            last = leaf.rpartition(".")[2].lower()
            assert not re.search(r"(password|token|secret|accesskeyid|secretaccesskey)$", last) or last == "existingsecret", f"{name}: {leaf}"
    assert values["mlflow"]["backendStore"]["existingDatabaseSecret"]["name"]
    assert values["monitoring"]["grafana"]["admin"]["existingSecret"]
    config = json.dumps(values["monitoring"]["alertmanager"]["config"])
    assert not re.search(r'"(api_url|routing_key|url|password)":', config), "a receiver's secret is written"
    for file in re.findall(r"/etc/alertmanager/secrets/([^/\"]+)/", config):
        assert file in values["monitoring"]["alertmanager"]["alertmanagerSpec"]["secrets"], file


def the_tracking_server_keeps_nothing_in_its_pod():
    mlflow = values["mlflow"]
    assert mlflow["backendStore"]["postgres"]["enabled"] and "postgresql" not in mlflow and "mysql" not in mlflow
    assert mlflow["artifactRoot"]["s3"]["enabled"] and mlflow["artifactRoot"]["proxiedArtifactStorage"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", mlflow["image"]["digest"]), "the image is named by a tag, which can be pointed elsewhere"
    assert mlflow["extraEnvVars"]["PGSSLMODE"] in ("require", "verify-full"), "RDS refuses plain connections"
    account = f"{spec(applications['mlflow'])['destination']['namespace']}:{mlflow['serviceAccount']['name']}"
    assert f'tracking = "{account}"' in (root / "terraform/modules/platform/main.tf").read_text(), account


def the_tracking_server_is_reached_by_the_drift_jobs_and_named_as_they_call_it():
    [policy] = values["mlflow"]["extraDeploy"]
    [rule] = policy["spec"]["ingress"]
    peers = {p["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: p.get("podSelector") for p in rule["from"]}
    assert set(peers) == namespaces_of_environments() | {"monitoring"}, set(peers)
    for space in namespaces_of_environments():
        assert peers[space]["matchLabels"]["app.kubernetes.io/component"] == "drift", space
    assert rule["ports"] == [{"port": own["tracking"]["port"], "protocol": "TCP"}]
    assert values["mlflow"]["service"]["containerPort"] == own["tracking"]["port"]
    [peer] = own["tracking"]["to"]
    assert peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == spec(applications["mlflow"])["destination"]["namespace"]
    for name in re.findall(r"http://([a-z.]+)", (root / "helm/hodoscope/values.yaml").read_text()):
        assert name in values["mlflow"]["serverAllowedHosts"], f"MLflow refuses the name {name}"


def monitoring_finds_what_our_chart_makes():
    [peer] = own["networkPolicy"]["adminFrom"]
    assert peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == applications["monitoring"]["spec"]["destination"]["namespace"]
    taken = values["monitoring"]["prometheus"]["prometheusSpec"]
    assert taken["serviceMonitorSelectorNilUsesHelmValues"] is False and taken["ruleSelectorNilUsesHelmValues"] is False
    sidecar = values["monitoring"]["grafana"]["sidecar"]["dashboards"]
    assert own["dashboards"]["labels"] == {sidecar["label"]: sidecar["labelValue"]} and sidecar["searchNamespace"] == "ALL"
    assert sidecar["folderAnnotation"] in own["dashboards"]["annotations"]


def monitoring_scrapes_argo_cd_by_the_names_of_its_chart():
    [scraped] = values["monitoring"]["prometheus"]["additionalServiceMonitors"]
    assert scraped["namespaceSelector"] == {"matchNames": ["argocd"]}, "the alert on failed syncs has no data"
    assert scraped["selector"] == {"matchLabels": argo["metrics"]["labels"]}, scraped["selector"]
    assert [e["port"] for e in scraped["endpoints"]] == [argo["metrics"]["port"]], scraped["endpoints"]
    assert load("argocd/argo-cd.yaml")[0]["controller"]["metrics"]["enabled"] is True
    installed = f"argo-cd --repo {argo['repository']} --version {argo['version']} "
    assert installed in (root / "docs/install.md").read_text(), f"docs/install.md installs another chart than {installed}"


def monitoring_keeps_its_data_on_encrypted_volumes_of_a_class_of_its_own():
    [made] = values["monitoring"]["extraManifests"]
    assert made["kind"] == "StorageClass" and made["provisioner"] == "ebs.csi.aws.com", made
    assert made["parameters"] == {"type": "gp3", "encrypted": "true"} and made["allowVolumeExpansion"] is True, made
    assert made["volumeBindingMode"] == "WaitForFirstConsumer", made
    keeps = [values["monitoring"]["prometheus"]["prometheusSpec"]["storageSpec"], values["monitoring"]["alertmanager"]["alertmanagerSpec"]["storage"]]
    for claim in keeps:
        used = claim["volumeClaimTemplate"]["spec"].get("storageClassName")
        assert used == made["metadata"]["name"], f"{used}: EKS has no default class"


def the_tracking_server_is_made_on_the_one_cluster_that_is_labelled_for_it():
    [generator] = applications["mlflow"]["spec"]["generators"]
    assert generator == {"clusters": {"selector": {"matchLabels": {"hodoscope/mlflow": "true"}}}}, generator
    assert spec(applications["mlflow"])["destination"]["server"] == "{{.server}}"


def the_root_makes_the_applications_in_their_order_and_nothing_else():
    [bounds, application] = load("argocd/root.yaml")
    allowed = {k["kind"] for k in bounds["spec"]["namespaceResourceWhitelist"]}
    named = re.findall(r"[\w/]+\.yaml", application["spec"]["source"]["directory"]["include"])
    found = [o for path in named for o in load(f"argocd/{path}")]
    assert {o["kind"] for o in found} == allowed and {o["metadata"]["namespace"] for o in found} == {"argocd"}
    assert {d["namespace"] for d in bounds["spec"]["destinations"]} == {"argocd"} and not bounds["spec"]["clusterResourceWhitelist"]
    assert application["spec"]["syncPolicy"]["automated"]["prune"] is False
    assert wave(applications["monitoring"]) < wave(applications["mlflow"]) < wave(environments)


def every_namespace_is_made_and_only_monitoring_is_privileged():
    levels = {o["metadata"]["name"]: o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] for o in load("argocd/platform/namespaces.yaml")}
    assert levels == {"mlflow": "restricted", "monitoring": "privileged"}, levels
    assert values["mlflow"]["podSecurityContext"]["runAsNonRoot"] and values["mlflow"]["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


for check in [v for k, v in list(globals().items()) if callable(v) and re.match(r"(every|the|no|monitoring)_", k)]:
    sentence = f"platform: {check.__name__.replace('_', ' ')}"
    try:
        check()
        print(f"ok    {sentence}")
    except (AssertionError, KeyError, ValueError, OSError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
