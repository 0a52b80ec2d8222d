#!/usr/bin/env bats
# infra/deploy.sh against stand-ins for az, curl and the package.
# shellcheck disable=SC2154 # stand_ins.bash and bats set the rest

load stand_ins

setup() {
  stand_ins az curl sleep
  there_is group
  export EXTERNAL_API_KEY_VALUE="val-one-\"\\x" DATABASE_PASSWORD_VALUE="val-two"
  # A clone in which the package is made in no time.
  root="$BATS_TEST_TMPDIR/clone"
  mkdir -p "$root/infra"
  cp "$BATS_TEST_DIRNAME"/../../infra/{deploy.sh,verify.sh,subscribe.sh,app.bicep} "$root/infra/"
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

@test "from a group to a verified app" {
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"app works."* ]]
  # In this order.
  order=$(grep -Eo '^(az (deployment group create|functionapp deployment|rest)|package.sh|request)' "$CALLS" | uniq | paste -s -d , -)
  [ "$order" = "az deployment group create,package.sh,az functionapp deployment,az rest,request" ]
  [[ "$output" == *"https://app.azurewebsites.net/api/config-check"*"infra/remove.sh -g rg -n app"* ]]
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

@test "a package that is named is not built" {
  touch "$BATS_TEST_TMPDIR/my.zip"
  run "$deploy" -g rg -n app --zip "$BATS_TEST_TMPDIR/my.zip"
  [ "$status" -eq 0 ]
  [ "$(calls '^package.sh')" -eq 0 ]
  grep -q "config-zip .*--src $BATS_TEST_TMPDIR/my.zip" "$CALLS"
}

@test "parameters of the template are passed on" {
  run "$deploy" -g rg -n app --set identityType=SystemAssigned --set instanceMemoryMB=512
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* identityType=SystemAssigned instanceMemoryMB=512 ' "$CALLS"
}

@test "a secret is not taken from the command line" {
  run "$deploy" -g rg -n app --set externalApiKEY=x
  [ "$status" -eq 2 ]
  [[ "$output" == *"no place in a command line"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "run twice: the vault that is there keeps its retention, and is told so" {
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'deployment group create .*softDelete')" -eq 0 ]
  : >"$CALLS"
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"kv-app keeps deleted secrets for 7 days, as before"* ]]
  grep -q '^az deployment group create .* softDeleteRetentionInDays=7 ' "$CALLS"
  [ "$(calls 'deployment group create .*enablePurge')" -eq 0 ]
}

@test "a group that is missing is made where the user says" {
  rm "$STATE/group"
  run "$deploy" -g rg -n app -l westeurope
  [ "$status" -eq 0 ]
  grep -q '^az group create --name rg --location westeurope --tags keyvault-functions=app' "$CALLS"
}

@test "a group that is missing and no location: says what to add" {
  rm "$STATE/group"
  run "$deploy" -g rg -n app
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

@test "a region without Flex Consumption is refused before anything is made" {
  rm "$STATE/group"
  run "$deploy" -g rg -n app -l antarctica
  [ "$status" -eq 1 ]
  [[ "$output" == *"antarctica has no Flex Consumption. Name one of these with -l: eastus westeurope"* ]]
  there_is_still '*'
}

@test "an az that does not know the regions is no reason to stop" {
  LOCATIONS='' run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "a network has its resource provider registered" {
  REGISTERED=NotRegistered run "$deploy" -g rg -n app --set networkMode=serviceEndpoint
  [ "$status" -eq 0 ]
  [ "$(calls 'provider register --namespace Microsoft.App --wait')" -eq 1 ]
  : >"$CALLS"
  run "$deploy" -g rg -n app --set NetworkMode=privateEndpoint
  [ "$status" -eq 0 ]
  [ "$(calls 'provider register')" -eq 0 ]
  : >"$CALLS"
  run "$deploy" -g rg -n app
  [ "$(calls '^az provider')" -eq 0 ]
}

@test "a vault that was deleted: without a terminal it says what to choose from, and does nothing" {
  there_is deleted
  run "$deploy" -g rg -n app </dev/null
  [ "$status" -eq 1 ]
  [[ "$output" == *"the vault kv-app, which was deleted"*"taken until 2026-12-04"* ]]
  [[ "$output" == *"add --recover"*"az keyvault purge --name kv-app --location westeurope"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "a vault with purge protection cannot be purged, and that is not offered" {
  there_is deleted
  PROTECTED=true run "$deploy" -g rg -n app </dev/null
  [ "$status" -eq 1 ]
  [[ "$output" == *"add --recover"* ]]
  [[ "$output" != *purge* ]]
}

@test "with --recover it is recovered first, with the retention that it had" {
  there_is deleted
  RETENTION=90 run "$deploy" -g rg -n app --recover
  [ "$status" -eq 0 ]
  order=$(grep -Eo '^az (keyvault recover|deployment group create)' "$CALLS" | paste -s -d , -)
  [ "$order" = "az keyvault recover,az deployment group create" ]
  grep -q '^az deployment group create .* softDeleteRetentionInDays=90 ' "$CALLS"
}

@test "on a terminal it asks whether to recover it" {
  there_is deleted
  run on_a_terminal n "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"nothing was deployed"* ]]
  [ "$(calls 'keyvault recover')" -eq 0 ]
  run on_a_terminal y "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'keyvault recover')" -eq 1 ]
}

@test "the vault that is found by its tag is the one that is deployed, whatever its name" {
  there_is vault
  VAULT_NAME=kv-mine run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* vaultName=kv-mine ' "$CALLS"
}

@test "so is one that was recovered, and one that is named is named once" {
  there_is deleted
  run "$deploy" -g rg -n app --recover
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* vaultName=kv-app ' "$CALLS"
  : >"$CALLS"
  run "$deploy" -g rg -n app --set vaultName=kv-app
  [ "$status" -eq 0 ]
  [ "$(grep -o vaultName "$CALLS" | grep -c .)" -eq 1 ]
}

@test "a deleted vault of another region: says where it can be recovered, and does nothing" {
  there_is deleted
  DELETED_LOCATION=eastus run "$deploy" -g rg -n app --recover
  [ "$status" -eq 1 ]
  [[ "$output" == *"it was in eastus"*"-l eastus"* ]]
  [ "$(calls 'keyvault recover')" -eq 0 ]
}

@test "a deleted vault of another group is not this app's" {
  there_is deleted
  DELETED_GROUP=other DEPLOYS=false run "$deploy" -g rg -n app
  [ "$(calls 'keyvault recover')" -eq 0 ]
  [ "$(calls 'deployment group create')" -eq 1 ]
}

@test "a deleted vault of that name in another group: says where it can be recovered" {
  there_is deleted
  DELETED_GROUP=other run "$deploy" -g rg -n app --set vaultName=kv-app --recover
  [ "$status" -eq 1 ]
  [[ "$output" == *"az keyvault recover --name kv-app --location westeurope --resource-group other"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "who may not list deleted vaults learns of it from the deployment" {
  there_is deleted
  DELETED_LIST_FAILS=true run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"deleted state"*"recover it with --recover"* ]]
}

@test "a retention that cannot change is refused before the deployment" {
  there_is vault
  RETENTION=90 run "$deploy" -g rg -n app --set softDeleteRetentionInDays=7
  [ "$status" -eq 1 ]
  [[ "$output" == *"kv-app keeps deleted secrets for 90 days"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "purge protection that cannot go is refused, and stays when nothing is asked" {
  there_is vault
  PROTECTED=true run "$deploy" -g rg -n app --set enablePurgeProtection=false
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot be switched off again"* ]]
  [ "$(calls deployment)" -eq 0 ]
  PROTECTED=true run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* enablePurgeProtection=true ' "$CALLS"
}

@test "a vault of somebody else is not taken over" {
  there_is vault
  OWNER=- run "$deploy" -g rg -n app --set vaultName=kv-app
  [ "$status" -eq 1 ]
  [[ "$output" == *"kv-app is there and is not of app"* ]]
  [ "$(calls deployment)" -eq 0 ]
}

@test "a vault that is closed is not opened because nobody said so again" {
  there_is vault
  NETWORK=Deny run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"kv-app is closed to the public"*"networkMode=privateEndpoint"* ]]
  [ "$(calls deployment)" -eq 0 ]
  NETWORK=Deny run "$deploy" -g rg -n app --set networkMode=privateEndpoint
  [ "$status" -eq 0 ]
}

@test "a host whose keys cannot be listed yet goes on to the diagnosis, too" {
  PUBLISHES_AFTER=99 PUBLISH_SAYS="Failed to fetch host key to check for function app status" run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls config-zip)" -eq 1 ]
  [[ "$output" == *"What follows tells why"*"app works."* ]]
}

@test "publishing is tried again while access spreads" {
  PUBLISHES_AFTER=2 run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls config-zip)" -eq 3 ]
  [[ "$output" == *"the access to the storage: trying again in 30 s (2 of 10)"*"(3 of 10)"* ]]
}

@test "publishing is tried again while another publishing runs" {
  PUBLISHES_AFTER=1 PUBLISH_SAYS="There may be an ongoing deployment." run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls config-zip)" -eq 2 ]
  [[ "$output" == *"Waiting for the other publishing to end: trying again"* ]]
}

@test "publishing is tried again while its service starts" {
  for said in "An error occured during deployment. Status Code: 503" "Failed to retrieve deployment status. Please try again in a few minutes."; do
    : >"$CALLS"
    PUBLISHES_AFTER=1 PUBLISH_SAYS="$said" run "$deploy" -g rg -n app
    [ "$status" -eq 0 ]
    [ "$(calls config-zip)" -eq 2 ]
    [[ "$output" == *"Waiting for the publishing service: trying again"* ]]
  done
}

@test "publishing that never works stops before it verifies" {
  PUBLISHES_AFTER=99 run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [ "$(calls config-zip)" -eq 10 ]
  [ "$(calls 'az rest')" -eq 0 ]
  [[ "$output" == *"still waits for the access to the storage. Run this again"* ]]
}

@test "a failure that waiting does not heal is not tried again" {
  PUBLISHES_AFTER=99 PUBLISH_SAYS="AuthorizationFailed" run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [ "$(calls config-zip)" -eq 1 ]
  [ "$(calls '^sleep')" -eq 0 ]
  [[ "$output" == *"AuthorizationFailed"*"Website Contributor"* ]]
}

@test "an app that is published and sick goes on to the diagnosis" {
  PUBLISHES_AFTER=99 PUBLISH_SAYS="Deployment was successful but the app appears to be unhealthy." LEAKY=true run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [ "$(calls config-zip)" -eq 1 ]
  [[ "$output" == *"What follows tells why"*"failing row: secrets/ExternalApiKey"* ]]
}

@test "an app that does not answer as it should fails the deployment" {
  LEAKY=true run "$deploy" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"is deployed and does not answer as it should"*"az monitor app-insights query"* ]]
}

@test "rotationEvents: the subscription is made after the app is published and verified" {
  run "$deploy" -g rg -n app --set rotationEvents=true
  [ "$status" -eq 0 ]
  grep -q '^az deployment group create .* rotationEvents=true ' "$CALLS"
  order=$(grep -Eo '^(az (deployment group create|functionapp deployment|eventgrid system-topic event-subscription create)|request .*/events)' "$CALLS" | uniq | paste -s -d , -)
  [ "$order" = "az deployment group create,az functionapp deployment,request https://app.azurewebsites.net/api/events,az eventgrid system-topic event-subscription create" ]
  [[ "$output" == *"subscription kv-app of evgst-kv-app"* ]]
  there_is_still 'app group key rotation subscription topic vault'
}

@test "rotationEvents, run twice: the same key, the same topic, the same subscription" {
  run "$deploy" -g rg -n app --set rotationEvents=true
  [ "$status" -eq 0 ]
  run "$deploy" -g rg -n app --set rotationEvents=true
  [ "$status" -eq 0 ]
  [ "$(calls 'function keys set')" -eq 1 ]
  [ "$(calls 'event-subscription create')" -eq 2 ]
  [ "$(calls makesEventTopic)" -eq 0 ]
}

@test "without rotationEvents nothing of Event Grid is asked for" {
  run "$deploy" -g rg -n app --set rotationEvents=false
  [ "$status" -eq 0 ]
  run "$deploy" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls eventgrid)" -eq 0 ]
  [ "$(calls api/events)" -eq 0 ]
}

@test "rotationEvents: a system topic that somebody else has made is used, and stays as it is" {
  there_is vault
  TOPIC_OF_OTHERS=theirs run "$deploy" -g rg -n app --set RotationEvents=true --set rotationEvents=true
  [ "$status" -eq 0 ]
  [[ "$output" == *"kv-app has the system topic theirs"* ]]
  grep -q '^az deployment group create .* makesEventTopic=false ' "$CALLS"
  grep -q 'event-subscription create .* --system-topic-name theirs --name kv-app ' "$CALLS"
}

@test "rotationEvents: a system topic in another group is explained" {
  TOPIC_OF_OTHERS=theirs run "$deploy" -g rg -n app --set rotationEvents=true
  [ "$status" -eq 1 ]
  [[ "$output" == *"system topic in another resource group"*"az eventgrid system-topic list"* ]]
  [ "$(calls '^package.sh')" -eq 0 ]
}

@test "rotationEvents: an app that Event Grid cannot reach is deployed, and that is said" {
  SUBSCRIBES_AFTER=99 run "$deploy" -g rg -n app --set rotationEvents=true
  [ "$status" -eq 1 ]
  [[ "$output" == *"app works."*"app is deployed and gets no events"*"infra/subscribe.sh -g rg -n app"* ]]
  there_is_still 'app group key rotation topic vault'
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
