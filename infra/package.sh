#!/usr/bin/env bash
# Builds the package that Azure runs: a static handler without the dev vault, host.json and the
# function folders, in dist/ and as dist.zip. Works on Linux and macOS, on Intel and ARM. With the
# same compilers, the same commit gives the same bytes.
set -euo pipefail

usage() {
  cat <<'END'
Usage: infra/package.sh [--target TARGET] [--out FOLDER]

  --target TARGET  x86_64-unknown-linux-musl (default), which Azure runs, or
                   aarch64-unknown-linux-musl
  --out FOLDER     where dist/ and dist.zip go (default: the repository's root)

Also puts the handler for x86-64 into the repository's root, from where
`func azure functionapp publish` can take it.
END
}

fail() {
  printf 'package.sh: %s\n' "$*" >&2
  exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd -P)
target=x86_64-unknown-linux-musl
out=$root
zig=0.17.1
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?--target needs a value} && shift 2 ;;
    --out) out=${2:?--out needs a value} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "unknown argument: $1" ;;
  esac
done
case $target in
  x86_64-unknown-linux-musl | aarch64-unknown-linux-musl) machine=${target%%-*} ;;
  *) fail "unknown target: $target" ;;
esac
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"

installed() { command -v "$1" >/dev/null; }
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
  installed rustup || fail "install rustup (https://rustup.rs), or the Rust target $target"
  rustup target add "$target"
fi
# As root on Debian, installs what is missing.
provide() {
  { installed apt-get && [ "$(id -u)" = 0 ]; } || return 0
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -yq "$1" >/dev/null
}
installed python3 || provide python3
installed python3 || fail "install Python 3, which writes the zip"

# ring and mimalloc hold C and assembly. musl-gcc compiles for its own kind of machine only; zig,
# from PyPI, compiles everywhere for all.
variable=${target//-/_}
installed musl-gcc || [ "$(uname -sm)" != "Linux $machine" ] || provide musl-tools
case $(musl-gcc -dumpmachine 2>/dev/null) in
  "$machine"-*) export "CC_$variable=musl-gcc" ;;
  *)
    tools=${CARGO_TARGET_DIR:-target}/zig
    mkdir -p "$tools"
    tools=$(cd "$tools" && pwd)
    if [ "$("$tools/venv/bin/python" -m ziglang version 2>/dev/null)" != "$zig" ]; then
      echo "installing zig $zig from PyPI (100 MB), because no musl-gcc here builds for $target"
      python3 -c 'import ensurepip' 2>/dev/null || provide python3-venv
      python3 -m venv --clear "$tools/venv"
      "$tools/venv/bin/python" -m pip install --quiet --disable-pip-version-check "ziglang==$zig"
    fi
    # cc-rs names the target as Rust does, and zig does not know that name. To code that is not
    # optimised zig adds checks, and Rust's linker does not have what they call.
    cat >"$tools/cc" <<'END'
#!/bin/sh
for argument; do
  shift
  case $argument in --target=*) ;; *) set -- "$@" "$argument" ;; esac
done
exec "$(dirname "$0")/venv/bin/python" -m ziglang cc -target "$ZIG_TARGET" -fno-sanitize=undefined "$@"
END
    cat >"$tools/ar" <<'END'
#!/bin/sh
exec "$(dirname "$0")/venv/bin/python" -m ziglang ar "$@"
END
    chmod +x "$tools/cc" "$tools/ar"
    # In the cache that all projects share, an object can have another SOURCE_DATE_EPOCH.
    export ZIG_TARGET=$machine-linux-musl ZIG_GLOBAL_CACHE_DIR=$tools/cache
    export "CC_$variable=$tools/cc" "AR_$variable=$tools/ar"
    # Rust brings a linker, and musl's start files and libraries.
    export "CARGO_TARGET_$(printf %s "$variable" | tr '[:lower:]' '[:upper:]')_LINKER=rust-lld"
    ;;
esac

# Paths of this machine and the time of day have no place in the binary.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# mimalloc holds the date of its build, unless the compiler is given another.
export SOURCE_DATE_EPOCH=315532800
# Separated so that a path may hold a space.
export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$root=."$'\x1f'"--remap-path-prefix=$cargo_home=cargo"
cargo build --locked --release --no-default-features --bin handler --target "$target"
built=${CARGO_TARGET_DIR:-target}/$target/release/handler

rm -rf "$out/dist" "$out/dist.zip"
mkdir "$out/dist"
cp host.json "$out/dist/"
for manifest in */function.json; do
  mkdir "$out/dist/$(dirname "$manifest")"
  cp "$manifest" "$out/dist/$manifest"
done
install -m 0755 "$built" "$out/dist/handler"
[ "$machine" != x86_64 ] || install -m 0755 "$built" handler

# Core Tools makes exactly this entry executable, by a comparison of texts.
entry=$(python3 -c 'import json; print(json.load(open("host.json"))["customHandler"]["description"]["defaultExecutablePath"])')
[ -x "$out/dist/$entry" ] || fail "host.json starts $entry, which is not in the package"
[ "$entry" = handler ] || fail "host.json must start exactly handler, and not $entry"

python3 - "$out/dist" "$out/dist.zip" <<'END'
"""Writes a zip whose bytes depend on the files only."""
import sys
import zipfile
from pathlib import Path

folder, target = Path(sys.argv[1]), sys.argv[2]
with zipfile.ZipFile(target, "w") as archive:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
        entry.create_system = 3  # Unix, so that the mode counts
        mode = 0o755 if path.name == "handler" else 0o644
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, path.read_bytes(), compresslevel=9)
END

size=$(wc -c <"$out/dist/handler" | tr -d ' ')
printf 'packaged %s (handler: %s bytes)\n' "$out/dist.zip" "$size"
