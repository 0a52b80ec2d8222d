#!/usr/bin/env python3
"""Has checkov read what the template becomes in each network mode and with events, and compares what
it finds with the answers in infra/README.md: each finding has one, and each answer has a finding.

checkov's own parser does not read the Bicep of today, nor a compiled template with symbolic names:
it takes them for empty. So it gets the resources of the snapshots, in the form that it knows.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
ANSWER = re.compile(r"^\| (CKV2?_AZURE_\d+) \| [^|]+ \| [^|]+ \|$", re.M)
MODES = ("default", "service-endpoint", "private-endpoint", "rotation-events")


def main():
    with tempfile.TemporaryDirectory() as folder:
        expected = 0
        for mode in MODES:
            snapshot = json.loads((ROOT / f"tests/infra/snapshots/{mode}.snapshot.json").read_text())
            resources = snapshot["predictedResources"]
            expected += len(resources)
            template = {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "parameters": {}, "resources": resources}
            (Path(folder) / f"{mode}.json").write_text(json.dumps(template, indent=1))
        checkov = [sys.executable, "-m", "checkov.main", "--directory", folder, "--framework", "arm"]
        done = subprocess.run(
            [*checkov, "--skip-download", "--quiet", "--compact", "--output", "json"],
            capture_output=True, text=True, check=False, timeout=300,
        )
    report = json.loads(done.stdout)
    summary = report["summary"]
    if summary["parsing_errors"] or summary["resource_count"] < expected - 10 or not summary["passed"]:
        sys.exit(f"scan.py: checkov did not read all of {expected} resources: {summary}")
    found = {}
    for check in report["results"]["failed_checks"]:
        place = f"{check['file_path'].strip('/')}: {check['resource'].split('.')[1].split('/')[0]}"
        found.setdefault(check["check_id"], [check["check_name"]]).append(place)
    answered = ANSWER.findall((ROOT / "infra/README.md").read_text())
    for check, (name, *places) in sorted(found.items()):
        if check not in answered:
            print(f"{check} has no answer in infra/README.md: {name} ({', '.join(places)})", file=sys.stderr)
    for check in sorted(set(answered) - set(found)):
        print(f"{check} has an answer in infra/README.md and is not found any more", file=sys.stderr)
    if set(answered) != set(found):
        sys.exit(1)
    print(f"checkov: {summary['passed']} checks passed; {len(found)} kinds of findings, each is answered")


if __name__ == "__main__":
    main()
