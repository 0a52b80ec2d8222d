#!/usr/bin/env bats
# infra/subscribe.sh against a stand-in for az.
# shellcheck disable=SC2154 # stand_ins.bash and bats set the rest

load stand_ins

setup() {
  subscribe="$BATS_TEST_DIRNAME/../../infra/subscribe.sh"
  stand_ins az sleep
  there_is group vault app rotation topic
}

teardown() { nothing_is_left; }

@test "the app gets a key for Event Grid, and the subscription its address by a pipe" {
  run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'function keys set .*--function-name vault-events --key-name eventgrid')" -eq 1 ]
  grep -q 'event-subscription create .* --endpoint @- --event-delivery-schema eventgridschema ' "$CALLS"
  there_is_still 'app group key rotation subscription topic vault'
}

@test "every event that the handler knows is subscribed to, and no other" {
  run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  kinds=$(grep -o 'Microsoft\.KeyVault\.[A-Za-z]*' "$CALLS" | sort | paste -s -d ' ' -)
  wanted=''
  for kind in CertificateExpired CertificateNearExpiry CertificateNewVersionCreated KeyNewVersionCreated SecretExpired SecretNearExpiry SecretNewVersionCreated; do
    wanted+=" Microsoft.KeyVault.$kind"
  done
  [ "$kinds" = "${wanted# }" ]
}

@test "run twice: the key stays, for the events that are on their way" {
  run "$subscribe" -g rg -n app
  run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'function keys set')" -eq 1 ]
  [ "$(calls 'event-subscription create')" -eq 2 ]
}

@test "an app without rotationEvents: nothing is done, and that is no failure" {
  rm "$STATE/rotation"
  run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"without rotationEvents"* ]]
  there_is_still 'app group topic vault'
}

@test "an app that Event Grid cannot reach at once is tried again, and the key is not shown" {
  SUBSCRIBES_AFTER=2 run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'event-subscription create')" -eq 3 ]
  [[ "$output" == *"handshake failed for https://app.azurewebsites.net/api/events?code=***"*"Trying again in 30 s (2 of 5)"* ]]
}

@test "an app that Event Grid never reaches: the service tag that it takes" {
  SUBSCRIBES_AFTER=99 run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [ "$(calls 'event-subscription create')" -eq 5 ]
  [[ "$output" == *"allow the service tag AzureEventGrid"*"access-restriction add"* ]]
}

@test "an app that is closed to the internet is refused before anything is made" {
  PUBLIC=Disabled run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"takes no requests from the internet"*"AzureEventGrid"* ]]
  there_is_still 'app group rotation topic vault'
}

@test "a vault without a topic: says how to make it" {
  rm "$STATE/topic"
  run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"kv-app has no system topic in rg"*"--set rotationEvents=true"* ]]
}

@test "keys that cannot be listed yet are asked for again" {
  KEYS_AFTER=2 run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  there_is_still 'app group key rotation subscription topic vault'
  : >"$CALLS"
  KEYS_AFTER=99 run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"Website Contributor on app"* ]]
}

@test "a key of somebody's own that does not go into an address is refused" {
  EVENT_KEY='odd&key' run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" != *odd* ]]
  [[ "$output" == *"az functionapp function keys delete"* ]]
}

@test "an inherited trace and variables of the same name show nothing" {
  key=x found=x said=x run env SHELLOPTS=xtrace bash "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "another cloud has another host, and lines may end as on Windows" {
  HOST=app.azurewebsites.us CRLF=true run "$subscribe" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"https://app.azurewebsites.us/api/events"* ]]
}

@test "not logged in, and az is missing" {
  LOGGED_IN=false run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"Run: az login"* ]]
  rm "$tools/az"
  run "$subscribe" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"az is missing"* ]]
}

@test "wrong usage: exit 2 and the usage" {
  for arguments in "" "-g rg" "-g rg -n a/b" "-g rg -n app --what"; do
    # shellcheck disable=SC2086 # several arguments
    run "$subscribe" $arguments
    [ "$status" -eq 2 ]
    [[ "$output" == *"Usage: infra/subscribe.sh"* ]]
  done
}
