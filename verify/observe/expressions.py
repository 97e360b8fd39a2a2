"""What the queries are and what they may name: every expression of the rules and the dashboards, the metrics that the
sources promise (host/src/telemetry*) and the allow-list of other exporters' metrics, and the labels of an expression."""

import json
import re
from pathlib import Path

import promql_parser as promql
import yaml

# What Prometheus and the operator add to every series of a host.
SCRAPED = {"namespace", "pod", "job", "instance", "service", "container", "endpoint"}
# Grafana's variables, as they are when nothing is chosen.
VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*", "$detector": ".*", "$version": ".*"}


def rules(root):
    groups = yaml.safe_load((root / "helm/hodoscope/alerts/rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboards(root):
    return {path.stem: json.loads(path.read_text()) for path in sorted((root / "helm/hodoscope/dashboards").glob("*.json"))}


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def exported(root):
    """Name → labels of every metric in the host's table; histograms by the names of their series."""
    sources = [root / "host/src/telemetry.rs", *sorted((root / "host/src/telemetry").glob("*.rs"))]
    table = "\n".join(path.read_text() for path in sources if path.exists())
    row = r'const \w+: Row = \(\s*"([^"]+)",\s*"(?:[^"\\]|\\.)*",\s*(RELEASE|&\[[^\]]*\]),?\s*\);'
    found = {}
    for name, labels in re.findall(row, table):
        found[name] = {"detector", "version"} if labels == "RELEASE" else set(re.findall(r'"([^"]+)"', labels))
    return found


def known(root):
    """Name of a series → its labels, for everything a query may name."""
    labels = {}
    for name, own in exported(root).items():
        labels[name] = own | SCRAPED
        for end in ("_sum", "_count"):
            labels[name + end] = own | SCRAPED
        labels[f"{name}_bucket"] = own | SCRAPED | {"le"}
    for name, entry in outside(root).items():
        labels[name] = set(entry["labels"])
    for rule in rules(root):
        if "record" in rule:
            labels[rule["record"]] = output(promql.parse(rule["expr"]), labels, [])
    return labels


def outside(root):
    return yaml.safe_load((root / "verify/observe/outside.yaml").read_text())


def selectors(node):
    """Every vector selector below a node."""
    if isinstance(node, promql.VectorSelector):
        return [node]
    children = [getattr(node, key, None) for key in ("lhs", "rhs", "expr", "vector_selector", "param")]
    children += list(getattr(node, "args", None) or [])
    return [found for child in children if child is not None for found in selectors(child)]


def output(node, labels, faults):
    """The labels that an expression's series have; names of what is not there go into `faults`."""
    if isinstance(node, promql.VectorSelector):
        if node.name not in labels:
            faults.append(f"no metric `{node.name}`")
            return set()
        has = labels[node.name]
        faults += [f"`{node.name}` has no label `{m.name}`" for m in node.matchers.matchers if m.name not in has]
        return has
    if isinstance(node, promql.MatrixSelector):
        return output(node.vector_selector, labels, faults)
    if isinstance(node, promql.BinaryExpr):
        left, right = (output(side, labels, faults) for side in (node.lhs, node.rhs))
        if not selectors(node.lhs) or not selectors(node.rhs):
            return left | right
        if str(node.op) == "or":
            return left | right
        if left != right and not (node.modifier and node.modifier.matching):
            faults.append(f"the sides of `{node.op}` never match: {sorted(left)} and {sorted(right)}")
        return left
    if isinstance(node, promql.AggregateExpr):
        has = output(node.expr, labels, faults)
        modifier = node.modifier
        named = set(modifier.labels) if modifier else set()
        faults += [f"`{label}` is no label of what is grouped" for label in named - has]
        without = modifier is not None and "without" in str(modifier.type).lower()
        return has - named if without else has & named
    if isinstance(node, promql.Call):
        found = set()
        for argument in node.args:
            found |= output(argument, labels, faults)
        return found - {"le"} if node.func.name == "histogram_quantile" else found
    inner = getattr(node, "expr", None)
    return output(inner, labels, faults) if inner is not None else set()
