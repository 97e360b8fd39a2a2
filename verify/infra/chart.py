"""Checks that what Terraform prints for the chart and for MLflow is what they take: every key of the output `chart_values` is
one of the chart's schema, and every key that the chart's roles need is printed. `chart.py <repository>`."""

import json
import sys
from pathlib import Path

import hcl2

root = Path(sys.argv[1])
schema = json.loads((root / "helm/hodoscope/values.schema.json").read_text())
(printed,) = [
    body["value"]
    for block in hcl2.loads((root / "terraform/modules/platform/outputs.tf").read_text())["output"]
    for name, body in block.items()
    if name.strip('"') == "chart_values"
]


def resolve(shape):
    while "$ref" in shape:
        there = schema
        for part in shape["$ref"].removeprefix("#/").split("/"):
            there = there[part]
        shape = there
    return shape


def unknown(value, shape, path):
    for key, inner in value.items():
        key = key.strip('"')
        if key.startswith("__"):
            continue
        known = resolve(shape).get("properties", {})
        if key not in known:
            yield f"{path}{key}"
        elif isinstance(inner, dict):
            yield from unknown(inner, known[key], f"{path}{key}.")


value = printed[0] if isinstance(printed, list) else printed
strange = list(unknown(value, schema, ""))
print(f"FAIL  the chart has no {', '.join(strange)}" if strange else "ok    the chart takes every value that Terraform prints")
roles = {key for key in resolve(schema["properties"]["identity"])["properties"] if key.endswith("Role")}
given = {key.strip('"') for key in value["identity"]}
print(f"FAIL  Terraform prints no {roles - given}" if roles - given else f"ok    Terraform prints each of the chart's {len(roles)} roles")
