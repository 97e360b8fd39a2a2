"""Checks every resource block and data source against the provider's schema, as npm's @cdktf/provider-aws carries it (no
provider can be downloaded here), and every block of a registry module against the recorded list of its variables.
`schema.py <terraform folder> <jsii or .jsii.gz> <recorded lists>` prints one line for each block."""

import re
import sys
from pathlib import Path

import hcl2
from bindings import assembly, camel

folder, jsii, lists = map(Path, sys.argv[1:])
META = {"for_each", "count", "depends_on", "lifecycle", "provider", "providers", "dynamic", "source", "version", "__start_line__", "__end_line__"}


types = assembly(jsii)
configs = {}
for fqn, entry in types.items():
    if entry["kind"] == "interface" and entry["name"].endswith("Config"):
        configs.setdefault((entry["name"], "data" if ".dataAws" in fqn else "resource"), fqn)


def properties(fqn):
    found = {p["name"]: p for p in types[fqn].get("properties", [])}
    for base in types[fqn].get("interfaces", []):
        if base in types:
            found.update(properties(base))
    return found


def shape_of(property_):
    """The name of the nested block's type, if the property is one."""
    kind = property_["type"]
    for candidate in [kind, *kind.get("union", {}).get("types", [])]:
        inner = candidate.get("collection", {}).get("elementtype", candidate)
        if inner.get("fqn") in types and types[inner["fqn"]]["kind"] == "interface":
            return inner["fqn"]
    return None


def faults(body, fqn, path):
    known = properties(fqn)
    # A dynamic block is the block that its content makes.
    for dynamic in body.get("dynamic", []):
        for name, made in dynamic.items():
            body = {**body, clean(name): [*body.get(clean(name), []), *made["content"]]}
    given = {camel(key): value for key, value in body.items() if key not in META}
    for key, value in given.items():
        if key not in known:
            yield f"{path}: no attribute `{key}` (in camel case)"
            continue
        nested = shape_of(known[key])
        blocks = value if isinstance(value, list) else [value]
        if nested:
            for block in blocks:
                if isinstance(block, dict):
                    yield from faults(block, nested, f"{path}.{key}")
    for key, property_ in known.items():
        if not property_.get("optional") and key not in given:
            yield f"{path}: `{key}` is required"


def clean(name):
    """The parser wraps an attribute's value in a list of one, as it does a block."""
    return (name[0] if isinstance(name, list) else name).strip('"')


def check(path, document):
    for block in document.get("resource", []) + document.get("data", []):
        for kind, named in block.items():
            for name, body in named.items():
                yield clean(kind), clean(name), body, "resource" if block in document.get("resource", []) else "data"


bad = 0
for path in sorted(folder.rglob("*.tf")):
    if ".terraform" in path.parts:
        continue
    document = hcl2.loads(path.read_text())
    for kind, name, body, role in check(path, document):
        short = kind.removeprefix("aws_")
        title = camel(short)[:1].upper() + camel(short)[1:]
        wanted = f"DataAws{title}Config" if role == "data" else f"{title}Config"
        # The bindings add an A where a name would stand twice.
        fqn = configs.get((wanted, role)) or configs.get((wanted.removesuffix("Config") + "AConfig", role))
        where = f"{path.relative_to(folder)}: {kind}.{name}"
        found = [f"the provider has no such {role}"] if not fqn else list(faults(body, fqn, kind))
        print(f"FAIL  {where}: {'; '.join(found)}" if found else f"ok    {where} fits the provider's schema")
    for block in document.get("module", []):
        for name, body in block.items():
            source = clean(body["source"])
            if source.startswith("."):
                target = (path.parent / source).resolve()
                text = "".join(p.read_text() for p in target.glob("*.tf"))
                declared = set(re.findall(r'^variable "([^"]+)"', text, re.M))
                required = {
                    clean(n) for p in target.glob("*.tf") for b in hcl2.loads(p.read_text()).get("variable", [])
                    for n, v in b.items() if "default" not in v
                }
            else:
                short = source.split("/")[1]
                recorded = lists / f"{short}-{clean(body['version'])}.txt"
                if not recorded.is_file():
                    print(f"FAIL  {path.relative_to(folder)}: module.{clean(name)}: {recorded} is missing; record its variables")
                    continue
                declared = {line for line in recorded.read_text().split("\n") if line and not line.startswith("#")}
                required = set()
            given = set(body) - META
            found = [f"no variable `{key}`" for key in given - declared] + [f"`{key}` is missing" for key in required - given]
            where = f"{path.relative_to(folder)}: module.{clean(name)}"
            print(f"FAIL  {where}: {'; '.join(found)}" if found else f"ok    {where} sets variables that {source} has")
