#!/bin/sh
# In place of the Azure CLI, for programs that ask it for a token. Written by `handler dev-vault`,
# whose lines for a managed identity it needs.
set -eu
refuse() {
  echo "this az stands in for the Azure CLI, and knows only: az account get-access-token" >&2
  echo "[--resource R | --scope S] [--tenant T] [--subscription S] [--output json]" >&2
  echo "[--query accessToken --output tsv]" >&2
  exit 2
}
[ "${1:-} ${2:-}" = "account get-access-token" ] || refuse
if [ -z "${IDENTITY_ENDPOINT:-}" ] || [ -z "${IDENTITY_HEADER:-}" ]; then
  echo "paste the lines of the dev vault for a managed identity first" >&2
  exit 1
fi
shift 2
resource=https://management.core.windows.net/ output=json query=''
while [ $# -gt 0 ]; do
  case $1 in
    --*=*)
      option=${1%%=*} value=${1#*=}
      shift
      ;;
    *)
      [ $# -ge 2 ] || refuse
      option=$1 value=$2
      shift 2
      ;;
  esac
  case $option in
    --resource | --scope | --scopes) resource=${value%/.default} ;;
    --tenant | -t | --subscription | -s) ;;
    --output | -o) output=$value ;;
    --query) query=$value ;;
    *) refuse ;;
  esac
done
case "$output $query" in
  'json ' | 'tsv accessToken') ;;
  *) refuse ;;
esac
# Whatever proxy is set, the header is for this machine alone.
answer=$(printf 'X-IDENTITY-HEADER: %s\n' "$IDENTITY_HEADER" |
  curl -q --noproxy '*' -sSf -G -H @- --data-urlencode "resource=$resource" --data api-version=2019-08-01 "$IDENTITY_ENDPOINT")
member() {
  printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}
token=$(member access_token)
if [ "$output" = tsv ]; then
  printf '%s\n' "$token"
  exit
fi
expires=$(member expires_on)
# With GNU's date, or with BSD's.
date=$(date -d "@$expires" '+%Y-%m-%d %H:%M:%S.000000' 2>/dev/null || date -r "$expires" '+%Y-%m-%d %H:%M:%S.000000')
nobody=00000000-0000-0000-0000-000000000000
printf '{"accessToken":"%s","expiresOn":"%s","expires_on":%s,"subscription":"%s","tenant":"%s","tokenType":"Bearer"}\n' \
  "$token" "$date" "$expires" "$nobody" "$nobody"
