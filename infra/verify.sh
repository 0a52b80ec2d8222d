#!/usr/bin/env bash
# Proves that a deployed Function App works: Azure's own status of every Key Vault reference,
# which the list of app settings cannot show, and then the two routes over HTTPS.
set -euo pipefail
set +x                                 # an inherited trace would print the keys
unset keys key master_key function_key # nor may they be exported from outside

usage() {
  cat <<'END'
Usage: infra/verify.sh -g RESOURCE_GROUP -n APP_NAME [--timeout SECONDS]
                       [--secret NAME]

  -g RESOURCE_GROUP   the app's resource group
  -n APP_NAME         the Function App
  --timeout SECONDS   how long to wait for the references (default: 300)
  --secret NAME       a secret to ask the app for (default: ExternalApiKey)

Asks Azure for the status of every reference. While one is not Resolved, it has
Azure resolve them again, once a minute at most, because that may restart the
app. Then it restarts the app once, so that no instance keeps an unresolved
value.

Then it calls the routes: without a key, with a function key and with the master
key. An app with rotationEvents gets an event, about a secret that no reference
names. The keys are not printed and are in no command line. Exits with 1 and
names the row that failed.

VERIFY_INTERVAL (default: 10) is the pause between two questions, in seconds.
END
}

fail() {
  printf 'verify.sh: %s\n' "$*" >&2
  exit 1
}

wrong_usage() {
  printf 'verify.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

group='' app='' timeout=300 secret=ExternalApiKey
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    -g | -n | --timeout | --secret) [ -n "${2:-}" ] || wrong_usage "$1 needs a value" ;;
    *) wrong_usage "unknown argument: $1" ;;
  esac
  case $1 in
    -g) group=$2 ;;
    -n) app=$2 ;;
    --timeout) timeout=$2 ;;
    --secret) secret=$2 ;;
  esac
  shift 2
done
interval=${VERIFY_INTERVAL:-10}
[ -n "$group" ] || wrong_usage "-g RESOURCE_GROUP is missing"
[ -n "$app" ] || wrong_usage "-n APP_NAME is missing"
[[ $timeout =~ ^[0-9]{1,6}$ ]] || wrong_usage "--timeout takes a number of seconds, not $timeout"
[[ $interval =~ ^[1-9][0-9]{0,3}$ ]] || wrong_usage "VERIFY_INTERVAL takes a number of seconds, not $interval"
[[ $secret =~ ^[0-9A-Za-z-]{1,127}$ ]] || wrong_usage "no secret can be named $secret"

command -v az >/dev/null || fail "az is missing. Install the Azure CLI: https://aka.ms/azure-cli"
command -v curl >/dev/null || fail "curl is missing. Install it (Debian: apt-get install curl)"
az account show --output none 2>/dev/null || fail "az is not logged in. Run: az login"

scratch=$(umask 077 && mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

deadline=$((SECONDS + 10#$timeout))
time_is_up() { [ "$SECONDS" -ge "$deadline" ]; }
# What az wrote to stderr last, on one line.
reason() { tr -s '\r\n' ' ' <"$scratch/error"; }

# --- the app ---------------------------------------------------------------------------------

# Flex Consumption apps come with their properties one level deeper than others.
found=$(az functionapp show --resource-group "$group" --name "$app" --output tsv \
  --query "[[id, defaultHostName || properties.defaultHostName]]" 2>"$scratch/error") ||
  fail "there is no Function App $app in $group, or it cannot be read: $(reason)
List yours with: az functionapp list --query \"[].[resourceGroup, name]\" --output table"
IFS=$'\t' read -r id host <<<"${found//$'\r'/}" || true
[[ ${id:-} == /subscriptions/* && ${host:-} =~ ^[0-9A-Za-z.-]+\.[a-z]+$ ]] ||
  fail "there is no Function App $app in $group.
List yours with: az functionapp list --query \"[].[resourceGroup, name]\" --output table"

# --- the references --------------------------------------------------------------------------

# The settings that must be references: the two of config-check, and all that look like one.
named=$(az functionapp config appsettings list --resource-group "$group" --name "$app" --output tsv \
  --query "[?value && contains(value, 'Microsoft.KeyVault')].name" 2>"$scratch/error") ||
  fail "the app settings of $app cannot be read: $(reason)"
expected=$(printf '%s\n' EXTERNAL_API_KEY DATABASE_PASSWORD "$named" | tr -d '\r' | sed '/^$/d' | sort -u)

# What infra/subscribe.sh reads, too.
settings=$(az functionapp config appsettings list --resource-group "$group" --name "$app" --output tsv \
  --query "[[[?name=='ROTATION_REFRESH'].value | [0] || '-', [?name=='KEY_VAULT_URL'].value | [0] || '-']]" 2>"$scratch/error") ||
  fail "the app settings of $app cannot be read: $(reason)"
IFS=$'\t' read -r rotation vault <<<"${settings//$'\r'/}" || true
vault_host=${vault#https://} vault_host=${vault_host%%/*} vault=${vault_host%%.*}

# Writes a line for each reference: setting, status, details. A refresh answers with the same list
# as the question for it. Azure pages long lists, and the address of a page is a whole one.
ask_for_references() {
  local method=get url="$id/config/configreferences/appsettings?api-version=2025-03-01" page key status details
  if [ "${1:-}" = refresh ]; then
    method=post url="$id/config/configreferences/appsettings/refresh?api-version=2022-03-01"
  fi
  : >"$scratch/references"
  while [ -n "$url" ]; do
    page=$(MSYS_NO_PATHCONV=1 az rest --method "$method" --url "$url" --output tsv --query "[value[].[id, properties.status || '-', properties.details || '-'], [['next', nextLink || '-', '-']]][]" 2>"$scratch/error") || return 1
    method=get url=''
    while IFS=$'\t' read -r key status details; do
      case $key in
        next) [ "$status" = - ] || url=$status ;;
        # Anything else is the rest of details that had a line break.
        */configreferences/*) printf '%s\t%s\t%s\n' "${key##*/}" "$status" "$details" >>"$scratch/references" ;;
      esac
    done < <(tr -d '\r' <<<"$page")
  done
  add_absent
}

# Those that must be there and are not: Azure did not take their value for a reference.
add_absent() {
  local setting
  while read -r setting; do
    cut -f 1 "$scratch/references" | grep -Fqx -e "$setting" ||
      printf '%s\tNotAReference\t%s\n' "$setting" "not set, or its value is not spelt as a reference" >>"$scratch/references"
  done <<<"$expected"
}

unresolved() { awk -F '\t' '$2 != "Resolved"' "$scratch/references"; }

print_references() {
  awk -F '\t' 'BEGIN { printf "%-32s %s\n", "setting", "status" }
    { printf "%-32s %s%s\n", $1, $2, ($2 == "Resolved" || $3 == "-" ? "" : "  (" $3 ")") }' "$scratch/references"
}

printf 'Key Vault references of %s:\n' "$app"
refreshes=0 failures=0 questions=0
between_refreshes=$(((59 + interval) / interval))
while :; do
  if ask_for_references; then
    failures=0
    [ -n "$(unresolved)" ] || break
    if [ $((questions % between_refreshes)) = 0 ]; then
      # It answers with the new status of each.
      cp "$scratch/references" "$scratch/before"
      if ask_for_references refresh; then
        refreshes=$((refreshes + 1))
        [ -n "$(unresolved)" ] || break
        printf '  Azure resolved them again (%d); waiting for %s\n' "$refreshes" "$(unresolved | cut -f 1 | paste -s -d ' ' -)"
      else
        mv "$scratch/before" "$scratch/references"
        printf '  the refresh failed, trying again in a minute: %s\n' "$(reason)" >&2
      fi
    fi
    questions=$((questions + 1))
    if time_is_up; then
      print_references
      fail "not resolved after $timeout s and $refreshes refreshes: $(unresolved | awk -F '\t' '{ printf "%s%s is %s", (NR > 1 ? ", " : ""), $1, $2 }').
config-check tells why, and what to do: https://$host/api/config-check with a function key
(az functionapp keys list --resource-group $group --name $app --query functionKeys).
A role that was granted a moment ago needs some minutes: run this again, with a longer --timeout."
    fi
  else
    # Azure's front door fails at times; three times in a row is no accident.
    failures=$((failures + 1))
    if [ "$failures" -ge 3 ] || time_is_up; then
      fail "Azure does not tell the status of the references: $(reason)
It takes the role Reader on the app, and a connection to Azure Resource Manager."
    fi
  fi
  sleep "$interval"
done
print_references

# A running instance can keep what it got before the refresh.
if [ "$refreshes" -gt 0 ]; then
  printf '\nRestarting %s, so that no instance keeps an unresolved value.\n' "$app"
  az functionapp restart --resource-group "$group" --name "$app" --output none 2>"$scratch/error" ||
    fail "$app cannot be restarted: $(reason)
It takes the role Website Contributor on the app. Restart it in the portal, then run this again."
fi

# --- the routes ------------------------------------------------------------------------------

# A host that has just been started needs a moment, however long the references took.
grace=$((10#$timeout < 60 ? 10#$timeout : 60))
[ "$deadline" -ge "$((SECONDS + grace))" ] || deadline=$((SECONDS + grace))

until keys=$(az functionapp keys list --resource-group "$group" --name "$app" --output tsv \
  --query "[[masterKey || '-', functionKeys.default || (functionKeys && values(functionKeys)[0]) || '-']]" 2>"$scratch/error"); do
  ! time_is_up || fail "the keys of $app cannot be fetched: $(reason)
It takes the role Website Contributor on the app, and a host that has started."
  sleep "$interval"
done
# Not by a here-string, which older shells keep in a file.
IFS=$'\t' read -r master_key function_key < <(printf '%s\n' "${keys//$'\r'/}") || true
unset keys
[ "${master_key:--}" != - ] || fail "$app has no master key. Make one in the portal, under App keys"
[ "${function_key:--}" != - ] || fail "$app has no function key. Make one with: az functionapp keys set -g $group -n $app --key-type functionKeys --key-name default"

# Asks for a path with a key, or with none, and sends a file if one is named. Sets `code` and `type`;
# the body is in a file.
# All goes to curl through its stdin, because everyone on the machine can list command lines.
request() {
  local path=$1 key=$2 sent=${3:-} answer
  key=${key//\\/\\\\}
  key=${key//\"/\\\"}
  : >"$scratch/body"
  answer=$({
    printf 'url = "https://%s/api/%s"\n' "$host" "$path"
    printf 'proto = "=https"\nsilent\nmax-time = 40\noutput = "%s"\n' "$scratch/body"
    printf 'write-out = "%%{http_code} %%{content_type}"\n'
    [ -z "$key" ] || printf 'header = "x-functions-key: %s"\n' "$key"
    [ -z "$sent" ] || printf 'header = "content-type: application/json"\nheader = "aeg-event-type: Notification"\ndata-binary = "@%s"\n' "$sent"
  } | curl --disable --config - 2>/dev/null) || answer="000 none"
  code=${answer%% *} type=${answer#* }
}

# A member of the answer and its value may follow, and a file to send.
row() {
  local title=$1 wanted=$2 path=$3 key=$4 member=${5:-} value=${6:-} sent=${7:-} why=''
  while :; do
    request "$path" "$key" "$sent"
    # Only what a starting host answers is worth another try.
    case $code in
      000 | 404 | 5??) ! time_is_up || break ;;
      *) break ;;
    esac
    sleep "$interval"
  done
  if [[ ! $code =~ ^($wanted)$ ]]; then
    why="it answered $code"
    [ "$code" != 000 ] || why="there was no answer from https://$host"
  elif [ -n "$member" ]; then
    [[ $type == application/json* ]] || why="it answered $type and not JSON"
    grep -Eiq "^\{.*\"$member\"[[:space:]]*:[[:space:]]*\"$value\".*\}[[:space:]]*$" "$scratch/body" ||
      why="the answer has not $value as its $member"
  fi
  if [ -z "$why" ]; then
    printf 'ok      %s -> %s\n' "$title" "$code"
    return
  fi
  printf 'FAILED  %s -> %s: %s\n' "$title" "$wanted" "$why"
  # Refusals carry what to do next, and no secret; config-check's beginning is left out.
  if [[ $code =~ ^(4|5) ]] && grep -q '"fix"' "$scratch/body"; then
    sed 's/^.*"references"/"references"/' "$scratch/body" | cut -c 1-2000 >&2
  fi
  fail "failing row: $title -> $wanted: $why"
}

printf '\nRoutes of https://%s:\n' "$host"
row "config-check without a key" 401 config-check ''
row "secrets/$secret without a key" 401 "secrets/$secret" ''
row "secrets/$secret with a function key" '401|403' "secrets/$secret" "$function_key"
row "config-check?strict=true with a function key" 200 'config-check?strict=true' "$function_key"
row "secrets/$secret with the master key" 200 "secrets/$secret" "$master_key" name "$secret"

# As Event Grid would send it. The template has the vault in the app's group.
if [ "$(tr '[:upper:]' '[:lower:]' <<<"${rotation:-}")" = on ]; then
  name=verify-sh-asks-about-no-secret
  topic="${id%%/providers/*}/providers/Microsoft.KeyVault/vaults/$vault"
  printf '[{"id":"verify-%s-%s","topic":"%s","subject":"%s","eventType":"Microsoft.KeyVault.SecretNewVersionCreated","eventTime":"%s","data":{"Id":"https://%s/secrets/%s/00000000000000000000000000000000","VaultName":"%s","ObjectType":"Secret","ObjectName":"%s","Version":"00000000000000000000000000000000","NBF":null,"EXP":null},"dataVersion":"1","metadataVersion":"1"}]' \
    "$$" "$RANDOM$RANDOM" "$topic" "$name" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$vault_host" "$name" "$vault" "$name" >"$scratch/event"
  row "events without a key" 401 events '' '' '' "$scratch/event"
  row "events with a function key" 200 events "$function_key" rotation on "$scratch/event"
fi
printf '\n%s works. Open https://%s/api/config-check with a function key\n' "$app" "$host"
printf '(az functionapp keys list --resource-group %s --name %s --query functionKeys)\n' "$group" "$app"
