#!/usr/bin/env python3
"""Sends the dashboards to a Grafana that is there already: GRAFANA_URL=... GRAFANA_API_KEY=... push_dashboards.py

The key is the token of a service account. Its data sources need the uids that the dashboards name: prometheus and loki.
"""

import json
import os
import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen


def push(url, token, folder):
    "Every dashboard of a folder; one that is there is replaced."
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    for path in sorted(folder.glob("*.json")):
        body = json.dumps({"dashboard": json.loads(path.read_text(encoding="utf-8")), "overwrite": True}).encode()
        with urlopen(Request(f"{url.rstrip('/')}/api/dashboards/db", body, headers), timeout=30): print(f"{path.stem}: sent")


if __name__ == "__main__":
    url, token = (os.environ.get(name) for name in ("GRAFANA_URL", "GRAFANA_API_KEY"))
    if not (url and token): sys.exit("push_dashboards.py: set GRAFANA_URL, such as http://localhost:3000, and GRAFANA_API_KEY")
    try:
        push(url, token, Path(__file__).parent / "grafana" / "dashboards")
    except (URLError, ValueError) as error: # ValueError: no address
        sys.exit(f"push_dashboards.py: {url} does not take them: {error}")
