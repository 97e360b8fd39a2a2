"""crates.py <section that cargo-auditable wrote> <bill of materials>: whether the bill names each crate that the executable says
it is linked from, and none that it does not know. The bill also has the macros, which cargo-auditable counts as tools."""

import json
import sys
import zlib
from pathlib import Path

section, bill = (Path(argument).read_bytes() for argument in sys.argv[1:])
packages = json.loads(zlib.decompress(section))["packages"]
known = {(p["name"], p["version"]) for p in packages}
linked = {(p["name"], p["version"]) for p in packages if p.get("kind", "runtime") == "runtime"}
document = json.loads(bill)
components = [document["metadata"]["component"], *document["components"]]
listed = {(c["name"], c["version"]) for c in components if c.get("purl", "").startswith("pkg:cargo/")}
print(f"{len(linked)} linked, {len(listed)} in the bill; not in the bill: {linked - listed}; unknown: {listed - known}")
sys.exit(not linked or not linked <= listed <= known)
