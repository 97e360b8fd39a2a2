"""Cuts renderings into what is given to the API server, and reads what it answers, as JSON for kubectl.
`parts.py pods FILE`: every pod template as a bare Pod, for a namespace's profile only refuses Pods, and warns of the rest.
`parts.py object FILE KIND [NAME]`: one object. `parts.py only | without FILE KIND`: a kind, or the others. `parts.py accounts
FILE`: the names of its service accounts.
`parts.py applications FILE…`: the Applications that ApplicationSets make where Argo CD's own cluster has every label.
`parts.py scopes FILE… < kubectl api-resources`: whether the kinds that projects allow exist, with that scope."""

import json
import re
import sys
from pathlib import Path

import yaml


def load(path):
    found = [o for o in yaml.safe_load_all(Path(path).read_text()) if o]
    return [item for o in found for item in (o["items"] if o["kind"] == "List" else [o])]


def listed(objects):
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def templates(objects):
    for o in objects:
        spec = o.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
        if "spec" in template:
            yield o, template


def pods(path):
    found = []
    for o, template in templates(load(path)):
        labels = dict(template["metadata"].get("labels", {}))
        if o["kind"] == "Deployment":
            labels["pod-template-hash"] = "0"
        metadata = {**template["metadata"], "labels": labels, "name": f"{o['kind'].lower()}-{o['metadata']['name']}"}
        found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    return listed(found)


def one(path, kind, name=None):
    [found] = [o for o in load(path) if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found


def applications(*paths):
    made = []
    parents = [o for path in paths for o in load(path) if o["kind"] == "ApplicationSet"]
    for parent, generator in [(o, g) for o in parents for g in o["spec"]["generators"]]:
        filled = {"server": "https://kubernetes.default.svc"}
        filled |= {f"values.{key}": value for key, value in generator["clusters"].get("values", {}).items()}
        text = re.sub(r"\{\{\.([\w.]+)\}\}", lambda match: filled[match[1]], json.dumps(parent["spec"]["template"]))
        body = json.loads(text)
        body["metadata"]["namespace"] = parent["metadata"]["namespace"]
        made.append({"apiVersion": parent["apiVersion"], "kind": "Application", **body})
    return listed(made)


def scopes(*paths):
    known = {}
    for line in sys.stdin.read().splitlines()[1:]:
        version, namespaced, kind = line.split()[-3:]
        group = version.rpartition("/")[0]
        known[group, kind] = namespaced == "true"
    for project in [o for path in paths for o in load(path) if o["kind"] == "AppProject"]:
        for field, namespaced in (("clusterResourceWhitelist", False), ("namespaceResourceWhitelist", True)):
            for allowed in project["spec"].get(field, []):
                if known.get((allowed["group"], allowed["kind"])) is not namespaced:
                    sys.exit(f"{project['metadata']['name']}: {field} has {allowed}, which the server does not know so")


verb, *rest = sys.argv[1:]
if verb == "scopes":
    scopes(*rest)
elif verb == "accounts":
    print(*[o["metadata"]["name"] for o in load(rest[0]) if o["kind"] == "ServiceAccount"])
elif verb in ("only", "without"):
    print(json.dumps(listed([o for o in load(rest[0]) if (o["kind"] == rest[1]) == (verb == "only")])))
else:
    print(json.dumps({"pods": pods, "object": one, "applications": applications}[verb](*rest)))
