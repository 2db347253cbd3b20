#!/usr/bin/env bash
# Lets cron run the volume scan, as you. Running it again changes nothing but what is asked for.
#   setup_cron.sh [--every MINUTES] [--folder FOLDER] [--command PATH] [--dry-run]
#   setup_cron.sh --uninstall [--dry-run]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(cd "$here/../.." && pwd) command='' every=5 action=install dry=''
begin='# >>> ohlcv-ta' end='# <<< ohlcv-ta'

fail() { echo "setup_cron.sh: $1" >&2; exit "${2:-1}"; }

while [ $# -gt 0 ]; do
  case $1 in
    --every) every=${2:?--every needs a number of minutes}; shift ;;
    --folder) folder=$(cd "${2:?--folder needs a folder}" && pwd); shift ;;
    --command) command=${2:?--command needs a path}; shift ;;
    --uninstall) action=uninstall ;;
    --dry-run) dry=yes ;;
    --help) sed -n '2,4s/^# *//p' "${BASH_SOURCE[0]}"; exit ;;
    *) fail "there is no option $1; try --help" 2 ;;
  esac
  shift
done
command=${command:-$folder/.venv/bin/ohlcv-ta}
[[ $every =~ ^[0-9]+$ && $every -ge 1 && $every -le 59 ]] || fail "--every takes 1 to 59 minutes, not $every" 2
[[ "$folder$command" != *[\'%$'\n']* ]] || fail "cron cannot take a path with ' or % in it: $folder, $command"
for tool in crontab flock logger; do command -v "$tool" > /dev/null || fail "$tool is not installed"; done
[ "$action" = uninstall ] || [ -x "$command" ] || fail "there is no $command; run make install, or name it with --command"

before=$(crontab -l 2> /dev/null || true)
after=$(sed "/^$begin\$/,/^$end\$/d" <<< "$before") # others' lines stay as they are
if [ "$action" = install ]; then
  lines=$(< "$here/ohlcv-ta.cron")
  lines=${lines//@EVERY@/"$every"} lines=${lines//@FOLDER@/"$folder"} lines=${lines//@COMMAND@/"$command"}
  after=${after:+$after$'\n'}$begin$'\n'$lines$'\n'$end
fi

if [ "$before" = "$after" ]; then
  echo "Nothing to change."
elif [ -n "$dry" ]; then
  printf 'The table would be:\n%s\n' "$after"
elif [ -n "$after" ]; then
  crontab - <<< "$after"
  echo "Done; crontab -l shows it."
else
  crontab -r
  echo "Done; the table was empty and is gone."
fi
