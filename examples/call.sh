#!/usr/bin/env bash
# The three questions with curl. FUNCTION_KEY and MASTER_KEY are what `cargo run` prints.
set -euo pipefail
base=${BASE_URL:-http://127.0.0.1:7071}

# The key goes by stdin, because everyone on the machine can list command lines.
call() { printf 'header = "x-functions-key: %s"\n' "$2" | curl --silent --show-error --config - --fail-with-body "$base/api/$1"; }

call 'config-check?strict=true' "$FUNCTION_KEY" || echo "  <- a reference is not resolved: see its \"fix\"" >&2
call secrets/ExternalApiKey "$MASTER_KEY"
call 'expiring?within=8w' "$MASTER_KEY"
