"""Checks the alerts against the sources: each metric and label is one that host/src/telemetry.rs exports (or the scrape adds),
each outcome a word that the host has, each command of a runbook exists, and each alert has a case that fires and one that
does not. `alerts.py <repository>` prints one line for each and counts for itself."""

import re
import sys
from pathlib import Path

import yaml

root = Path(sys.argv[1])
rules = [r for g in yaml.safe_load((root / "helm/hodoscope/alerts/rules.yaml").read_text())["groups"] for r in g["rules"]]
cases = [t for case in yaml.safe_load((root / "verify/chart/alerts/tests.yaml").read_text())["tests"] for t in case["alert_rule_test"]]
table = (root / "host/src/telemetry.rs").read_text()
exported = {}
for name, labels in re.findall(r'const \w+: Row = \(\s*"([^"]+)",\s*"[^"]*",\s*(RELEASE|&\[[^\]]*\]),?\s*\);', table):
    exported[name] = {"detector", "version"} if labels == "RELEASE" else set(re.findall(r'"([^"]+)"', labels))
histograms = {f"{name}{end}" for name in exported for end in ("_bucket", "_sum", "_count")}
# What Prometheus and the operator add to every series.
SCRAPED = {"namespace", "pod", "job", "instance", "service", "container", "endpoint"}
words = set(re.findall(r'"([a-z_]+)"', (root / "host/engine/src/fault.rs").read_text() + (root / "host/src/http/problem.rs").read_text()))
commands = {path.stem for path in (root / "host/src/commands").glob("*.rs")}

for rule in rules:
    faults, expression = [], rule["expr"]
    used = set(re.findall(r"\b((?:hodoscope|process)_\w+)", expression))
    faults += [f"no metric `{name}`" for name in used - set(exported) - histograms]
    labels = SCRAPED.union(*(exported.get(name, set()) for name in used))
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    matched = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", expression))
    faults += [f"no label `{label}`" for label in (grouped | matched) - labels]
    for outcomes in re.findall(r'outcome=~?"([^"]+)"', expression):
        faults += [f"no outcome `{word}`" for word in outcomes.split("|") if word not in words]
    faults += [f"no command `hodoscope {verb}`" for verb in re.findall(r"\bhodoscope ([a-z]+)", rule["annotations"]["runbook"]) if verb not in commands]
    about = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == rule["alert"]]
    faults += [f"no case in which it {'fires' if kind else 'does not fire'}" for kind in (True, False) if kind not in about]
    print(f"FAIL  alert {rule['alert']}: {'; '.join(faults)}" if faults else f"ok    alert {rule['alert']} asks for what the host exports, and is tested both ways")
if not exported:
    print("FAIL  no metric found in host/src/telemetry.rs")
