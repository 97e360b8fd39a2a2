"""Lays the Kubernetes schemas that PyPI's kubernetes-validate carries where kubeconform finds them: without `$id`, and
with references to the file beside them. `schemas.py <folder> <version...>`; prints nothing."""

import json
import sys
from pathlib import Path

import kubernetes_validate

source = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def relocate(node):
    if isinstance(node, dict):
        node.pop("$id", None)
        reference = node.get("$ref")
        if isinstance(reference, str) and "_definitions.json" in reference:
            node["$ref"] = "_definitions.json" + reference[reference.index("#"):]
        for value in node.values():
            relocate(value)
    elif isinstance(node, list):
        for value in node:
            relocate(value)


for version in sys.argv[2:]:
    [found] = [p for p in source.iterdir() if p.name.startswith(f"v{version}.") and p.name.endswith("strict")]
    target = Path(sys.argv[1]) / f"v{version}.0-standalone-strict"
    target.mkdir(parents=True, exist_ok=True)
    for path in found.glob("*.json"):
        schema = json.loads(path.read_text())
        relocate(schema)
        (target / path.name).write_text(json.dumps(schema))
