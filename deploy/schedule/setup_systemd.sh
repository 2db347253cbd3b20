#!/usr/bin/env bash
# Lets systemd run the volume scan: by a timer, or with --schedule by a process that stays. Running it again changes nothing.
#   setup_systemd.sh [--schedule] [--user] [--every MINUTES] [--folder FOLDER] [--command PATH] [--run-as NAME] [--dry-run]
#   setup_systemd.sh --uninstall [--user] [--dry-run]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(cd "$here/../.." && pwd) command='' every=5 user=${SUDO_USER:-$(id -un)} action=install unit=ohlcv-ta-scan.timer scope=system dry=''
units=(ohlcv-ta-scan.service ohlcv-ta-scan.timer ohlcv-ta-schedule.service)

fail() { echo "setup_systemd.sh: $1" >&2; exit "${2:-1}"; }

while [ $# -gt 0 ]; do
  case $1 in
    --schedule) unit=ohlcv-ta-schedule.service ;;
    --user) scope=user ;;
    --every) every=${2:?--every needs a number of minutes}; shift ;;
    --folder) folder=$(cd "${2:?--folder needs a folder}" && pwd); shift ;;
    --command) command=${2:?--command needs a path}; shift ;;
    --run-as) user=${2:?--run-as needs a name}; shift ;;
    --uninstall) action=uninstall ;;
    --dry-run) dry=yes ;;
    --help) sed -n '2,4s/^# *//p' "${BASH_SOURCE[0]}"; exit ;;
    *) fail "there is no option $1; try --help" 2 ;;
  esac
  shift
done
command=${command:-$folder/.venv/bin/ohlcv-ta}
place=${SYSTEMD_UNITS:-/etc/systemd/system} # where administrators put units
[ "$scope" = system ] || place=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
[[ $every =~ ^[0-9]+$ && $every -ge 1 && $every -le 59 ]] || fail "--every takes 1 to 59 minutes, not $every" 2
[[ "$folder$command" != *[\"%\\$'\n']* ]] || fail "a unit cannot take a path with \", % or \\ in it: $folder, $command"
command -v systemctl > /dev/null || fail "systemctl is not installed"
[ -n "$dry" ] || [ "$scope" = user ] || [ -w "$(dirname "$place")" ] || fail "only root may write to $place; use sudo, or --user"

run() { if [ -n "$dry" ]; then echo "would run: $*"; else "$@"; fi; }

control() { run systemctl "--$scope" "$@"; }

written() { # a file of ours with its blanks filled in
  local text
  text=$(< "$here/$1")
  text=${text//@EVERY@/"$every"} text=${text//@FOLDER@/"$folder"}
  text=${text//@COMMAND@/"$command"} text=${text//@USER@/"$user"}
  printf '%s\n' "$text"
}

put() { # FILE of ours, at PLACE
  if [ "$(written "$1")" = "$(cat "$2" 2> /dev/null)" ]; then return; fi
  changed=yes
  if [ -n "$dry" ]; then printf 'would write %s:\n%s\n\n' "$2" "$(written "$1")"; return; fi
  mkdir -p "$(dirname "$2")"
  written "$1" > "$2"
}

install_units() {
  [ -x "$command" ] || fail "there is no $command; run make install, or name it with --command"
  changed=''
  for one in "${units[@]}"; do put "$one" "$place/$one"; done
  if [ "$scope" = system ]; then
    for one in ohlcv-ta-scan ohlcv-ta-schedule; do put careful.conf "$place/$one.service.d/careful.conf"; done
  fi
  [ -z "$changed" ] || control daemon-reload
  for one in ohlcv-ta-scan.timer ohlcv-ta-schedule.service; do
    [ "$one" = "$unit" ] || control disable --now "$one" # one or the other
  done
  control enable --now "$unit"
  [ -z "$changed" ] || [ -n "$dry" ] || control restart "$unit"
}

uninstall_units() {
  for one in ohlcv-ta-scan.timer ohlcv-ta-schedule.service; do
    [ ! -e "$place/$one" ] || control disable --now "$one"
  done
  for one in "${units[@]}"; do run rm -rf "$place/$one" "$place/$one.d"; done
  control daemon-reload
}

"${action}_units"
[ -n "$dry" ] || echo "Done; systemctl --$scope status $unit shows it."
