"""Exit 0 if two renderings hold the same objects, whatever their order and white space."""

import sys
from pathlib import Path

import yaml


def objects(path):
    found = [o for o in yaml.safe_load_all(Path(path).read_text()) if o]
    return {(o["kind"], o["metadata"]["name"]): o for o in found}


one, other = map(objects, sys.argv[1:])
differing = [f"{'/'.join(key)} differs" for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
print("\n".join(sorted(differing)))
sys.exit(1 if differing or not one else 0)
