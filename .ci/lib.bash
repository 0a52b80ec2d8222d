# shellcheck shell=bash
# What several scripts of this repository do: start a handler, copy the tree, bring a tool. Sourced.

started=''

# start OUTPUT COMMAND...: runs a handler until the script ends, and waits until it is ready.
start() {
  local output=$1
  shift
  : >"$output"
  "$@" >"$output" 2>&1 &
  started=$!
  for _ in $(seq 300); do
    grep -q 'Ctrl+C stops' "$output" && return
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
  done
  cat "$output" >&2
  printf '%s is not ready\n' "$1" >&2
  return 1
}

# For the trap of a script that has started one.
stop() {
  [ -n "$started" ] || return 0
  kill "$started" 2>/dev/null || true
  wait "$started" 2>/dev/null || true
}

# copy_tree FOLDER: the files of the repository there, those that are not committed yet too.
copy_tree() {
  git ls-files -z --cached --others --exclude-standard |
    tar --null --files-from - --create | tar --extract --touch --directory "$1"
}

# tool CRATE VERSION OPTION...: a program from crates.io. A debug build is made in a third of the
# time, and what one tool has built the next one uses.
tool() {
  local crate=$1 version=$2
  shift 2
  PATH=$PWD/target/tools/bin:$PATH
  command -v "$crate" >/dev/null && return
  CARGO_TARGET_DIR=target/tools/build cargo install "$crate" --version "$version" "$@" --locked --debug --quiet --root target/tools
}

# python_environment FOLDER REQUIREMENTS: a Python environment with just these.
python_environment() {
  cmp -s "$2" "$1/requirements.txt" && return
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
  cp "$2" "$1/requirements.txt"
}
