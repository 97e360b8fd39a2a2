"""Reads checkov's JSON from standard input: fails on any failed check, and unless each bucket and each role of the folder
passed at least one. `checkov.py <terraform folder>` prints one line for each and counts for itself."""

import json
import re
import sys
from pathlib import Path

report = json.load(sys.stdin)
reports = report if isinstance(report, list) else [report]
passed, failed = [], []
for entry in reports:
    passed += entry["results"]["passed_checks"]
    failed += entry["results"]["failed_checks"]

for check in failed:
    print(f"FAIL  checkov {check['check_id']}: {check['resource']} in {check['file_path']}: {check['check_name']}")
if not failed:
    print(f"ok    checkov: {len(passed)} checks passed, none failed")

wanted = set()
for path in Path(sys.argv[1]).rglob("*.tf"):
    for kind, name in re.findall(r'^resource "(aws_s3_bucket|aws_iam_role|aws_kms_key|aws_ecr_repository|aws_db_instance)" "([^"]+)"', path.read_text(), re.M):
        wanted.add((str(path.relative_to(sys.argv[1])), f"{kind}.{name}"))
for file, resource in sorted(wanted):
    seen = [c for c in passed if re.sub(r"\[.*?\]", "", c["resource"]).endswith(resource) and c["file_path"].endswith(file)]
    print(f"{'ok   ' if seen else 'FAIL '} checkov looked at {resource} of {file}: {len(seen)} checks passed")
if not wanted:
    print("FAIL  no bucket and no role found")
