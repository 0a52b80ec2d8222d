#!/usr/bin/env bats
# infra/deploy.sh against stand-ins for az, func, curl and the package.
# shellcheck disable=SC2154 # stand_ins.bash and bats set the rest

load stand_ins

setup() {
  stand_ins az curl sleep
  export EXTERNAL_API_KEY_VALUE="val-one-\"\\x" DATABASE_PASSWORD_VALUE="val-two"
  # A clone in which the package is made in no time.
  root="$BATS_TEST_TMPDIR/clone"
  mkdir -p "$root/infra"
  cp "$BATS_TEST_DIRNAME"/../../infra/{deploy.sh,verify.sh,main.bicep} "$root/infra/"
  cat >"$root/infra/package.sh" <<'STUB'
#!/usr/bin/env bash
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$root/dist" && touch "$root/dist/handler" "$root/dist/host.json" "$root/dist.zip"
echo package.sh >>"$CALLS"
STUB
  chmod +x "$root/infra/package.sh"
  deploy="$root/infra/deploy.sh"
}

teardown() { nothing_is_left; }
with_func() { ln -s "$BATS_TEST_DIRNAME/bin/func" "$tools/func"; }

@test "from a group to a verified app" {
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"app works."* ]]
  # In this order.
  order=$(grep -Eo '^(az (deployment group create|functionapp deployment|rest)|package.sh|request)' "$CALLS" | uniq | paste -s -d , -)
  [ "$order" = "az deployment group create,package.sh,az functionapp deployment,az rest,request" ]
}

@test "the secrets go by a file that only the user can read, and that is gone" {
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(cat "$SEEN/mode")" = 600 ]
  python3 - "$SEEN/parameters.json" <<'PYTHON'
import json, sys
found = {k: v["value"] for k, v in json.load(open(sys.argv[1]))["parameters"].items()}
assert found == {"appName": "app", "location": "westeurope", "externalApiKey": 'val-one-"\\x', "databasePassword": "val-two"}, found
PYTHON
  [ ! -e "$(cat "$SEEN/file")" ]
  rm "$SEEN/parameters.json"
}

@test "the secrets are in the environment of no process that stays" {
  [ -e /proc/self/environ ] || skip "no /proc"
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ -s "$SEEN/environ" ]
  run grep -c -e val-one -e val-two -e _VALUE= "$SEEN/environ"
  [ "$output" = 0 ]
}

@test "secrets of several lines and with spaces arrive as they are" {
  EXTERNAL_API_KEY_VALUE=$' one\ntwo \\ ' run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  python3 - "$SEEN/parameters.json" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))["parameters"]["externalApiKey"]["value"]
assert found == " one\ntwo \\ ", repr(found)
PYTHON
  rm "$SEEN/parameters.json"
}

@test "with func, it publishes the folder and not the repository" {
  with_func
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  grep -qx 'func azure functionapp publish app --custom (handler host.json)' "$CALLS"
  [ "$(calls config-zip)" -eq 0 ]
}

@test "a package that is named is not built, and goes by az" {
  with_func
  touch "$BATS_TEST_TMPDIR/my.zip"
  run "$deploy" -g rg -n app --zip "$BATS_TEST_TMPDIR/my.zip"
  [ "$status" -eq 0 ]
  [ "$(calls '^package.sh')" -eq 0 ]
  grep -q "config-zip .*--src $BATS_TEST_TMPDIR/my.zip" "$CALLS"
}

@test "parameters of the template are passed on" {
  run "$deploy" -g rg -n app --set identityType=UserAssigned --set restrictVaultNetwork=true
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* identityType=UserAssigned restrictVaultNetwork=true ' "$CALLS"
}

@test "a secret is not taken from the command line" {
  run "$deploy" -g rg -n app --set externalApiKEY=x
  [ "$status" -eq 2 ]
  [[ "$output" == *"no place in a command line"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "run twice: the same calls again" {
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  first=$(sed 's|/tmp[^ ]*||g' "$CALLS")
  : >"$CALLS"
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(sed 's|/tmp[^ ]*||g' "$CALLS")" = "$first" ]
}

@test "a group that is missing is made where the user says" {
  GROUP_EXISTS=false run "$deploy" -g rg -n app -l westeurope
  [ "$status" -eq 0 ]
  grep -q '^az group create --name rg --location westeurope' "$CALLS"
}

@test "a group that is missing and no location: says what to add" {
  GROUP_EXISTS=false run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"say where with -l"* ]]
  [ "$(calls 'deployment')" -eq 0 ]
}

@test "a failed deployment stops, without the secrets that a tool repeats" {
  DEPLOYS=false ECHOES="$EXTERNAL_API_KEY_VALUE and \"$DATABASE_PASSWORD_VALUE\", val-one-\\\"\\\\x" run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *'InvalidTemplateDeployment: *** and "***", ***'* ]]
  [[ "$output" == *"Role Based Access Control Administrator"* ]]
  [ "$(calls '^package.sh')" -eq 0 ]
}

@test "publishing is tried again while access spreads" {
  PUBLISHES_AFTER=2 run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls config-zip)" -eq 3 ]
}

@test "publishing that never works stops before it verifies" {
  PUBLISHES_AFTER=99 run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [ "$(calls config-zip)" -eq 10 ]
  [ "$(calls 'az rest')" -eq 0 ]
  [[ "$output" == *"run this again"* ]]
}

@test "an app that does not answer as it should fails the deployment" {
  LEAKY=true run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"is deployed and does not answer as it should"* ]]
}

@test "a secret that is not set: says how, and asks nobody without a terminal" {
  unset DATABASE_PASSWORD_VALUE
  run "$deploy" -g rg -n app </dev/null
  [ "$status" -eq 1 ]
  [[ "$output" == *"DATABASE_PASSWORD_VALUE is not set"*"read -rs DATABASE_PASSWORD_VALUE"* ]]
}

@test "variables of the same name are not exported, and an inherited trace shows nothing" {
  external_api_key=x database_password=x answer=x run env SHELLOPTS=xtrace bash "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "not logged in" {
  LOGGED_IN=false run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"Run: az login"* ]]
}

@test "az is missing" {
  rm "$tools/az"
  run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"az is missing"* ]]
}

@test "wrong names and usage: exit 2 and the usage" {
  for arguments in "" "-g rg" "-g rg -n -app" "-g rg -n a.b" "-g rg -n app --set novalue" "-g rg -n app -l West_Europe" "--what"; do
    # shellcheck disable=SC2086 # several arguments
    run "$deploy" $arguments
    [ "$status" -eq 2 ]
    [[ "$output" == *"Usage: infra/deploy.sh"* ]]
  done
}
