# shellcheck shell=bash disable=SC2154 # bats sets the rest
# For all suites: a PATH with stand-ins and a few tools and nothing else, so that no real az, func
# or curl of the machine can be called; and what must hold after every test.

stand_ins() {
  local tool
  tools="$BATS_TEST_TMPDIR/tools"
  mkdir "$tools"
  for tool in awk bash cat chmod cp cut date dirname env grep ln mkdir mktemp mv paste rm sed sort stat touch tr uniq; do
    ln -s "$(command -v "$tool")" "$tools/$tool"
  done
  # Not a shim, which needs more than itself.
  ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$tools/python3"
  for tool in "$@"; do ln -s "$BATS_TEST_DIRNAME/bin/$tool" "$tools/$tool"; done
  real_path=$PATH
  export CALLS="$BATS_TEST_TMPDIR/calls" SEEN="$BATS_TEST_TMPDIR" TMPDIR="$BATS_TEST_TMPDIR/tmp"
  export STATE="$BATS_TEST_TMPDIR/state"
  mkdir "$TMPDIR" "$STATE"
  : >"$CALLS"
  PATH=$tools
}

# Secrets and keys are in no output, in no command line and in no file, whatever happened.
nothing_is_left() {
  PATH=$real_path
  local secret
  for secret in val-one val-two k3y-master k3y-function k3y-events; do
    if [[ "$output" == *"$secret"* ]] || grep -q "$secret" "$CALLS"; then
      echo "$secret was shown"
      return 1
    fi
  done
  if [ -n "$(ls -A "$TMPDIR")" ]; then
    echo "files are left"
    return 1
  fi
}

# What there is at the start of a test.
there_is() { for it in "$@"; do echo app >"$STATE/$it"; done; }
there_is_still() { [ "$(cd "$STATE" && echo *)" = "$*" ]; }

# Runs a command with a terminal as its stdin, in which the first argument is typed.
on_a_terminal() {
  python3 -c 'import os, pty, subprocess, sys
typed, terminal = pty.openpty()
os.write(typed, sys.argv[1].encode() + b"\n")
sys.exit(subprocess.run(sys.argv[2:], stdin=terminal).returncode)' "$@"
}

calls() { grep -c -e "$1" "$CALLS" || true; }
