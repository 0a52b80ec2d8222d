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
Usage: infra/deploy.sh -g RESOURCE_GROUP -n APP_NAME [-l LOCATION]
                       [--set NAME=VALUE]... [--recover] [--zip FILE]

  -g RESOURCE_GROUP  made if it is missing
  -n APP_NAME        the Function App; part of its URL, and so unique in Azure
  -l LOCATION        such as westeurope (default: the resource group's)
  --set NAME=VALUE   a parameter of infra/app.bicep, such as networkMode=public;
                     infra/README.md lists them
  --recover          if the app's vault was deleted, recover it without asking
  --zip FILE         publish this package, and build none

The two secrets come from the environment, or are asked for on a terminal:

  EXTERNAL_API_KEY_VALUE   becomes the secret ExternalApiKey
  DATABASE_PASSWORD_VALUE  becomes the secret DatabasePassword

They are never printed and are in no command line. Run it again after any
failure, with the same --set: what is not set goes back to its default. The
secrets get a new version. infra/remove.sh removes it again.

DEPLOY_RETRY_SECONDS (default: 30) is the pause before it publishes or
subscribes again.
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
# macOS's bash has no ${1,,}.
lower() { tr '[:upper:]' '[:lower:]' <<<"$1"; }

group='' app='' location='' package='' recover=false
parameters=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --recover)
      recover=true
      shift
      continue
      ;;
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
      # Names of parameters are compared without regard to case.
      case $(lower "$2") in
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

# The value of a parameter that was set, or nothing; both in lower letters.
asked_for() {
  local parameter value=''
  for parameter in ${parameters[@]+"${parameters[@]}"}; do
    parameter=$(lower "$parameter")
    [ "${parameter%%=*}" != "$1" ] || value=${parameter#*=}
  done
  printf '%s' "$value"
}

root=$(cd "$(dirname "$0")/.." && pwd)
for file in app.bicep package.sh verify.sh subscribe.sh; do
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

# What az wrote to stderr last, on one line.
reason() { tr -s '\r\n' ' ' <"$scratch/error"; }

# --- the group -----------------------------------------------------------------------------------

step "resource group $group, in the subscription $subscription"
exists=$(az group exists --name "$group" --output tsv) ||
  fail "Azure does not tell whether $group exists. Choose a subscription that you may use: az account set --subscription NAME"
exists=${exists%$'\r'}
if [ "$exists" = true ] && [ -z "$location" ]; then
  location=$(az group show --name "$group" --query location --output tsv) || fail "the location of $group cannot be read. Name one with -l"
  location=${location%$'\r'}
fi
[ -n "$location" ] || fail "$group does not exist. To have it made, say where with -l, such as -l westeurope"
# Flex Consumption is not everywhere. An old az does not know where: then the deployment tells.
if locations=$(az functionapp list-flexconsumption-locations --query "[].name" --output tsv 2>/dev/null) && [ -n "$locations" ]; then
  locations=${locations//$'\r'/}
  grep -Fqix -e "$location" <<<"$locations" ||
    fail "$location has no Flex Consumption. Name one of these with -l: $(sort <<<"$locations" | paste -s -d ' ' -)"
fi
if [ "$exists" = true ]; then
  echo "it is there"
else
  az group create --name "$group" --location "$location" --tags "keyvault-functions=$app" --output none ||
    fail "$group could not be made. It takes the role Contributor on the subscription, and a location of: az account list-locations --query \"[].name\""
  echo "made in $location"
fi

network=$(asked_for networkmode)
if [ -n "$network" ] && [ "$network" != public ]; then
  state=$(az provider show --namespace Microsoft.App --query registrationState --output tsv 2>/dev/null) || state=''
  if [ "${state%$'\r'}" != Registered ]; then
    step "the resource provider Microsoft.App, which the app's network needs"
    az provider register --namespace Microsoft.App --wait --output none ||
      fail "Microsoft.App could not be registered. It takes the role Contributor on the subscription:
az provider register --namespace Microsoft.App --wait"
    echo "registered"
  fi
fi

# --- the vault that is there, or was ---------------------------------------------------------------

# The vault of this app carries its name as a tag, unless --set vaultName names one.
vault=$(asked_for vaultname)
[[ $vault =~ ^[0-9a-z-]*$ ]] || wrong_usage "no vault can be named $vault"
which="[?tags.\"keyvault-functions\"=='$app']"
[ -z "$vault" ] || which="[?name=='$vault']"
existing='' retention='' protected='' network_then='' owner=''
found=$(az keyvault list --resource-type vault --resource-group "$group" --output tsv \
  --query "$which.[name, properties.softDeleteRetentionInDays || '-', properties.enablePurgeProtection || 'false', properties.networkAcls.defaultAction || 'Allow', tags.\"keyvault-functions\" || '-']" 2>"$scratch/error") ||
  fail "the vaults of $group cannot be listed: $(reason)"
IFS=$'\t' read -r existing retention protected network_then owner <<<"${found//$'\r'/}" || true
# The template would replace its tags, its policies and its network, and remove.sh would delete it.
[ -z "$existing" ] || [ "$(lower "$owner")" = "$(lower "$app")" ] ||
  fail "the vault $existing is there and is not of $app (tag keyvault-functions: $owner). Nothing was deployed.
Take another name: --set vaultName=NAME. To read a vault that you have, see \"For an app that you have already\" in infra/README.md"
# What is not set goes back to its default, and must not open a vault that was closed.
[ "$network_then" != Deny ] || [ -n "$network" ] ||
  fail "the vault $existing is closed to the public, and networkMode is not set: its default would open it.
Add --set networkMode=privateEndpoint or serviceEndpoint, as before. To open it: --set networkMode=public"

deleted=''
if [ -z "$existing" ]; then
  which="[?properties.tags.\"keyvault-functions\"=='$app']"
  [ -z "$vault" ] || which="[?name=='$vault']"
  # Who may not list them learns of it from the deployment.
  found=$(az keyvault list-deleted --resource-type vault --output tsv \
    --query "$which.[name, properties.location, properties.scheduledPurgeDate, properties.purgeProtectionEnabled || 'false', properties.vaultId]" 2>/dev/null) || found=''
  while IFS=$'\t' read -r name where until protected id; do
    its_group=${id#*/resource?roups/}
    its_group=${its_group%%/*}
    # Where its name is made from the group, a vault of another group has another name.
    if [ "$(lower "$its_group")" = "$(lower "$group")" ] || [ -n "$vault" ]; then
      deleted=$name
      break
    fi
  done < <(sed '/^$/d' <<<"${found//$'\r'/}")
fi
if [ -n "$deleted" ]; then
  step "the vault $deleted, which was deleted"
  echo "Its name is taken until ${until%%T*}. Recovered, it has the secrets of before."
  [ "$(lower "$its_group")" = "$(lower "$group")" ] ||
    fail "it was in the resource group $its_group, and can be recovered there only:
az keyvault recover --name $deleted --location $where --resource-group $its_group
Or take another name: --set vaultName=NAME"
  [ "$(lower "$where")" = "$(lower "$location")" ] ||
    fail "it was in $where, and can be recovered there only. Add -l $where, or take another name: --set vaultName=NAME"
  if [ "$recover" = false ]; then
    choices="To recover it, add --recover. To leave it, take another name: --set vaultName=NAME"
    [ "$protected" = true ] || choices+="
To delete it for ever, with its secrets: az keyvault purge --name $deleted --location $where"
    [ -t 0 ] || fail "nothing was deployed. $choices"
    IFS= read -rp "Recover it? [Y/n] " answer || answer=n
    [[ $answer =~ ^([Yy]|[Yy]es)?$ ]] || fail "nothing was deployed. $choices"
  fi
  az keyvault recover --name "$deleted" --location "$where" --resource-group "$group" --output none ||
    fail "$deleted could not be recovered, for the reason above. It takes the role Contributor on $group"
  echo "recovered"
  existing=$deleted
  retention=$(az keyvault show --name "$existing" --resource-group "$group" --query properties.softDeleteRetentionInDays --output tsv 2>"$scratch/error") ||
    fail "$existing cannot be read: $(reason)"
  retention=${retention%$'\r'}
fi

# Azure refuses to change its retention and its protection.
if [ -n "$existing" ]; then
  [ -n "$vault" ] || parameters+=("vaultName=$existing")
  wanted=$(asked_for softdeleteretentionindays)
  if [ -n "$wanted" ] && [ "$retention" != - ] && [ "$wanted" != "$retention" ]; then
    fail "the vault $existing keeps deleted secrets for $retention days, and Azure does not let that change to $wanted.
Leave out softDeleteRetentionInDays, or take another vault: --set vaultName=NAME"
  elif [ -z "$wanted" ] && [[ $retention =~ ^[0-9]+$ ]]; then
    echo "its vault $existing keeps deleted secrets for $retention days, as before"
    parameters+=("softDeleteRetentionInDays=$retention")
  fi
  wanted=$(asked_for enablepurgeprotection)
  if [ "$protected" = true ]; then
    [ "$wanted" != false ] || fail "the vault $existing has purge protection, which cannot be switched off again.
Leave out enablePurgeProtection, or take another vault: --set vaultName=NAME"
    [ -n "$wanted" ] || parameters+=("enablePurgeProtection=true")
  fi
fi

rotation=$(asked_for rotationevents)
# A vault has one system topic at most. One that somebody else has made is used, and stays as it is.
if [ "$rotation" = true ] && [ -n "$existing" ] && [ -z "$(asked_for makeseventtopic)" ]; then
  found=$(az eventgrid system-topic list --resource-group "$group" --output tsv \
    --query "[].[name, source || '-', tags.\"keyvault-functions\" || '-']" 2>"$scratch/error") ||
    fail "the system topics of $group cannot be listed: $(reason)"
  while IFS=$'\t' read -r name source owner; do
    if [[ $(lower "${source:-}") == */vaults/"$(lower "$existing")" ]] && [ "$(lower "$owner")" != "$(lower "$app")" ]; then
      echo "its vault $existing has the system topic $name, which is used as it is"
      parameters+=("makesEventTopic=false")
    fi
  done <<<"${found//$'\r'/}"
fi

# --- the template ----------------------------------------------------------------------------------

step "infra/app.bicep, which takes some minutes"
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
az deployment group create --resource-group "$group" --name "$app" --template-file "$root/infra/app.bicep" \
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
if [ "$deployed" = false ]; then
  advice="It takes the roles Contributor and Role Based Access Control Administrator (or Owner) on $group."
  case $output in
    *"deleted state"* | *VaultAlreadyExists*)
      advice="The name of the vault is taken by one that was deleted, or by somebody else's.
List the deleted ones: az keyvault list-deleted --resource-type vault --query \"[].[name, properties.vaultId]\" --output tsv
Then recover it with --recover, or take another name: --set vaultName=NAME"
      ;;
    *"Website with given name"* | *WebsiteAlreadyExists*)
      advice="The name of an app is unique in all of Azure. Choose another one with -n."
      ;;
    *"one system topic is allowed per source"*)
      advice="The vault has a system topic in another resource group, and can have one only.
Delete that one, with its subscriptions, or leave out rotationEvents. To find it:
az eventgrid system-topic list --query \"[].[resourceGroup, name, source]\" --output tsv"
      ;;
  esac
  fail "the deployment failed, for the reason above. $advice
Every operation: az deployment operation group list -g $group -n $app --query \"[?properties.provisioningState=='Failed'].properties.statusMessage\"
Then run this again."
fi
echo "deployed"

# --- the package -----------------------------------------------------------------------------------

if [ -z "$package" ]; then
  step "package"
  "$root/infra/package.sh" || fail "the package could not be built, for the reason above. Or name a built one with --zip"
  package=$root/dist.zip
fi

step "publish"
echo "A warning about the runtime custom or its version 1.0 is a false alarm: az does not know it."
attempts=10 attempt=1
until az functionapp deployment source config-zip --resource-group "$group" --name "$app" --src "$package" --output none 2>"$scratch/error"; do
  cat "$scratch/error" >&2
  case $(reason) in
    *unhealthy* | *"partially successful"* | *"Failed to fetch host key"*)
      echo "The package is there, and the app does not answer yet. What follows tells why."
      break
      ;;
    # The app's access to its storage is new and takes minutes to reach everywhere.
    *InaccessibleStorage* | *AuthorizationPermissionMismatch* | *AuthorizationFailure* | *"not authorized to perform this operation"* | *"Status Code: 403"*)
      awaited="the access to the storage"
      ;;
    *"ongoing deployment"* | *"still on-going"* | *"another deployment is in progress"* | *"Status Code: 409"*) awaited="the other publishing to end" ;;
    *"Status Code: "50[234]* | *"try again in a few minutes"*) awaited="the publishing service" ;;
    *) fail "publishing failed, for the reason above. It takes the role Website Contributor on $app and Reader on its plan.
Then run this again" ;;
  esac
  [ "$attempt" -lt "$attempts" ] || fail "publishing failed $attempts times, for the reason above.
$app still waits for $awaited. Run this again in some minutes"
  printf 'Waiting for %s: trying again in %s s (%d of %d)\n' "$awaited" "${DEPLOY_RETRY_SECONDS:-30}" "$((attempt += 1))" "$attempts" >&2
  sleep "${DEPLOY_RETRY_SECONDS:-30}"
done

step "verify"
"$root/infra/verify.sh" -g "$group" -n "$app" --timeout 900 ||
  fail "$app is deployed and does not answer as it should, for the reason above.
Verify it again: infra/verify.sh -g $group -n $app
What the app says (Live Metrics of Application Insights in the portal shows it, too):
az monitor app-insights query --apps \"\$(az resource list --resource-group $group --resource-type Microsoft.Insights/components --query \"[?tags.\\\"keyvault-functions\\\"=='$app'].id\" --output tsv)\" --analytics-query \"union traces, exceptions | where timestamp > ago(30m) | order by timestamp desc | take 50\" --output table"

# Event Grid asks the app whether it wants the events, so the app must run.
if [ "$rotation" = true ]; then
  step "events of the vault"
  SUBSCRIBE_RETRY_SECONDS=${DEPLOY_RETRY_SECONDS:-30} "$root/infra/subscribe.sh" -g "$group" -n "$app" ||
    fail "$app is deployed and gets no events, for the reason above. Until it does, Azure resolves the references within a day.
Then run this: infra/subscribe.sh -g $group -n $app"
fi

printf '\nRemove it with: infra/remove.sh -g %s -n %s\n' "$group" "$app"
