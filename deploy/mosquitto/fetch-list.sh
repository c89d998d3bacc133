#!/bin/sh
# Puts the list of revoked certificates of the door at $QIANLI_DOOR into $1, if our authority signed it and it is another one.
set -eu
folder=${1:-/etc/mosquitto/qianli}
new=$(mktemp "$folder/.revoked.XXXXXX")
trap 'rm -f "$new"' EXIT
curl --fail --silent --show-error --max-time 10 --cacert "$folder/authority.crt" --tlsv1.3 \
  --output "$new" "https://$QIANLI_DOOR/agent/v1/revoked"
openssl crl -in "$new" -CAfile "$folder/authority.crt" -verify -noout 2>&1 | grep -q "verify OK"
if ! cmp -s "$new" "$folder/revoked.pem"; then
  chmod 0644 "$new"
  mv -f "$new" "$folder/revoked.pem"
fi
