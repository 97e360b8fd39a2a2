"""Writes the part of the provider's schema that our Terraform uses, for verify/infra/provider: attributes with type and
required, optional or computed; blocks with how often. Read from npm's @cdktf/provider-aws, since the provider itself cannot
be downloaded everywhere. `provider_schema.py <terraform folder> <jsii or .jsii.gz> <out.json>`.

What the bindings do not tell: lists from sets (lists here), and attributes that are both optional and computed (optional
here, `id` apart)."""

import json
import re
import sys
from pathlib import Path

from bindings import assembly, camel

folder, jsii, out = map(Path, sys.argv[1:])
types = assembly(jsii)
PACKAGE = "@cdktf/provider-aws."
PRIMITIVES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic", "json": "dynamic"}
# The resource's own machinery.
META = {"dependsOn", "count", "provider", "lifecycle", "forEach", "provisioners", "connection"}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def named(property_):
    """The attribute's own name, from the link to its documentation."""
    told = re.search(r"#(\w+) \w+#\1\}", property_.get("docs", {}).get("summary", "") + property_.get("docs", {}).get("remarks", ""))
    return told[1] if told else snake(property_["name"])


def candidates(kind):
    return [t for t in [kind, *kind.get("union", {}).get("types", [])] if t.get("fqn") != "cdktf.IResolvable" and "union" not in t]


def attribute_type(kind):
    """The type as Terraform writes it in JSON."""
    for candidate in candidates(kind):
        if "primitive" in candidate:
            return PRIMITIVES[candidate["primitive"]]
        if "collection" in candidate:
            inner = candidate["collection"]
            return ["map" if inner["kind"] == "map" else "list", attribute_type(inner["elementtype"])]
        name = candidate["fqn"]
        if name.endswith("List") and name.removesuffix("List") + "OutputReference" in types:
            return ["list", object_type(name.removesuffix("List") + "OutputReference")]
        if name.startswith("cdktf.") and name.endswith("Map"):
            return ["map", {"String": "string", "Number": "number", "Boolean": "bool"}.get(name.removeprefix("cdktf.").removesuffix("Map"), "string")]
        if types.get(name, {}).get("kind") in ("interface", "class"):
            return object_type(name)
    return "bool" if any(t.get("fqn") == "cdktf.IResolvable" for t in [kind, *kind.get("union", {}).get("types", [])]) else "dynamic"


def object_type(fqn):
    properties = types[fqn].get("properties", [])
    return ["object", {snake(p["name"]): attribute_type(p["type"]) for p in properties if not p["name"].endswith("Input") and p["name"] != "internalValue"}]


def block(config, made):
    """The schema of a block from its interface, and of what only its class has: the computed attributes."""
    attributes, blocks, taken = {}, {}, set()
    for property_ in types[config].get("properties", []):
        if property_["name"] in META:
            continue
        taken.add(property_["name"])
        name = named(property_)
        if property_.get("docs", {}).get("summary", "").endswith(" block."):
            kinds = candidates(property_["type"])
            inner = next((t["collection"]["elementtype"]["fqn"] for t in kinds if "collection" in t), None)
            single = next((t["fqn"] for t in kinds if "fqn" in t), None)
            fqn = inner or single
            nested = fqn + "OutputReference"
            blocks[name] = {"many": inner is not None, "timeouts": name == "timeouts", "required": not property_.get("optional", False), **block(fqn, nested)}
        else:
            needed = not property_.get("optional", False)
            attributes[name] = {"type": attribute_type(property_["type"]), "required": needed, "optional": not needed, "computed": name == "id" and not needed}
    for property_ in types.get(made, {}).get("properties", []):
        name = property_["name"]
        if property_.get("static") or name in taken or name.endswith("Input") or name in ("internalValue", "fqn"):
            continue
        attributes[snake(name)] = {"type": attribute_type(property_["type"]), "required": False, "optional": False, "computed": True}
    return {"attributes": attributes, "blocks": blocks}


def used():
    text = "\n".join(path.read_text() for path in folder.rglob("*.tf") if ".terraform" not in path.parts)
    for role in ("resource", "data"):
        for kind in sorted(set(re.findall(rf'^{role} "(aws_\w+)"', text, re.M))):
            yield role, kind


schema = {"resource": {}, "data": {}, "provider": block(PACKAGE + "provider.AwsProviderConfig", "")}
for role, kind in used():
    title = camel(kind.removeprefix("aws_"))
    module = ("dataAws" + title[:1].upper() + title[1:]) if role == "data" else title
    configs = [name for name in types if name.startswith(f"{PACKAGE}{module}.") and name.endswith("Config") and types[name].get("interfaces") == ["cdktf.TerraformMetaArguments"]]
    if len(configs) != 1:
        sys.exit(f"{role} {kind}: the bindings have {len(configs)} of it")
    schema[role][kind] = block(configs[0], configs[0].removesuffix("Config"))
out.write_text(json.dumps(schema, indent=1, sort_keys=True))
print(f"{len(schema['resource'])} resources and {len(schema['data'])} data sources")
