#!/usr/bin/env bats
# infra/verify.sh against stand-ins for az and curl.
# shellcheck disable=SC2154 # stand_ins.bash and bats set the rest

load stand_ins

setup() {
  verify="$BATS_TEST_DIRNAME/../../infra/verify.sh"
  stand_ins az curl sleep
  there_is group vault app
}

teardown() { nothing_is_left; }

@test "all resolved at once: no refresh, no restart, five rows, exit 0" {
  run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls refresh)" -eq 0 ]
  [ "$(calls restart)" -eq 0 ]
  [ "$(calls '^request')" -eq 5 ]
  [[ "$output" == *"DATABASE_PASSWORD"*"Resolved"* ]]
  [[ "$output" == *"app works."* ]]
}

@test "resolved by a refresh: its answer is taken, and the app is restarted once before it is judged" {
  RESOLVED_AFTER=1 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls refresh)" -eq 1 ]
  [ "$(calls '--method get')" -eq 1 ]
  [ "$(calls '^sleep')" -eq 0 ]
  order=$(grep -Eo '^(az functionapp restart|request)' "$CALLS" | uniq | paste -s -d , -)
  [ "$order" = "az functionapp restart,request" ]
}

@test "statuses are asked for every 10 s and a refresh once a minute" {
  RESOLVED_AFTER=2 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls refresh)" -eq 2 ]
  # 0 s and the five after it, then 60 s.
  [ "$(calls '--method get')" -eq 7 ]
  [ "$(calls '^sleep 10$')" -eq 6 ]
  [[ "$output" == *"Azure resolved them again (1); waiting for DATABASE_PASSWORD"* ]]
}

@test "a refresh that fails is not fatal, and comes again" {
  REFRESH_FAILS=true run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  REFRESH_FAILS=true RESOLVED_AFTER=2 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"the refresh failed"*"Conflict"* ]]
}

@test "never resolved: exit 1 at the deadline, with the row and the platform's word" {
  RESOLVED_AFTER=999999 run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"DATABASE_PASSWORD is AccessToKeyVaultDenied"* ]]
  [ "$(calls '^request')" -eq 0 ]
}

@test "a setting that Azure does not take for a reference is no success" {
  ABSENT=true run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"DATABASE_PASSWORD is NotAReference"* ]]
}

@test "a second page of references is read" {
  PAGED=true run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls page2)" -eq 1 ]
}

@test "no access to the references: three tries, then the role that it takes" {
  ARM_FAILS=true run "$verify" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"AuthorizationFailed"*"Reader"* ]]
  [ "$(calls 'configreferences')" -eq 3 ]
}

@test "a host that is starting gets time" {
  STARTS_AFTER=3 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls '^request')" -eq 8 ]
}

@test "a broken route: exit 1 with the failing row and its fix" {
  BROKEN='config-check?strict=true' run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"failing row: config-check?strict=true with a function key -> 200: it answered 500"* ]]
  [[ "$output" == *"Look at the log."* ]]
}

@test "a function key that opens secrets-metadata fails" {
  LEAKY=true run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"failing row: secrets/ExternalApiKey with a function key"* ]]
}

@test "a host may refuse a function key with 403 as well" {
  REFUSES_WITH=403 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "metadata of another secret fails" {
  ANSWERS_ABOUT=DatabasePassword run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"the answer has not ExternalApiKey as its name"* ]]
}

@test "another cloud has another host, and Resource Manager is asked by its own address" {
  HOST=app.azurewebsites.us run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [[ "$output" == *"Routes of https://app.azurewebsites.us"* ]]
  [ "$(calls 'rest .*--url https')" -eq 0 ]
}

@test "the secret can be chosen" {
  run "$verify" -g rg -n app --secret DatabasePassword
  [ "$status" -eq 0 ]
  grep -q 'request https://app.azurewebsites.net/api/secrets/DatabasePassword' "$CALLS"
}

@test "an app that may not be restarted: says the role" {
  rm "$STATE/app"
  RESOLVED_AFTER=1 run "$verify" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"app cannot be restarted"*"Website Contributor"* ]]
}

@test "no function key: says how to make one" {
  FUNCTION_KEY=- run "$verify" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"az functionapp keys set"* ]]
}

@test "a wrong name: says how to list the right ones" {
  APP_EXISTS=false run "$verify" -g rg -n other
  [ "$status" -eq 1 ]
  [[ "$output" == *"there is no Function App other in rg"*"az functionapp list"* ]]
}

@test "not logged in" {
  LOGGED_IN=false run "$verify" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"Run: az login"* ]]
}

@test "a missing tool is named" {
  for tool in az curl; do
    rm "$tools/$tool"
    run "$verify" -g rg -n app
    [ "$status" -eq 1 ]
    [[ "$output" == *"$tool is missing"* ]]
    ln -s "$BATS_TEST_DIRNAME/bin/$tool" "$tools/$tool"
  done
}

@test "lines may end as on Windows" {
  RESOLVED_AFTER=1 PAGED=true CRLF=true run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "with rotationEvents an event is sent and acknowledged, and refused without a key" {
  there_is rotation
  run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls '^request')" -eq 7 ]
  [[ "$output" == *"events without a key -> 401"*"events with a function key -> 200"*"app works."* ]]
  CRLF=true run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "an app whose rotation is off although it is set fails" {
  there_is rotation
  ROTATION=off run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"failing row: events with a function key -> 200: the answer has not on as its rotation"* ]]
}

@test "a package without the function events fails, and is named" {
  there_is rotation
  BROKEN=events run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"failing row: events without a key"* ]]
}

@test "any setting that looks like a reference must be one" {
  MORE=ANOTHER run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"ANOTHER is NotAReference"* ]]
}

@test "keys that cannot be fetched yet are asked for again" {
  KEYS_AFTER=2 run "$verify" -g rg -n app
  [ "$status" -eq 0 ]
  [ "$(calls 'keys list')" -eq 3 ]
}

@test "no answer at all: says from where" {
  CURL_FAILS=true run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"there was no answer from https://app.azurewebsites.net"* ]]
}

@test "a page in the place of JSON fails" {
  TYPE=text/html run "$verify" -g rg -n app --timeout 0
  [ "$status" -eq 1 ]
  [[ "$output" == *"text/html and not JSON"* ]]
}

@test "an inherited trace and variables of the same name show nothing" {
  master_key=x function_key=x keys=x key=x run env SHELLOPTS=xtrace bash "$verify" -g rg -n app
  [ "$status" -eq 0 ]
}

@test "wrong usage: exit 2 and the usage" {
  for arguments in "" "-g rg" "-g rg -n app --timeout soon" "-g rg -n app --secret a/b" "-g rg -n app --what"; do
    # shellcheck disable=SC2086 # several arguments
    run "$verify" $arguments
    [ "$status" -eq 2 ]
    [[ "$output" == *"Usage: infra/verify.sh"* ]]
  done
}
