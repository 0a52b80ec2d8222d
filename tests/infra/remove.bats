#!/usr/bin/env bats
# infra/remove.sh against a stand-in for az, and the way there and back.
# shellcheck disable=SC2154 # stand_ins.bash and bats set the rest

load stand_ins

setup() {
  remove="$BATS_TEST_DIRNAME/../../infra/remove.sh"
  stand_ins az curl sleep
  there_is group vault app
}

teardown() { nothing_is_left; }

@test "the group that deploy.sh made goes as a whole, and what stays is said" {
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 0 ]
  [ "$(calls 'group delete --name rg --yes')" -eq 1 ]
  there_is_still deleted
  [[ "$output" == *"Microsoft.KeyVault/vaults"*"kv-app"* ]]
  [[ "$output" == *"can be recovered until 2026-12-04, by infra/deploy.sh"*"--purge"* ]]
  [[ "$output" == *"Log Analytics"*"14 days"* ]]
}

@test "a group that was there before stays" {
  echo - >"$STATE/group"
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 0 ]
  [ "$(calls 'group delete')" -eq 0 ]
  [ "$(calls 'resource delete --ids .*/kv-app .*/app ')" -eq 1 ]
  there_is_still 'deleted group'
}

@test "so does a group with something of somebody else's, which is named" {
  for other in Microsoft.Web/sites microsoft.insights/actiongroups Microsoft.Network/networkInterfaces microsoft.alertsmanagement/smartDetectorAlertRules; do
    there_is group vault app
    OTHERS="$other other" run "$remove" -g rg -n app --yes
    [ "$status" -eq 0 ]
    [ "$(calls 'group delete')" -eq 0 ]
    [[ "$output" == *"These stay, because they are not of app:"*"$other"*"other"* ]]
  done
}

@test "the system topic goes with the rest, and its subscription with it" {
  there_is rotation topic key subscription
  echo - >"$STATE/group"
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 0 ]
  [[ "$output" == *"Microsoft.EventGrid/systemTopics"*"evgst-kv-app"* ]]
  there_is_still 'deleted group'
}

@test "a system topic of somebody else stays, without the app's subscription" {
  there_is rotation key subscription
  for crlf in false true; do
    there_is vault app rotation subscription
    CRLF=$crlf TOPIC_OF_OTHERS=theirs-other run "$remove" -g rg -n app --yes
    [ "$status" -eq 0 ]
    [ "$(calls 'group delete')" -eq 0 ]
    [[ "$output" == *"systemTopics/eventSubscriptions"*"kv-app"*"These stay"*"theirs-other"* ]]
    there_is_still 'deleted group'
  done
}

@test "without a terminal and --yes nothing is deleted" {
  run "$remove" -g rg -n app </dev/null
  [ "$status" -eq 1 ]
  [[ "$output" == *"Add --yes"* ]]
  there_is_still 'app group vault'
}

@test "on a terminal the name of the app must be typed" {
  run on_a_terminal ap "$remove" -g rg -n app
  [ "$status" -eq 1 ]
  [[ "$output" == *"nothing was deleted"* ]]
  there_is_still 'app group vault'
  run on_a_terminal app "$remove" -g rg -n app
  [ "$status" -eq 0 ]
  there_is_still deleted
}

@test "--purge deletes the vault for ever" {
  run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still '*'
  [[ "$output" == *"kv-app is purged"* ]]
}

@test "a vault with purge protection stays, and nobody can help it" {
  PROTECTED=true run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still deleted
  [[ "$output" == *"nobody can purge it. It stays until 2026-12-04"* ]]
}

@test "run again after all is gone, it purges what is left" {
  rm "$STATE"/*
  there_is deleted
  run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still '*'
}

@test "run again without --purge, it asks nothing and says what is left" {
  rm "$STATE"/*
  there_is deleted
  run "$remove" -g rg -n app </dev/null
  [ "$status" -eq 0 ]
  [[ "$output" == *"only its deleted vault is left"*"can be recovered until 2026-12-04"* ]]
  [[ "$output" != *"This deletes"* ]]
  [[ "$output" != *"Log Analytics"* ]]
}

@test "a group that deploy.sh made and that holds only others' resources has nothing to remove" {
  rm "$STATE/vault" "$STATE/app"
  OTHERS='Microsoft.Web/sites other' run "$remove" -g rg -n app --yes
  [ "$status" -eq 1 ]
  [[ "$output" == *"nothing in rg carries the tag"* ]]
  [ "$(calls delete)" -eq "$(calls list-deleted)" ]
}

@test "who may not list deleted vaults removes the app all the same, but purges nothing" {
  DELETED_LIST_FAILS=true run "$remove" -g rg -n app --yes
  [ "$status" -eq 0 ]
  [[ "$output" == *"Reader on the subscription"* ]]
  there_is group vault app
  DELETED_LIST_FAILS=true run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot be listed: AuthorizationFailed"* ]]
}

@test "who may not purge learns the role that can" {
  PURGE_FAILS=true run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 1 ]
  [[ "$output" == *"AuthorizationFailed"*"Contributor or Key Vault Purge Operator"* ]]
}

@test "what is in use for a while: says to run it again" {
  BUSY=true OTHERS='Microsoft.Web/sites other' run "$remove" -g rg -n app --yes
  [ "$status" -eq 1 ]
  [[ "$output" == *"vnet-app"*"run this again"* ]]
}

@test "nothing of that name: says how to list what there is" {
  rm "$STATE"/*
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 1 ]
  [[ "$output" == *"nothing in rg carries the tag keyvault-functions=app"*"az resource list --tag"* ]]
}

@test "not logged in, and az is missing" {
  LOGGED_IN=false run "$remove" -g rg -n app --yes
  [ "$status" -eq 1 ]
  [[ "$output" == *"Run: az login"* ]]
  rm "$tools/az"
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 1 ]
  [[ "$output" == *"az is missing"* ]]
}

@test "lines may end as on Windows" {
  CRLF=true run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still '*'
  # And where the group stays, so that each resource is named.
  there_is vault app
  echo - >"$STATE/group"
  CRLF=true run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still group
}

@test "wrong usage: exit 2 and the usage" {
  for arguments in "" "-g rg" "-g rg -n a/b" "-g rg -n app --what"; do
    # shellcheck disable=SC2086 # several arguments
    run "$remove" $arguments
    [ "$status" -eq 2 ]
    [[ "$output" == *"Usage: infra/remove.sh"* ]]
  done
}

@test "the help of every script fits a terminal of 80 columns" {
  for script in deploy verify subscribe remove package; do
    run "$BATS_TEST_DIRNAME/../../infra/$script.sh" --help
    [ "$status" -eq 0 ]
    [[ "$output" == "Usage: infra/$script.sh"* ]]
    run awk 'length > 80' <<<"$output"
    [ -z "$output" ]
  done
}

@test "there and back, twice: deploy, verify, remove, deploy with the vault of before, remove for ever" {
  rm "$STATE"/*
  infra="$BATS_TEST_DIRNAME/../../infra"
  touch "$BATS_TEST_TMPDIR/my.zip"
  EXTERNAL_API_KEY_VALUE=val-one DATABASE_PASSWORD_VALUE=val-two run "$infra/deploy.sh" -g rg -n app -l westeurope --zip "$BATS_TEST_TMPDIR/my.zip"
  [ "$status" -eq 0 ]
  run "$infra/verify.sh" -g rg -n app
  [ "$status" -eq 0 ]
  run "$remove" -g rg -n app --yes
  [ "$status" -eq 0 ]
  there_is_still deleted
  EXTERNAL_API_KEY_VALUE=val-one DATABASE_PASSWORD_VALUE=val-two run "$infra/deploy.sh" -g rg -n app -l westeurope --zip "$BATS_TEST_TMPDIR/my.zip" --recover
  [ "$status" -eq 0 ]
  there_is_still 'app group vault'
  EXTERNAL_API_KEY_VALUE=val-one DATABASE_PASSWORD_VALUE=val-two run "$infra/deploy.sh" -g rg -n app --zip "$BATS_TEST_TMPDIR/my.zip" --set rotationEvents=true
  [ "$status" -eq 0 ]
  there_is_still 'app group key rotation subscription topic vault'
  run "$remove" -g rg -n app --yes --purge
  [ "$status" -eq 0 ]
  there_is_still '*'
  rm "$SEEN/parameters.json"
}
