"""The Argo CD objects. `argocd.py objects <file...>` prints, as JSON, the objects of kinds that Kubernetes does not have;
`argocd.py check <repository> <rendering...>` checks project and applications against each other and the renderings."""

import json
import re
import sys
from pathlib import Path

import yaml


def load(paths):
    return [o for path in paths for o in yaml.safe_load_all(Path(path).read_text()) if isinstance(o, dict) and "kind" in o]


def group(o):
    return o["apiVersion"].rpartition("/")[0]


if sys.argv[1] == "objects":
    foreign = {"argoproj.io", "monitoring.coreos.com"}
    print(json.dumps([o for o in load(sys.argv[2:]) if group(o) in foreign]))
    sys.exit()

root = Path(sys.argv[2])
rendered = load(sys.argv[3:])
[project] = load([root / "argocd/project.yaml"])
[default] = load([root / "argocd/default-project.yaml"])
[applications] = load([root / "argocd/applications.yaml"])
namespaces = load([root / "argocd/namespaces.yaml"])
template = applications["spec"]["template"]["spec"]
generators = [g["clusters"] for g in applications["spec"]["generators"]]
environments = [g["values"]["environment"] for g in generators]
[chart] = [s for s in template["sources"] if "helm" in s]


def the_project_allows_the_kinds_of_the_chart_and_no_other():
    allowed = {(k["group"], k["kind"]) for k in project["spec"]["namespaceResourceWhitelist"]}
    assert allowed == {(group(o), o["kind"]) for o in rendered}, allowed ^ {(group(o), o["kind"]) for o in rendered}
    assert project["spec"]["clusterResourceWhitelist"] == []


def the_project_names_no_wildcard():
    text = json.dumps(project["spec"])
    assert "*" not in text, text


def the_project_that_argo_cd_ships_without_bounds_allows_nothing():
    assert (default["metadata"]["name"], default["metadata"]["namespace"]) == ("default", project["metadata"]["namespace"])
    spec = default["spec"]
    assert spec["sourceRepos"] == spec["destinations"] == spec["clusterResourceWhitelist"] == [], spec
    assert spec["namespaceResourceBlacklist"] == [{"group": "*", "kind": "*"}], spec
    applies = re.findall(r"^kubectl apply .*argocd/project\.yaml.*$", (root / "docs/install.md").read_text(), re.M)
    assert applies and all("-f argocd/default-project.yaml" in line for line in applies), "docs/install.md does not apply it"


def every_environment_has_a_channel_values_a_namespace_and_a_destination():
    channels = {p.name for p in (root / "registry/channels").iterdir() if p.is_dir()}
    values = {p.stem for p in (root / "argocd/environments").glob("*.yaml")}
    spaces = {o["metadata"]["name"].removeprefix("hodoscope-") for o in namespaces}
    allowed = {d["namespace"].removeprefix("hodoscope-") for d in project["spec"]["destinations"]}
    assert set(environments) == channels == values == spaces == allowed, (environments, channels, values, spaces, allowed)
    assert template["destination"] == {"server": "{{.server}}", "namespace": "hodoscope-{{.values.environment}}"}
    assert {d["server"] for d in project["spec"]["destinations"]} == {"https://kubernetes.default.svc"}


def every_environment_is_made_where_a_cluster_has_its_label_and_nowhere_else():
    def made(labels):
        return [g["values"]["environment"] for g in generators if g["selector"]["matchLabels"].items() <= labels.items()]

    assert all(set(g["selector"]) == {"matchLabels"} and g["selector"]["matchLabels"] for g in generators)
    # Every cluster that has a Secret has this one.
    secret = {"argocd.argoproj.io/secret-type": "cluster"}
    assert made({}) == made(secret) == [], "an unlabelled cluster gets an environment"
    for environment in environments:
        assert made({**secret, f"hodoscope/{environment}": "true"}) == [environment], environment
    text = (root / "docs/install.md").read_text()
    assert "argocd.argoproj.io/secret-type=cluster hodoscope/staging=true" in text, "docs/install.md labels no cluster"


def the_chart_of_production_is_a_tag_that_this_chart_has_reached():
    charts = {g["values"]["environment"]: g["values"]["chart"] for g in generators}
    assert chart["targetRevision"] == "{{.values.chart}}"
    tag = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", charts["production"])
    assert tag, f"{charts['production']} is no tag: a commit on main would change production's pods"
    version = yaml.safe_load((root / "helm/hodoscope/Chart.yaml").read_text())["version"]
    assert [int(n) for n in tag.groups()] <= [int(n) for n in version.split("-")[0].split(".")], (charts, version)


def every_source_is_the_one_repository():
    [repository] = project["spec"]["sourceRepos"]
    assert {s["repoURL"] for s in template["sources"]} == {repository}


def a_missing_value_file_is_an_error():
    assert chart["helm"]["ignoreMissingValueFiles"] is False
    assert "$wanted/registry/channels/{{.values.environment}}/_channel.yaml" in chart["helm"]["valueFiles"]
    assert applications["spec"]["goTemplateOptions"] == ["missingkey=error"]
    assert {"name": "channel", "value": "{{.values.environment}}", "forceString": True} in chart["helm"]["parameters"]


def the_autoscaler_owns_the_replicas():
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in rendered if o["kind"] == "HorizontalPodAutoscaler"}
    ignored = {d["name"] for d in template["ignoreDifferences"] if d["jsonPointers"] == ["/spec/replicas"]}
    assert ignored == scaled, (ignored, scaled)
    assert "RespectIgnoreDifferences=true" in template["syncPolicy"]["syncOptions"]


def every_namespace_enforces_the_restricted_profile():
    for o in namespaces:
        assert o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted", o["metadata"]["name"]


def a_newer_commit_waits_for_the_check_after_a_sync_no_longer_than_said():
    # Argo CD starts no sync while one runs, its hooks included; `refresh` lets a retry take the newest commit; and hooks
    # run although only what differs is applied (controller/appcontroller.go, gitops-engine/pkg/sync/sync_context.go, 3.6).
    retry = template["syncPolicy"]["retry"]
    assert retry == {"limit": 1, "refresh": True, "backoff": {"duration": "10s"}}, retry
    assert "ApplyOutOfSyncOnly=true" in template["syncPolicy"]["syncOptions"], "an old failure of the drift job would fail every sync"
    for environment in environments:
        values = yaml.safe_load((root / f"argocd/environments/{environment}.yaml").read_text())
        assert values["argocd"]["postSync"]["enabled"] is True, environment


def the_channel_comes_before_the_pods_and_is_not_pruned():
    for o in rendered:
        notes = o["metadata"].get("annotations", {})
        wave = int(notes.get("argocd.argoproj.io/sync-wave", "0"))
        assert wave == (1 if o["kind"] in ("Deployment", "HorizontalPodAutoscaler", "CronJob") else 0), (o["kind"], wave)
        if o["kind"] == "ConfigMap" and "channel.json" in o["data"]:
            assert notes["argocd.argoproj.io/sync-options"] == "Prune=false"


for check in [v for k, v in list(globals().items()) if callable(v) and k.startswith(("the_", "every_", "a_"))]:
    sentence = f"argocd: {check.__name__.replace('_', ' ')}"
    try:
        check()
        print(f"ok    {sentence}")
    except (AssertionError, KeyError, ValueError, OSError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
