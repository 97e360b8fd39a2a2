"""Checks every query against the sources, nothing running: each metric is one that the host's table has (or that the
allow-list names), each label one that the metric has, each word one that the host says; legends name labels that are left;
each alert has a case that fires and one that does not, and its page in docs/runbook.md, whose commands exist.
`queries.py <repository>` prints one line for each and counts for itself."""

import re
import sys
from pathlib import Path

import promql_parser as promql
import yaml

from expressions import dashboards, exported, filled, known, outside, output, panels, rules, selectors

root = Path(sys.argv[1])
labels = known(root)
cases = [t for case in yaml.safe_load((root / "verify/observe/tests.yaml").read_text())["tests"] for t in case["alert_rule_test"]]
runbook = (root / "docs/runbook.md").read_text()
commands = {path.stem for path in (root / "host/src/commands").glob("*.rs")}


def words(label):
    """Every word that a label's value can be."""
    if label == "verdict":
        [body] = re.findall(r"pub enum Verdict \{(.*?)\n\}", (root / "host/drift/src/report.rs").read_text(), re.S)
        return {re.sub(r"(?<!^)([A-Z])", r"_\1", word).lower() for word in re.findall(r"^    (\w+),", body, re.M)}
    if label == "phase":
        return set(outside(root)["argocd_app_sync_total"]["values"]["phase"])
    if label == "reason":
        return words("outcome") | {word for path in (root / "host/src/capture").glob("*.rs") for word in re.findall(r'"([a-z_]+)"', path.read_text())}
    sources = "host/engine/src/fault.rs host/engine/src/refusal.rs host/src/http/problem.rs host/src/source.rs host/src/follow/load.rs registry/src/store/error.rs"
    texts = [path.read_text() for path in map(root.joinpath, sources.split()) if path.exists()]
    return {"ok"} | {word for text in texts for word in re.findall(r'"([a-z_]+)"', text)}


def faults_of(expression):
    faults = []
    try:
        node = promql.parse(filled(expression))
    except ValueError as error:
        return [f"does not parse: {error}"], set()
    left = output(node, labels, faults)
    for selector in selectors(node):
        for matcher in selector.matchers.matchers:
            if matcher.name in ("outcome", "verdict", "phase", "reason"):
                said = words(matcher.name)
                faults += [f"no {matcher.name} `{word}`" for word in matcher.value.split("|") if word not in said]
    return faults, left


def tell(sentence, faults):
    print(f"FAIL  {sentence}: {'; '.join(map(str, faults))}" if faults else f"ok    {sentence}")


def page(alert):
    """The alert's part of the runbook: from its heading to the next."""
    found = re.search(rf"^### {alert}\n(.*?)(?=^##|\Z)", runbook, re.M | re.S)
    return found[1] if found else None


def unknown_commands(text):
    return [f"no command `hodoscope {verb}`" for verb in re.findall(r"(?:`|: |\n)hodoscope ([a-z]+)\b", text) if verb not in commands]


for rule in rules(root):
    faults, left = faults_of(rule["expr"])
    if "record" in rule:
        tell(f"the recording rule {rule['record']} asks for what is exported", faults)
        continue
    name, notes = rule["alert"], rule["annotations"]
    about = [bool(case["exp_alerts"]) for case in cases if case["alertname"] == name]
    faults += [f"no case in which it {'fires' if kind else 'does not fire'}" for kind in (True, False) if kind not in about]
    faults += [f"`{used}` is no label of it" for used in set(re.findall(r"\$labels\.(\w+)", str(notes))) - left]
    faults += unknown_commands(f": {notes['runbook']}")
    if notes["runbook_url"] != f"docs/runbook.md#{name.lower()}":
        faults.append("runbook_url is not its page")
    if page(name) is None:
        faults.append("docs/runbook.md has no page of it")
    else:
        faults += unknown_commands(page(name))
        faults += [f"its page has no `{part}`" for part in ("**Means**", "**Look**", "**Go back**") if part not in page(name)]
    if rule["labels"]["severity"] not in ("critical", "warning", "info"):
        faults.append(f"severity {rule['labels']['severity']}")
    tell(f"the alert {name} asks for what is exported, is tested both ways, and has a page", faults)

exports = {file: re.findall(r"HODOSCOPE_([A-Z0-9_]+)=", (root / "docs" / file).read_text()) for file in ("runbook.md", "rollback.md")}
settings = set(re.findall(r'"([a-z0-9_]+)"', "".join(path.read_text() for path in [root / "host/src/config.rs", *(root / "host/src/config").glob("*.rs")])))
for file, found in exports.items():
    tell(f"docs/{file} exports settings that the executable reads", [f"no setting `{word}`" for word in found if word.lower() not in settings] or ([] if found else ["none"]))

alerts = {rule["alert"] for rule in rules(root) if "alert" in rule}
tell("every page of the runbook is of an alert that exists", sorted(set(re.findall(r"^### (Hodoscope\w+)", runbook, re.M)) - alerts))

for name, board in dashboards(root).items():
    for panel in panels(board):
        faults = []
        for target in panel["targets"]:
            found, left = faults_of(target["expr"])
            faults += found + [f"`{used}` is no label that is left" for used in set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))) - left]
        tell(f"{name}: the panel {panel['title']!r} asks for what is exported", faults)
    faults = []
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            [(selector, label)] = re.findall(r"^label_values\((.*), (\w+)\)$", variable["query"])
            faults += faults_of(selector)[0]
            faults += [] if label in labels[promql.parse(filled(selector)).name] else [f"no label `{label}`"]
    tell(f"{name}: the variables ask for what is exported", faults)
    boxes = [p["gridPos"] for p in board["panels"]]
    overlap = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]]
    tell(f"{name}: no panel lies on another, and ids are its own", overlap or [] if len({p["id"] for p in board["panels"]}) == len(boxes) else ["an id twice"])

table = exported(root)
tell("the host's table of metrics was read", [] if len(table) > 20 else [f"only {len(table)} metrics found"])
used = {s.name for rule in rules(root) for s in selectors(promql.parse(rule["expr"]))}
used |= {s.name for b in dashboards(root).values() for p in panels(b) for t in p["targets"] for s in selectors(promql.parse(filled(t["expr"])))}
shown = {name for name in table if used & {name, f"{name}_bucket", f"{name}_sum", f"{name}_count"}}
tell("every metric of the host is on a dashboard or in a rule", sorted(set(table) - shown))
tell("the allow-list names nothing that is not used", sorted(set(outside(root)) - used))
