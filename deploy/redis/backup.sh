#!/bin/sh
# Copies Redis' data into snapshots, and keeps the newest of them:
#   backup.sh          for ever, one every $BACKUP_EVERY seconds
#   backup.sh once     one now
#   backup.sh check    whether the newest is young enough
set -eu
folder=${BACKUP_FOLDER:-/data} every=${BACKUP_EVERY:-3600} keep=${BACKUP_KEEP:-48}
[ -n "${REDISCLI_AUTH:-}" ] || unset REDISCLI_AUTH # an empty password is none

snapshots() { # newest first; the names sort by time
  find "$folder" -maxdepth 1 -name 'redis-*.rdb' | sort -r
}

once() {
  rm -f "$folder"/redis-*.part # of one that was cut short
  name=$folder/redis-$(date -u +%Y%m%dT%H%M%SZ).rdb
  said=$(redis-cli -h "${REDIS_HOST:-127.0.0.1}" -p "${REDIS_PORT:-6379}" --rdb "$name.part" 2>&1) ||
    { echo "backup.sh: $said" >&2; exit 1; }
  [ "$(head -c 5 "$name.part")" = REDIS ] || { echo "backup.sh: $name.part is no snapshot" >&2; exit 1; }
  mv "$name.part" "$name" # whole, or not there
  snapshots | tail -n +$((keep + 1)) | while read -r old; do rm -f "$old"; done
  echo "backup.sh: $name, $(wc -c < "$name") bytes; $(snapshots | wc -l) kept"
}

check() {
  [ -n "$(find "$folder" -maxdepth 1 -name 'redis-*.rdb' -mmin -$((every / 30 + 1)))" ] ||
    { echo "backup.sh: no snapshot within twice $every seconds" >&2; exit 1; }
}

case ${1:-forever} in
  once | check) "$1" ;;
  forever) trap 'exit 0' TERM INT; while true; do sh "$0" once || true; sleep "$every" & wait $!; done ;; # a signal ends the waiting at once
  *) echo "backup.sh: once, check or nothing, not $1" >&2; exit 2 ;;
esac
