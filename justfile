# One door to what is done here. Each recipe is one command that works without just, too.

_list:
    @just --list

# Run every route on 127.0.0.1:7071, with an embedded vault
dev *arguments:
    cargo run --locked -- {{ arguments }}

# Serve the embedded vault to other programs on this machine
dev-vault *arguments:
    cargo run --locked -- dev-vault {{ arguments }}

# Format and lint, as the gate does
check:
    .ci/run lint

# Run every test, or those whose name contains a text
test *filter:
    cargo test --locked {{ filter }}

# Time the rooms one by one
bench *filter:
    cargo bench --locked {{ filter }}

# Count instructions and compare them with benches/instructions.json
count *arguments:
    .ci/instructions {{ arguments }}

# Build the package that Azure runs, and check it
package:
    infra/check-package.sh

# Ask the handler whatever docs/openapi.json allows, and more
contract:
    tests/contract/run

# Do what must hold before a change lands: every stage or some
gate *stages:
    .ci/run {{ stages }}
