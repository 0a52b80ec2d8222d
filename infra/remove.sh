#!/usr/bin/env bash
# Deletes what infra/deploy.sh made, and says what stays.
set -euo pipefail

usage() {
  cat <<'END'
Usage: infra/remove.sh -g RESOURCE_GROUP -n APP_NAME [--yes] [--purge]

  -g RESOURCE_GROUP  the app's resource group
  -n APP_NAME        the Function App
  --yes              do not ask
  --purge            delete the vault and its secrets for ever, too

Lists what carries the tag keyvault-functions=APP_NAME, asks, and deletes it.
The resource group goes too, if deploy.sh made it and it holds nothing of
others. infra/deploy.sh can recover a deleted vault until its retention ends.
Run it again after any failure.
END
}

fail() {
  printf 'remove.sh: %s\n' "$*" >&2
  exit 1
}

wrong_usage() {
  printf 'remove.sh: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

group='' app='' sure=false purge=false
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --yes) sure=true && shift && continue ;;
    --purge) purge=true && shift && continue ;;
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
subscription=$(az account show --query name --output tsv 2>/dev/null) || fail "az is not logged in. Run: az login"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
reason() { tr -s '\r\n' ' ' <"$scratch/error"; }
lower() { tr '[:upper:]' '[:lower:]' <<<"$1"; }
# Rows without the line ends of Windows, and no empty one.
rows() { tr -d '\r' | sed '/^$/d'; }

# --- what there is ---------------------------------------------------------------------------------

: >"$scratch/own"
: >"$scratch/others"
of_group=''
exists=$(az group exists --name "$group" --output tsv 2>"$scratch/error") || fail "Azure does not tell whether $group exists: $(reason)"
if [ "${exists%$'\r'}" = true ]; then
  of_group=$(az group show --name "$group" --query "tags.\"keyvault-functions\" || '-'" --output tsv 2>"$scratch/error") || fail "$group cannot be read: $(reason)"
  of_group=${of_group%$'\r'}
  az resource list --resource-group "$group" --output tsv \
    --query "[].[tags.\"keyvault-functions\" || '-', type, name, id]" >"$scratch/rows" 2>"$scratch/error" || fail "the resources of $group cannot be listed: $(reason)"
  while IFS=$'\t' read -r tag type name id; do
    case $(lower "$tag $type $name") in
      "$(lower "$app") "*) printf '%s\t%s\t%s\n' "$type" "$name" "$id" >>"$scratch/own" ;;
      # Azure makes these by itself, for the private endpoints and for Application Insights.
      *" microsoft.network/networkinterfaces pe-"*.nic.* | \
        *" microsoft.insights/actiongroups application insights smart detection" | \
        *" microsoft.alertsmanagement/smartdetectoralertrules failure anomalies - appi-"*) ;;
      *) printf '%s\t%s\n' "$type" "$name" >>"$scratch/others" ;;
    esac
  done < <(rows <"$scratch/rows")
  # At a system topic that somebody else has made for the vault, only the subscription is of this app.
  while IFS=$'\t' read -r type name <&3; do
    [ "$(lower "$type")" = microsoft.eventgrid/systemtopics ] || continue
    az eventgrid system-topic event-subscription list --resource-group "$group" --system-topic-name "$name" --output tsv \
      --query "[?name=='kv-$app'].[type, name, id]" >"$scratch/rows" 2>"$scratch/error" || fail "the subscriptions of $name cannot be listed: $(reason)"
    rows <"$scratch/rows" >>"$scratch/own"
  done 3<"$scratch/others"
fi

# The vaults of this app that are deleted already, and wait for the end of their retention.
list_deleted() {
  local name where until protected id its_group
  az keyvault list-deleted --resource-type vault --output tsv \
    --query "[?properties.tags.\"keyvault-functions\"=='$app'].[name, properties.location, properties.scheduledPurgeDate, properties.purgeProtectionEnabled || 'false', properties.vaultId]" >"$scratch/rows" 2>"$scratch/error" || return 1
  : >"$scratch/deleted"
  while IFS=$'\t' read -r name where until protected id; do
    its_group=${id#*/resource?roups/}
    [ "$(lower "${its_group%%/*}")" != "$(lower "$group")" ] ||
      printf '%s\t%s\t%s\t%s\n' "$name" "$where" "${until%%T*}" "$protected" >>"$scratch/deleted"
  done < <(rows <"$scratch/rows")
}

whole=false
[ "$of_group" != "$app" ] || [ -s "$scratch/others" ] || whole=true
something=true
if [ "$whole" = false ] && [ ! -s "$scratch/own" ]; then
  something=false
  list_deleted || fail "the deleted vaults cannot be listed: $(reason)"
  [ -s "$scratch/deleted" ] ||
    fail "nothing in $group carries the tag keyvault-functions=$app, in the subscription $subscription.
List the apps that do: az resource list --tag keyvault-functions --query \"[?type=='Microsoft.Web/sites'].[resourceGroup, name]\" --output table"
fi

# --- whether ---------------------------------------------------------------------------------------

if [ "$whole" = true ]; then
  printf 'This deletes the resource group %s, with:\n' "$group"
elif [ "$something" = false ]; then
  printf 'Of %s, only its deleted vault is left.\n' "$app"
else
  printf 'This deletes from the resource group %s:\n' "$group"
fi
awk -F '\t' '{ printf "  %-50s %s\n", $1, $2 }' "$scratch/own"
if [ "$something" = true ] && [ -s "$scratch/others" ]; then
  printf 'These stay, because they are not of %s:\n' "$app"
  awk -F '\t' '{ printf "  %-50s %s\n", $1, $2 }' "$scratch/others"
fi
[ "$purge" = false ] || printf 'The vault and its secrets go for ever.\n'
if [ "$sure" = false ] && [ "$something$purge" != falsefalse ]; then
  [ -t 0 ] || fail "nothing was deleted. Add --yes"
  IFS= read -rp "Type the name of the app to go on: " answer || answer=''
  [ "$answer" = "$app" ] || fail "nothing was deleted"
fi

# --- deleting --------------------------------------------------------------------------------------

if [ "$whole" = true ]; then
  az group delete --name "$group" --yes --output none || fail "$group could not be deleted, for the reason above.
What failed: az resource list --resource-group $group --output table
Then run this again"
elif [ "$something" = true ]; then
  ids=()
  # az goes over them again while one that is still in use refuses. The app's subnet is in use for
  # some minutes after the app.
  while IFS=$'\t' read -r _ _ id; do ids+=("$id"); done <"$scratch/own"
  az resource delete --ids "${ids[@]}" --output none || fail "not everything could be deleted, for the reason above.
A network can be in use for some minutes after its app: run this again"
fi
[ "$something" = false ] || printf 'deleted\n'

# --- what stays ------------------------------------------------------------------------------------

if ! list_deleted; then
  : >"$scratch/deleted"
  [ "$purge" = false ] || fail "the deleted vaults cannot be listed: $(reason)
It takes the role Reader on the subscription. Then run this again"
  printf 'Whether a vault can be recovered is not known: it takes the role Reader on the subscription.\n'
fi
while IFS=$'\t' read -r name where until protected <&3; do
  if [ "$purge" = true ] && [ "$protected" = true ]; then
    printf 'The vault %s has purge protection: nobody can purge it. It stays until %s.\n' "$name" "$until"
  elif [ "$purge" = true ]; then
    az keyvault purge --name "$name" --location "$where" || fail "$name could not be purged, for the reason above.
It takes the role Contributor or Key Vault Purge Operator on the subscription"
    printf 'The vault %s is purged.\n' "$name"
  else
    printf 'The vault %s and its secrets can be recovered until %s, by infra/deploy.sh.' "$name" "$until"
    [ "$protected" = true ] || printf '\nTo delete them for ever: infra/remove.sh -g %s -n %s --yes --purge' "$group" "$app"
    printf '\n'
  fi
done 3<"$scratch/deleted"
! grep -iq '^microsoft.operationalinsights/workspaces' "$scratch/own" ||
  printf 'The Log Analytics workspace can be recovered for 14 days, which costs nothing.\n'
