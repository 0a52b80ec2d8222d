#!/usr/bin/env bash
# Checks what infra/package.sh made: its files, its modes, its size, that it needs no library of
# the machine and holds nothing of the dev vault, that it runs from the unpacked zip, and that
# the same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=.ci/lib.bash
source .ci/lib.bash

fail() {
  printf 'check-package.sh: %s\n' "$*" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

infra/package.sh
python3 - dist.zip "$work/root" <<'END'
"""Unpacks with modes, as Azure does, and checks the list of entries."""
import sys
import zipfile
from pathlib import Path

archive, root = zipfile.ZipFile(sys.argv[1]), Path(sys.argv[2])
wanted = sorted(["handler", "host.json", *map(str, Path(".").glob("*/function.json"))])
folders = ["config-check", "secrets-metadata", "expiring", "keys-metadata", "certificates-metadata"]
assert all(f"{folder}/function.json" in wanted for folder in folders)
names = archive.namelist()
assert names == wanted, f"the package holds {names}"
for entry in archive.infolist():
    mode = entry.external_attr >> 16 & 0o777
    assert mode == (0o755 if entry.filename == "handler" else 0o644), (entry.filename, oct(mode))
    path = Path(archive.extract(entry, root))
    path.chmod(mode)
END

# Core Tools packs the folder that it runs in, makes host.json's defaultExecutablePath executable,
# and leaves out what .funcignore there names. In dist/ there is none, so it packs all.
diff -r "$work/root" dist || fail "from dist/, Core Tools would pack other files than dist.zip has"
# In the root it packs what .funcignore does not name. It has the syntax of .gitignore.
git init -q "$work/ignore"
cp .funcignore "$work/ignore/.gitignore"
packed=$({ git ls-files && echo handler; } | sort | while read -r file; do
  git -C "$work/ignore" check-ignore -q --no-index "$file" || echo "$file"
done)
listed=$(cd "$work/root" && find . -type f | sed 's|^\./||' | sort)
[ "$packed" = "$listed" ] || fail "with .funcignore, Core Tools would pack: $packed"
echo "Core Tools packs the same files, from dist/ and from the root"

handler=$work/root/handler
size=$(stat -c %s "$handler")
[ "$size" -lt 8300000 ] || fail "the handler has $size bytes, 8,300,000 are allowed"
needed=$(python3 infra/needed.py "$handler")
[ -z "$needed" ] || fail "the handler needs libraries of the machine: $needed"
for text in sk-abc123def456 super-secret-password AKV10000 "$PWD" "${CARGO_HOME:-$HOME/.cargo}"; do
  if grep -aqF "$text" "$handler"; then
    fail "$text is in the handler"
  fi
done
echo "$size bytes, no libraries, no dev vault, no path of this machine"

PACKAGE_ROOT=$work/root cargo test --locked --test promises the_package_runs -- --ignored

if [ "${1:-}" = --twice ]; then
  # From nothing and in another folder: what a C file writes of its time and place shows only so.
  other=$work/another-folder
  mkdir "$other"
  copy_tree "$other"
  CARGO_TARGET_DIR=$work/target "$other/infra/package.sh" --out "$work/again"
  cmp dist.zip "$work/again/dist.zip" || fail "the same commit gave other bytes in another folder"
  echo "built again in another folder, the same bytes"
fi
