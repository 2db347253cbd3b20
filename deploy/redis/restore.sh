#!/bin/sh
# Puts a snapshot in the place of Redis' data, while no Redis runs on them: restore.sh SNAPSHOT
# With appendonly, Redis reads its journal and never a snapshot; so one is started aside, which reads the snapshot and writes a journal.
set -eu
snapshot=${1:?restore.sh: name the snapshot} folder=${DATA_FOLDER:-/data} port=${RESTORE_PORT:-6390}
[ "$(head -c 5 "$snapshot")" = REDIS ] || { echo "restore.sh: $snapshot is no snapshot of Redis" >&2; exit 1; }
[ -w "$folder" ] || { echo "restore.sh: $folder cannot be written" >&2; exit 1; }

unset REDISCLI_AUTH # the one aside has no password
ask() { redis-cli -p "$port" "$@" 2> /dev/null; }

rm -rf "$folder/appendonlydir.before" "$folder/dump.rdb.before"
for old in appendonlydir dump.rdb; do
  [ ! -e "$folder/$old" ] || mv "$folder/$old" "$folder/$old.before"
done
cp "$snapshot" "$folder/dump.rdb"
redis-server --dir "$folder" --port "$port" --bind 127.0.0.1 --appendonly no --save '' --daemonize no > /dev/null &
until [ "$(ask ping)" = PONG ]; do
  kill -0 $! 2> /dev/null || { echo "restore.sh: Redis does not start on $snapshot" >&2; exit 1; }
  sleep 0.2
done
ask config set appendonly yes > /dev/null
while ask info persistence | grep -qE '^aof_rewrite_(in_progress|scheduled):1'; do sleep 0.2; done
keys=$(ask dbsize)
ask shutdown save > /dev/null || true
wait
echo "restore.sh: $keys keys from $snapshot; what was there before is in $folder/*.before"
