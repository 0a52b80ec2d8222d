#!/bin/sh
# In place of the Azure CLI, for programs that ask it for a token. Written by `handler dev-vault`,
# whose lines for a managed identity it needs.
set -eu
if [ "${1:-} ${2:-}" != "account get-access-token" ]; then
  echo "this az stands in for the Azure CLI, and knows only: az account get-access-token" >&2
  exit 2
fi
if [ -z "${IDENTITY_ENDPOINT:-}" ] || [ -z "${IDENTITY_HEADER:-}" ]; then
  echo "paste the lines of the dev vault for a managed identity first" >&2
  exit 1
fi
shift 2
resource=https://management.core.windows.net/
while [ $# -gt 0 ]; do
  case $1 in
    --resource=* | --scope=* | --scopes=*) resource=${1#*=} ;;
    --resource | --scope | --scopes) resource=${2:-} && shift ;;
  esac
  shift
done
answer=$(printf 'X-IDENTITY-HEADER: %s\n' "$IDENTITY_HEADER" |
  curl -sSf -G -H @- --data-urlencode "resource=${resource%/.default}" --data api-version=2019-08-01 "$IDENTITY_ENDPOINT")
member() {
  printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}
expires=$(member expires_on)
# With GNU's date, or with BSD's.
date=$(date -d "@$expires" '+%Y-%m-%d %H:%M:%S.000000' 2>/dev/null || date -r "$expires" '+%Y-%m-%d %H:%M:%S.000000')
nobody=00000000-0000-0000-0000-000000000000
printf '{"accessToken":"%s","expiresOn":"%s","expires_on":%s,"subscription":"%s","tenant":"%s","tokenType":"Bearer"}\n' \
  "$(member access_token)" "$date" "$expires" "$nobody" "$nobody"
