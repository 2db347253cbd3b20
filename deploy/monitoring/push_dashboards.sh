#!/usr/bin/env bash
# Sends the dashboards to a Grafana that is there already: GRAFANA_URL=... GRAFANA_API_KEY=... push_dashboards.sh
# Its data sources need the uids that the dashboards name: prometheus and loki.
set -euo pipefail
: "${GRAFANA_URL:?is not set, such as http://localhost:3000}" "${GRAFANA_API_KEY:?is not set; a service account of Grafana has one}"
for tool in curl jq; do command -v "$tool" > /dev/null || { echo "push_dashboards.sh: $tool is not installed" >&2; exit 1; }; done
for file in "$(dirname "${BASH_SOURCE[0]}")"/grafana/dashboards/*.json; do
  jq '{dashboard: ., overwrite: true}' "$file" |
    curl --silent --show-error --fail-with-body --output /dev/null --header @<(printf "Authorization: Bearer %s" "$GRAFANA_API_KEY") \
      --header "Content-Type: application/json" --data @- "$GRAFANA_URL/api/dashboards/db"
  echo "$(basename "$file" .json): sent"
done
