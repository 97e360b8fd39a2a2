"""Checks that every `var.`, `local.`, `module.` and resource reference of a folder names something that is declared there,
and every output of a module that is used exists. What `terraform validate` would say, had it the provider.
`references.py <terraform folder> <recorded lists>` prints one line for each folder."""

import re
import sys
from pathlib import Path

root, lists = Path(sys.argv[1]), Path(sys.argv[2])


def text_of(folder):
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))
    return re.sub(r"(?m)^\s*#.*$", "", text)


def outputs_of(folder, name, text):
    body = re.search(rf'^module "{name}" \{{(.*?)^\}}', text, re.M | re.S)[1]
    source = re.search(r'source\s*=\s*"([^"]+)"', body)[1]
    if source.startswith("."):
        return set(re.findall(r'^output "([^"]+)"', text_of((folder / source).resolve()), re.M))
    version = re.search(r'version\s*=\s*"([^"]+)"', body)[1]
    recorded = lists / f"{source.split('/')[1]}-{version}.outputs.txt"
    return {line for line in recorded.read_text().split("\n") if line and not line.startswith("#")}


for folder in sorted({path.parent for path in root.rglob("*.tf") if ".terraform" not in path.parts}):
    text = text_of(folder)
    declared = {
        "var": set(re.findall(r'^variable "([^"]+)"', text, re.M)),
        "module": set(re.findall(r'^module "([^"]+)"', text, re.M)),
        "local": {name for block in re.findall(r"^locals \{(.*?)^\}", text, re.M | re.S) for name in re.findall(r"^  (\w+)\s*=", block, re.M)},
    }
    resources = {f"{kind}.{name}" for kind, name in re.findall(r'^resource "([^"]+)" "([^"]+)"', text, re.M)}
    resources |= {f"data.{kind}.{name}" for kind, name in re.findall(r'^data "([^"]+)" "([^"]+)"', text, re.M)}
    found = []
    for kind, names in declared.items():
        used = set(re.findall(rf"(?<![\w.\"]){kind}\.(\w+)", text))
        found += [f"{kind}.{name} is not declared" for name in used - names]
        if kind != "module":
            found += [f"{kind}.{name} is not used" for name in names - used]
    used = set(re.findall(r"(?<![\w.\"])(data\.aws_\w+\.\w+|aws_\w+\.\w+)", text))
    found += [f"{name} is not declared" for name in used - resources]
    for name, output in set(re.findall(r"(?<![\w.])module\.(\w+)\.(\w+)", text)):
        if name in declared["module"] and output not in outputs_of(folder, name, text):
            found.append(f"module.{name} has no output `{output}`")
    where = folder.relative_to(root)
    print(f"FAIL  {where}: {'; '.join(sorted(found))}" if found else f"ok    {where} refers to what is declared")
