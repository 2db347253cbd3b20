"Rules and dashboards as tests read them."

import json
import re
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deploy" / "monitoring"
RULES = sorted((HERE / "rules").glob("*.yml"))
BOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))


@cache
def alerts():
    "Every alert by its name."
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@cache
def boards():
    return {path.stem: json.loads(path.read_text()) for path in BOARDS}


def targets(kind="prometheus"):
    "What the panels ask, as (dashboard, title, expression)."
    return [(name, panel["title"], target["expr"]) for name, board in boards().items() for panel in board["panels"]
            for target in panel["targets"] if target["datasource"]["type"] == kind]


def plain(expression):
    "Without what Grafana fills in."
    return re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "1m"))


def questions():
    "Every expression of panels and alerts."
    return [plain(expr) for *_, expr in targets()] + [rule["expr"] for rule in alerts().values()]


def without_cluster(labels, address="192.0.2.1:1"):
    "kubernetes.yml as a Prometheus without a cluster can read it: one pod, whose labels are given."
    config = yaml.safe_load((HERE / "kubernetes.yml").read_text())
    job, = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [{"targets": [address], "labels": {f"__meta_kubernetes_pod_{k}": v for k, v in labels.items()}}]
    return config
