#!/bin/sh
# Runs Mosquitto with what `python -m cloud broker-certificate --into FILES --follow` writes, and lets it read that
# again when it changes. Used by docker-compose.yml.
# FILES: where that is. CONF: this folder. TO: where mosquitto.conf looks. OWNER: who runs Mosquitto. ADDRESS: on what it listens.
set -eu
: "${FILES:=/trust}" "${CONF:=/deploy}" "${TO:=/etc/mosquitto/qianli}" "${DATA:=/var/lib/mosquitto}"
: "${OWNER:=mosquitto}" "${ADDRESS:=127.0.0.1}"

place() { # whole or not at all, readable for its owner only
  cp "$1" "$2.new" && chown "$OWNER" "$2.new" && chmod 0400 "$2.new" && mv -f "$2.new" "$2"
}

take() { # 0 when something is new
  new=1
  for name in authority.crt broker.pem revoked.pem; do
    if [ -s "$FILES/$name" ] && ! cmp -s "$FILES/$name" "$TO/$name"; then
      place "$FILES/$name" "$TO/$name"
      new=0
    fi
  done
  return "$new"
}

is_complete() { [ -s "$TO/authority.crt" ] && [ -s "$TO/broker.pem" ] && [ -s "$TO/revoked.pem" ]; }

mkdir -p "$TO" "$DATA"
chown "$OWNER" "$TO" "$DATA"
place "$CONF/acl" "$TO/acl"
sed "s/^listener \([0-9]*\)\$/listener \1 $ADDRESS/" "$CONF/mosquitto.conf" > "$TO/mosquitto.conf"
until is_complete; do take || sleep 1; done

mosquitto -c "$TO/mosquitto.conf" &
broker=$!
trap 'kill -TERM "$broker"' TERM INT
while kill -0 "$broker" 2>/dev/null; do
  sleep 1 &
  wait $! || true
  if take; then kill -HUP "$broker"; fi
done
wait "$broker"
