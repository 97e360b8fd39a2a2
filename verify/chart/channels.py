"""Checks channel folders where Helm cannot: it merges files silently, so that of two files with one detector the later
would win. `channels.py <folder of channels>`; exit 1 with every fault named."""

import re
import sys
from pathlib import Path

import yaml

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Strict(yaml.SafeLoader):
    """A key that stands twice in one mapping is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{', '.join(map(str, twice))} stands twice")
        return super().construct_mapping(node, deep)


def load(path, faults):
    try:
        return yaml.load(path.read_text(), Strict)
    except yaml.YAMLError as error:
        faults.append(f"{path}: {error}")


def check_channel(folder):
    faults, where = [], {}
    marker = folder / "_channel.yaml"
    if not marker.is_file():
        return [f"{folder}: _channel.yaml is missing; it keeps the channel alive, write `name: {folder.name}`"]
    if load(marker, faults) != {"name": folder.name}:
        faults.append(f"{marker}: must hold `name: {folder.name}` and nothing else")
    for path in sorted(folder.iterdir()):
        # `promote` keeps its lock there; git ignores it.
        if path == marker or path.name == ".lock":
            continue
        if path.suffix != ".yaml" or not path.is_file():
            faults.append(f"{path}: Argo CD would not read it; name it <detector>.yaml")
            continue
        document = load(path, faults)
        detectors = document.get("detectors") if isinstance(document, dict) else None
        if not isinstance(detectors, dict) or set(document) != {"detectors"} or not detectors:
            faults.append(f"{path}: must hold `detectors:` with one detector and nothing else")
            continue
        for detector in detectors:
            if detector in where:
                faults.append(f"{path}: detector `{detector}` is in {where[detector]}, too; keep one of them")
            where[detector] = path
            if not NAME.fullmatch(str(detector)):
                faults.append(f"{path}: `{detector}` is no detector's name")
        if list(detectors) != [path.stem]:
            faults.append(f"{path}: must hold `{path.stem}` alone, as its name says")
    return faults


channels = [path for path in sorted(Path(sys.argv[1]).iterdir()) if path.is_dir()]
found = [fault for channel in channels for fault in check_channel(channel)]
if not channels:
    found = [f"{sys.argv[1]}: holds no channel"]
print("\n".join(found))
sys.exit(1 if found else 0)
