#!/usr/bin/env bash
# Writes dist.cdx.json: what is in the package's handler, as CycloneDX. The same commit gives the
# same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=.ci/lib.bash
source .ci/lib.bash

tool cargo-cyclonedx 0.5.9
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
  --no-default-features --target x86_64-unknown-linux-musl
# The folder of this machine has no place in it.
sed "s|path+file://$PWD#|path+file://.#|g" handler_bin.cdx.json >dist.cdx.json
rm handler_bin.cdx.json

python3 - <<'END_OF_CHECK'
"""The list is complete: what cargo builds into the handler, and nothing else."""
import json
import subprocess
import sys

text = open("dist.cdx.json").read()
listed = {(c["name"], c["version"]) for c in json.loads(text)["components"]}
tree = subprocess.run(
    ["cargo", "tree", "--locked", "--no-default-features", "--target", "x86_64-unknown-linux-musl",
     "--edges", "normal,build", "--prefix", "none", "--format", "{p}"],
    capture_output=True, text=True, check=True,
).stdout
built = {tuple(line.split()[:2]) for line in tree.splitlines() if line}
built = {(name, version.removeprefix("v")) for name, version in built if name != "keyvault-functions"}
if missing := built - listed:
    sys.exit(f"the SBOM does not list {sorted(missing)}")
print(f"dist.cdx.json lists {len(listed)} crates")
END_OF_CHECK
