"""What the image is made of: image/sbom's document fits the CycloneDX schema, names the crates of Cargo.lock by checksum, the
libraries beneath them, and nothing else, and is the same twice; and deny.toml's licences and sources hold for each of them.
`supply.py <repository> <folder for files>` prints one line for each check."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

root, out = map(Path, sys.argv[1:])
allowed = set(tomllib.loads((root / "deny.toml").read_text())["licenses"]["allow"])


def made(name):
    path = out / name
    subprocess.run([root / "image/sbom", path], check=True, capture_output=True)
    return path.read_text()


def satisfied(expression):
    """Whether the allowed licences satisfy an SPDX expression."""
    words = re.findall(r"\(|\)|AND|OR|[\w.+-]+(?: WITH [\w.-]+)?", expression)
    text = " ".join({"AND": "and", "OR": "or", "(": "(", ")": ")"}.get(word, str(word in allowed)) for word in words)
    return re.fullmatch(r"[TrueFalsndo ()]+", text) and eval(text)  # of True, False, and, or, brackets


text = made("sbom.json")
sbom = json.loads(text)
lock = tomllib.loads((root / "Cargo.lock").read_text())["package"]
locked = {(p["name"], p["version"]): p for p in lock}
crates = [c for c in sbom["components"] if c.get("purl", "").startswith("pkg:cargo/")]


def the_bill_of_materials_fits_the_schema():
    assert not (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)), error


def it_is_the_same_twice():
    assert made("again.json") == text


def it_names_what_is_linked_and_nothing_that_only_tests():
    names = {c["name"] for c in crates}
    assert {"wasmtime", "axum", "aws-sdk-s3", "hodoscope-engine"} <= names, names
    assert not names & {"hodoscope-bench", "hodoscope-robust-zscore", "criterion", "insta"}, names


def it_names_what_is_linked_of_the_distribution():
    [system] = [c for c in sbom["components"] if c["type"] == "operating-system"]
    beneath = {c["name"]: c for c in sbom["components"] if c["type"] == "library" and c not in crates}
    assert {re.sub(r"-\d+$", "", name) for name in beneath} == {"rust-std", "glibc", "gcc"}, beneath
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libc6"], check=True, capture_output=True, text=True).stdout
    assert installed.startswith(beneath["glibc"]["version"]), installed
    assert beneath["glibc"]["purl"].endswith(f"distro={system['name']}-{system['version']}")


def each_crate_is_locked_and_has_its_checksum():
    for crate in crates:
        entry = locked[(crate["name"], crate["version"])]
        assert [h["content"] for h in crate.get("hashes", [])] == ([entry["checksum"]] if "checksum" in entry else []), crate["name"]
    assert sum("hashes" in c for c in crates) > 100


def each_need_is_described():
    refs = {sbom["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in sbom["components"])}
    assert all({d["ref"], *d["dependsOn"]} <= refs for d in sbom["dependencies"])


def licences_are_those_that_deny_allows():
    bad = {c["name"]: c["licenses"][0]["expression"] for c in crates if not satisfied(c["licenses"][0]["expression"])}
    assert not bad, bad
    used = {licence for licence in allowed if any(licence in c["licenses"][0]["expression"] for c in crates)}
    assert used == allowed, f"deny.toml allows what nobody needs: {allowed - used}"


def crates_come_from_the_registry_alone():
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    assert {p.get("source") for p in lock} == {registry, None}
    assert all("checksum" in p for p in lock if p.get("source"))


for rule in [v for v in list(globals().values()) if callable(v) and getattr(v, "__module__", "") == "__main__" and v not in (made, satisfied)]:
    sentence = rule.__name__.replace("_", " ")
    try:
        rule()
        print(f"ok    {sentence}")
    except (AssertionError, KeyError, IndexError) as error:
        print(f"FAIL  {sentence}: {type(error).__name__} {error}")
