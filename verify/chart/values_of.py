"""Prints, as arguments for helm, what Argo CD gives it for one environment: the ApplicationSet's value files with their
globs expanded as Argo CD does (in place, sorted, each file once, explicit entries first), and its parameters."""

import glob
import re
import sys
from pathlib import Path

import yaml

root = Path(sys.argv[1])
environment = sys.argv[2]
applications = yaml.safe_load((root / "argocd/applications.yaml").read_text())
generated = [g["clusters"]["values"] for g in applications["spec"]["generators"]]
[values] = [v for v in generated if v["environment"] == environment]


def fill(text):
    return re.sub(r"\{\{\.values\.(\w+)\}\}", lambda match: values[match[1]], text)


[chart] = [s for s in applications["spec"]["template"]["spec"]["sources"] if "helm" in s]
entries = [fill(entry).replace("$wanted", str(root)) for entry in chart["helm"]["valueFiles"]]
explicit = {entry for entry in entries if "*" not in entry}
files = []
for entry in entries:
    if "*" in entry:
        found = [path for path in sorted(glob.glob(entry)) if path not in explicit]
        if not glob.glob(entry):
            sys.exit(f"values file glob {entry} matched no files")
    else:
        found = [entry]
    files += [path for path in found if path not in files]
print(chart["helm"]["releaseName"])
for path in files:
    print(f"--values={path}")
for parameter in chart["helm"]["parameters"]:
    print(f"--set-string={parameter['name']}={fill(parameter['value'])}")
