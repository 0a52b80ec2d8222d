#!/usr/bin/env bash
# Has Event Grid send the events of the app's vault to the app. Safe to run again.
set -euo pipefail
set +x         # an inherited trace would print the key
unset key said # nor may it be exported from outside

usage() {
  cat <<'END'
Usage: infra/subscribe.sh -g RESOURCE_GROUP -n APP_NAME

  -g RESOURCE_GROUP  the app's resource group
  -n APP_NAME        the Function App, published and running

For an app that was deployed with rotationEvents=true; with another one it does
nothing. Makes the event subscription kv-APP_NAME at the system topic of the
vault, or updates it. Event Grid then asks the app whether it wants the events,
so the app must run.

The app gets a key of its own for this, eventgrid, which opens the function
events and no other. It is not printed and is in no command line.

SUBSCRIBE_RETRY_SECONDS (default: 30) is the pause before it tries again.
END
}

fail() {
  printf 'subscribe.sh: %s\n' "$*" >&2
  exit 1
}

wrong_usage() {
  printf 'subscribe.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

group='' app=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    -g | -n) [ -n "${2:-}" ] || wrong_usage "$1 needs a value" ;;
    *) wrong_usage "unknown argument: $1" ;;
  esac
  case $1 in
    -g) group=$2 ;;
    -n) app=$2 ;;
  esac
  shift 2
done
[ -n "$group" ] || wrong_usage "-g RESOURCE_GROUP is missing"
[ -n "$app" ] || wrong_usage "-n APP_NAME is missing"
[[ $app =~ ^[0-9A-Za-z-]+$ ]] || wrong_usage "no app can be named $app"

command -v az >/dev/null || fail "az is missing. Install the Azure CLI: https://aka.ms/azure-cli"
az account show --output none 2>/dev/null || fail "az is not logged in. Run: az login"

scratch=$(umask 077 && mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# What az wrote to stderr last, on one line.
reason() { tr -s '\r\n' ' ' <"$scratch/error"; }
lower() { tr '[:upper:]' '[:lower:]' <<<"$1"; }

# --- the app and its vault -------------------------------------------------------------------------

settings=$(az functionapp config appsettings list --resource-group "$group" --name "$app" --output tsv \
  --query "[[[?name=='ROTATION_REFRESH'].value | [0] || '-', [?name=='KEY_VAULT_URL'].value | [0] || '-']]" 2>"$scratch/error") ||
  fail "the app settings of $app cannot be read: $(reason)"
IFS=$'\t' read -r rotation vault <<<"${settings//$'\r'/}" || true
if [ "$(lower "${rotation:-}")" != on ]; then
  echo "$app was deployed without rotationEvents: nothing is subscribed to"
  exit
fi
vault=${vault#https://} vault=${vault%%.*}
[[ $vault =~ ^[0-9A-Za-z-]+$ ]] || fail "KEY_VAULT_URL of $app names no vault. Deploy it again with infra/deploy.sh"

# Flex Consumption apps come with their properties one level deeper than others.
found=$(az functionapp show --resource-group "$group" --name "$app" --output tsv \
  --query "[[defaultHostName || properties.defaultHostName, publicNetworkAccess || properties.publicNetworkAccess || '-']]" 2>"$scratch/error") ||
  fail "$app cannot be read: $(reason)"
IFS=$'\t' read -r host public <<<"${found//$'\r'/}" || true
[[ ${host:-} =~ ^[0-9A-Za-z.-]+\.[a-z]+$ ]] || fail "$app has no address"
[ "$(lower "${public:-}")" != disabled ] ||
  fail "$app takes no requests from the internet, and Event Grid has no other way to it.
Allow them (publicNetworkAccess), if you like with access restrictions for the service tag
AzureEventGrid and your callers, and run this again. Or deploy without rotationEvents"

topics=$(az eventgrid system-topic list --resource-group "$group" --output tsv --query "[].[name, source]" 2>"$scratch/error") ||
  fail "the system topics of $group cannot be listed: $(reason)"
topic=''
while IFS=$'\t' read -r name source; do
  [[ $(lower "${source:-}") != */vaults/"$(lower "$vault")" ]] || topic=$name
done <<<"${topics//$'\r'/}"
[ -n "$topic" ] || fail "the vault $vault has no system topic in $group.
Make it with: infra/deploy.sh -g $group -n $app --set rotationEvents=true"

# --- the key ---------------------------------------------------------------------------------------

# The key of before, or nothing. A new one at each run would close the app to the events that are on
# their way.
find_key() {
  key=$(az functionapp function keys list --resource-group "$group" --name "$app" --function-name vault-events \
    --output tsv --query "eventgrid || '-'" 2>"$scratch/error") || return 1
  key=${key%$'\r'}
}

attempts=5
again() {
  [ "$1" -lt "$attempts" ] || return 1
  printf 'Trying again in %s s (%d of %d)\n' "${SUBSCRIBE_RETRY_SECONDS:-30}" "$(($1 + 1))" "$attempts" >&2
  sleep "${SUBSCRIBE_RETRY_SECONDS:-30}"
}

attempt=1
until find_key; do
  printf 'The keys of the function vault-events cannot be listed: %s\n' "$(reason)" >&2
  again "$attempt" || fail "the keys of the function vault-events cannot be listed, for the reason above.
It takes the role Website Contributor on $app, and a package that has the function events"
  attempt=$((attempt + 1))
done
if [ "$key" = - ]; then
  # Older versions of az print the key.
  az functionapp function keys set --resource-group "$group" --name "$app" --function-name vault-events \
    --key-name eventgrid --output none >"$scratch/output" 2>"$scratch/error" ||
    fail "a key for Event Grid could not be made: $(reason)
It takes the role Website Contributor on $app"
  find_key || fail "the keys of the function vault-events cannot be listed: $(reason)"
fi
[[ $key =~ ^[0-9A-Za-z_=-]{2,}$ ]] || fail "the key eventgrid does not go into an address. Delete it, and run this again:
az functionapp function keys delete --resource-group $group --name $app --function-name vault-events --key-name eventgrid"

# --- the subscription ------------------------------------------------------------------------------

kind=Microsoft.KeyVault.
attempt=1
# The address goes through a pipe, because everyone on the machine can list command lines.
until printf 'https://%s/api/events?code=%s' "$host" "$key" |
  az eventgrid system-topic event-subscription create --resource-group "$group" --system-topic-name "$topic" --name "kv-$app" \
    --endpoint-type webhook --endpoint @- --event-delivery-schema eventgridschema \
    --included-event-types "${kind}SecretNewVersionCreated" "${kind}KeyNewVersionCreated" "${kind}CertificateNewVersionCreated" \
    "${kind}SecretNearExpiry" "${kind}SecretExpired" "${kind}CertificateNearExpiry" "${kind}CertificateExpired" \
    --output none >"$scratch/output" 2>"$scratch/error"; do
  # Should Azure repeat the address that it was given, the key stays here.
  said=$(reason)
  printf '%s\n' "${said//"$key"/***}" >&2
  again "$attempt" || fail "Event Grid does not send the events of $vault to https://$host/api/events, for the reason above.
It takes the role Contributor on $group, and an app that Event Grid reaches. Where the app has access
restrictions, allow the service tag AzureEventGrid:
az functionapp config access-restriction add --resource-group $group --name $app --rule-name event-grid --action Allow --service-tag AzureEventGrid --priority 300
Then run this again: infra/subscribe.sh -g $group -n $app"
  attempt=$((attempt + 1))
done
unset key said
printf 'Event Grid sends the events of %s to https://%s/api/events (subscription kv-%s of %s)\n' "$vault" "$host" "$app" "$topic"
