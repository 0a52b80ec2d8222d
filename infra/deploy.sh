#!/usr/bin/env bash
# From a resource group and a name to a running and verified Function App. Safe to run again.
set -euo pipefail
set +x # an inherited trace would print the secrets

# What a process was started with stays readable in /proc/PID/environ for as long as it runs,
# whatever it unsets. So this starts again without the secrets, which wait in a pipe.
if [ -n "${EXTERNAL_API_KEY_VALUE:-}${DATABASE_PASSWORD_VALUE:-}" ]; then
  # A variable of that name from outside would be exported with its new value.
  unset handed_over
  handed_over=("${EXTERNAL_API_KEY_VALUE:-}" "${DATABASE_PASSWORD_VALUE:-}")
  unset EXTERNAL_API_KEY_VALUE DATABASE_PASSWORD_VALUE
  export DEPLOY_SECRETS_IN_FD_9=true
  exec "$BASH" "$0" "$@" 9< <(printf '%s\0' "${handed_over[@]}")
fi

usage() {
  cat <<'END'
Usage: infra/deploy.sh -g RESOURCE_GROUP -n APP_NAME [-l LOCATION] [--set NAME=VALUE]... [--zip FILE]

  -g RESOURCE_GROUP  made if it is missing
  -n APP_NAME        the Function App; its name is part of its URL, and so unique in Azure
  -l LOCATION        such as westeurope (default: the resource group's)
  --set NAME=VALUE   a parameter of infra/main.bicep, such as identityType=UserAssigned,
                     vaultAccess=accessPolicies or restrictVaultNetwork=true
  --zip FILE         publish this package instead of building one with infra/package.sh

The two secrets come from the environment, or are asked for on a terminal:

  EXTERNAL_API_KEY_VALUE   becomes the secret ExternalApiKey
  DATABASE_PASSWORD_VALUE  becomes the secret DatabasePassword

They are never printed and are in no command line. Run it again after any failure: what is there
already is kept, and the secrets get a new version.

DEPLOY_RETRY_SECONDS (default: 30) is the pause before publishing is tried again.
END
}

fail() {
  printf 'deploy.sh: %s\n' "$*" >&2
  exit 1
}

wrong_usage() {
  printf 'deploy.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

step() { printf '\n== %s\n' "$*"; }

group='' app='' location='' package=''
parameters=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    -g | -n | -l | --set | --zip) [ -n "${2:-}" ] || wrong_usage "$1 needs a value" ;;
    *) wrong_usage "unknown argument: $1" ;;
  esac
  case $1 in
    -g) group=$2 ;;
    -n) app=$2 ;;
    -l) location=$2 ;;
    --zip) package=$2 ;;
    --set)
      [[ $2 =~ ^[A-Za-z]+= ]] || wrong_usage "--set takes NAME=VALUE, not $2"
      # Names of parameters are compared without regard to case. macOS's bash has no ${2,,}.
      case $(tr '[:upper:]' '[:lower:]' <<<"$2") in
        externalapikey=* | databasepassword=*) wrong_usage "a secret has no place in a command line. Use the environment" ;;
        appname=* | location=*) wrong_usage "${2%%=*} has an option of its own" ;;
      esac
      parameters+=("$2")
      ;;
  esac
  shift 2
done
[ -n "$group" ] || wrong_usage "-g RESOURCE_GROUP is missing"
[ -n "$app" ] || wrong_usage "-n APP_NAME is missing"
[[ $app =~ ^[0-9A-Za-z][0-9A-Za-z-]{0,58}[0-9A-Za-z]$ ]] ||
  wrong_usage "an app's name is 2 to 60 letters, digits and hyphens, with no hyphen at either end: $app"
[[ -z $location || $location =~ ^[0-9A-Za-z]+$ ]] ||
  wrong_usage "-l takes a location's short name, such as westeurope, not $location"
[ -z "$package" ] || [ -f "$package" ] || fail "there is no file $package"

root=$(cd "$(dirname "$0")/.." && pwd)
for file in main.bicep package.sh verify.sh; do
  [ -f "$root/infra/$file" ] || fail "infra/$file is missing. Run this from a complete clone"
done

# --- the secrets, out of reach of every other process ------------------------------------------

# A variable of that name from outside would be exported with its new value.
unset external_api_key database_password answer
external_api_key='' database_password=''
if [ "${DEPLOY_SECRETS_IN_FD_9:-}" = true ]; then
  unset DEPLOY_SECRETS_IN_FD_9
  IFS= read -r -d '' external_api_key <&9 || true
  IFS= read -r -d '' database_password <&9 || true
  exec 9<&-
fi

command -v az >/dev/null || fail "az is missing. Install the Azure CLI: https://aka.ms/azure-cli"
command -v curl >/dev/null || fail "curl is missing. Install it (Debian: apt-get install curl)"
subscription=$(az account show --query name --output tsv 2>/dev/null) || fail "az is not logged in. Run: az login"

answer=''
ask_for() {
  [ -t 0 ] || fail "$1 is not set. Set it to the value of the secret $2, for example with:
read -rs $1 && export $1"
  IFS= read -rsp "Value of the secret $2 (not shown): " answer || fail "no value for $2"
  printf '\n'
  [ -n "$answer" ] || fail "the value of $2 must not be empty"
}
if [ -z "$external_api_key" ]; then
  ask_for EXTERNAL_API_KEY_VALUE ExternalApiKey
  external_api_key=$answer
fi
if [ -z "$database_password" ]; then
  ask_for DATABASE_PASSWORD_VALUE DatabasePassword
  database_password=$answer
fi
answer=''

scratch=$(umask 077 && mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

json_string() {
  local text=$1 character escaped='' index
  for ((index = 0; index < ${#text}; index++)); do
    character=${text:index:1}
    case $character in
      '"' | "\\") escaped+="\\$character" ;;
      [[:cntrl:]]) escaped+=$(printf '\\u%04x' "'$character") ;;
      *) escaped+=$character ;;
    esac
  done
  printf '"%s"' "$escaped"
}

# --- the group and the template ------------------------------------------------------------------

step "resource group $group, in the subscription $subscription"
exists=$(az group exists --name "$group" --output tsv) ||
  fail "Azure does not tell whether $group exists. Choose a subscription that you may use: az account set --subscription NAME"
if [ "${exists%$'\r'}" = true ]; then
  if [ -z "$location" ]; then
    location=$(az group show --name "$group" --query location --output tsv) || fail "the location of $group cannot be read. Name one with -l"
    location=${location%$'\r'}
  fi
  echo "it is there"
else
  [ -n "$location" ] || fail "$group does not exist. To have it made, say where with -l, such as -l westeurope"
  az group create --name "$group" --location "$location" --output none ||
    fail "$group could not be made. It takes the role Contributor on the subscription, and a location of: az account list-locations --query \"[].name\""
  echo "made in $location"
fi

step "infra/main.bicep, which takes some minutes"
file=$scratch/parameters.json
(
  umask 077
  # shellcheck disable=SC2016 # $schema is a name
  {
    printf '{"$schema":"https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#","contentVersion":"1.0.0.0","parameters":{'
    printf '"appName":{"value":%s},"location":{"value":%s},' "$(json_string "$app")" "$(json_string "$location")"
    printf '"externalApiKey":{"value":%s},' "$(json_string "$external_api_key")"
    printf '"databasePassword":{"value":%s}}}\n' "$(json_string "$database_password")"
  } >"$file"
)
deployed=true
az deployment group create --resource-group "$group" --name "$app" --template-file "$root/infra/main.bicep" \
  --parameters "@$file" ${parameters[@]+"${parameters[@]}"} --output none >"$scratch/output" 2>&1 || deployed=false
rm -f "$file"
# Azure does not repeat secure parameters. Should a tool on the way do so, it stays here.
output=$(<"$scratch/output")
for value in "$external_api_key" "$database_password"; do
  escaped=$(json_string "$value")
  escaped=${escaped#\"} escaped=${escaped%\"}
  output=${output//"$escaped"/***}
  output=${output//"$value"/***}
done
unset external_api_key database_password value escaped
[ -z "$output" ] || printf '%s\n' "$output" >&2
[ "$deployed" = true ] || fail "the deployment failed, for the reason above. It takes the roles Contributor and
Role Based Access Control Administrator (or Owner) on $group. Every operation:
az deployment operation group list -g $group -n $app --query \"[?properties.provisioningState=='Failed'].properties.statusMessage\"
Mend it and run this again."
echo "deployed"

# --- the package -----------------------------------------------------------------------------------

with_func=false
if [ -z "$package" ]; then
  step "package"
  "$root/infra/package.sh" || fail "the package could not be built, for the reason above. Or name a built one with --zip"
  package=$root/dist.zip
  ! command -v func >/dev/null || with_func=true
fi

publish() {
  if [ "$with_func" = true ]; then
    (cd "$root/dist" && func azure functionapp publish "$app" --custom)
  else
    az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$package" --output none
  fi
}

if [ "$with_func" = true ]; then step "publish with func"; else step "publish with az"; fi
# The app's access to its package storage is new, and takes minutes to reach everywhere.
attempt=1
until publish; do
  [ "$attempt" -lt 10 ] || fail "publishing failed ten times, for the reason above. Access to the storage may need more minutes:
run this again. What the app says: az webapp log tail -g $group -n $app"
  attempt=$((attempt + 1))
  printf 'trying again in %s s\n' "${DEPLOY_RETRY_SECONDS:-30}" >&2
  sleep "${DEPLOY_RETRY_SECONDS:-30}"
done

step "verify"
"$root/infra/verify.sh" -g "$group" -n "$app" ||
  fail "$app is deployed and does not answer as it should, for the reason above. Mend it and run: infra/verify.sh -g $group -n $app"
