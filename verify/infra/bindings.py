"""Reads the types of npm's @cdktf/provider-aws, which carries the schema of the AWS provider: no check of its own."""

import gzip
import json


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def assembly(jsii):
    text = jsii.read_bytes()
    stub = json.loads(text) if not jsii.name.endswith(".gz") else None
    if stub and str(stub.get("schema", "")).startswith("jsii/file-redirect"):
        text = gzip.decompress((jsii.parent / stub["filename"]).read_bytes())
    return json.loads(text)["types"]
