"A real Prometheus that watches the running service, and dashboards that are sent to a Grafana."

import json
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import yaml
from support.daemons import needs, prometheus
from support.monitoring import HERE, RULES, alerts, boards, plain, questions, targets, without_cluster
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app

pytestmark = needs("prometheus", "promtool")

OURS = re.compile(r"\b((?:ohlcv_ta|http)_[a-z_]+|process_[a-z_]+)\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")


def exported(url):
    "The names of the metrics that a service tells, without the endings that Prometheus' client adds."
    told = httpx.get(f"{url}/metrics").raise_for_status().text
    return {SUFFIX.sub("", name) for name in re.findall(r"^# TYPE (\w+)", told, re.M)}


@pytest.fixture(scope="module")
def service():
    "The running service, after a few requests."
    with running(create_app(small_models())) as url:
        for path in ("/health", "/ready", "/nowhere"): httpx.get(url + path)
        for _ in range(2): httpx.post(f"{url}/api/v1/analyze", json={"pair": "btc_usdt"}, timeout=120).raise_for_status()
        httpx.post(f"{url}/api/v1/analyze", json={"pair": "such_a"})
        yield url


def test_every_metric_of_ours_that_is_asked_for_is_told_by_the_service(service):
    asked = {SUFFIX.sub("", name) for expr in questions() for name in OURS.findall(expr)}
    assert len(asked) > 15 and not asked - exported(service)


def test_prometheus_watches_the_service_and_evaluates_every_rule(service, tmp_path):
    config = yaml.safe_load((HERE / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "400ms"}
    config["rule_files"] = [str(path) for path in RULES]
    config["alerting"]["alertmanagers"][0]["file_sd_configs"][0]["files"] = [f"{HERE}/alertmanagers/*.yml"]
    host, port = service.removeprefix("http://").split(":")
    for job in config["scrape_configs"]:
        job["static_configs"][0]["targets"] = [f"{host}:{port}" if job["job_name"] == "ohlcv-ta" else "127.0.0.1:9"]
    pod = without_cluster({"annotation_prometheus_io_scrape": "true", "annotation_prometheus_io_path": "/metrics",
                           "annotation_prometheus_io_port": port, "ip": host, "name": "ohlcv-ta-scan-0",
                           "label_app_kubernetes_io_name": "ohlcv-ta-scan"})
    config["scrape_configs"] += pod["scrape_configs"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with prometheus(tmp_path, tmp_path / "prometheus.yml") as ask:
        def up(): return {found["metric"]["job"]: found["value"][1] for found in ask("query", query="up")["data"]["result"]}
        def rules(): return [rule for group in ask("rules")["data"]["groups"] for rule in group["rules"]]
        while {"ohlcv-ta": "1", "ohlcv-ta-scan": "1", "redis": "0"}.items() - up().items(): time.sleep(0.1)
        while not ask("query", query="count_over_time(up[1h]) > 4")["data"]["result"]: time.sleep(0.1)
        while any(rule["health"] == "unknown" for rule in rules()): time.sleep(0.1)
        assert {rule["name"]: rule["health"] for rule in rules()} == dict.fromkeys(alerts(), "ok")
        pending = {alert["labels"]["alertname"] for alert in ask("alerts")["data"]["alerts"]}
        assert "TargetDown" in pending and not pending & {"ServiceDown", "ServiceErrors", "ModelMissing", "CacheDown"}
        empty = []
        for board, title, expr in targets():
            answer = ask("query", query=plain(expr))
            assert answer["status"] == "success", f"{title}: {answer.get('error')}"
            if board == "service" and not answer["data"]["result"]: empty.append(title)
        waits_for_a_scan = {"Last batch", "Pairs of the last batch", "Volume alerts"}
        waits_for_faults = {"Errors by route", "Inputs outside of what a model learned from"}
        assert set(empty) == waits_for_a_scan | waits_for_faults, "a panel shows nothing of a service that was asked"


@pytest.fixture
def grafana():
    "What stands in for a Grafana keeps what it is sent."
    sent = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            allowed = self.headers["Authorization"] == "Bearer token"
            if allowed: sent.append((self.path, json.loads(body)))
            self.send_response(200 if allowed else 401)
            self.end_headers()

        def log_message(self, *_): pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()
    server.server_close()


def test_dashboards_can_be_sent_to_a_grafana_that_is_there(grafana):
    url, sent = grafana

    def push(**known):
        return subprocess.run([sys.executable, HERE / "push_dashboards.py"], env=known, capture_output=True, text=True)

    assert push(GRAFANA_URL=url, GRAFANA_API_KEY="token").returncode == 0
    assert [(path, one["dashboard"]["uid"]) for path, one in sent] == [
        ("/api/dashboards/db", board["uid"]) for board in boards().values()] and all(one["overwrite"] for _, one in sent)
    for wrong in ({"GRAFANA_URL": url}, {"GRAFANA_URL": url, "GRAFANA_API_KEY": "wrong"},
                  {"GRAFANA_URL": "grafana:3000", "GRAFANA_API_KEY": "token"}):
        refused = push(**wrong)
        assert refused.returncode == 1 and "Traceback" not in refused.stderr and len(refused.stderr.splitlines()) == 1
