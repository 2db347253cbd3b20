"Rules, dashboards and the shipping of logs: judged by promtool and by a real Prometheus that watches the running service."

import json
import re
import subprocess
import sys
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import nbformat
import pytest
import yaml
from daemons import needs, prometheus
from service import running, small_models

from ohlcv_ta.serving.api import create_app
from ohlcv_ta.serving.settings import secret_variables, variables

ROOT = Path(__file__).parents[1]
HERE = ROOT / "deploy" / "monitoring"
RULES = sorted((HERE / "rules").glob("*.yml"))
BOARDS = sorted((HERE / "grafana" / "dashboards").glob("*.json"))
OURS = re.compile(r"\b((?:ohlcv_ta|http)_[a-z_]+|process_[a-z_]+)\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
pytestmark = needs("prometheus", "promtool")


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


def words_of(name):
    "ServiceDown as a heading says it: Service down."
    return re.sub(r"(?<!^)([A-Z])", lambda found: f" {found[1].lower()}", name)


def promtool(*command):
    done = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def without_cluster(labels, address="192.0.2.1:1"):
    "kubernetes.yml as a Prometheus without a cluster can read it: one pod, whose labels are given."
    config = yaml.safe_load((HERE / "kubernetes.yml").read_text())
    job, = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = [{"targets": [address], "labels": {f"__meta_kubernetes_pod_{k}": v for k, v in labels.items()}}]
    return config


def test_promtool_accepts_configuration_and_rules(tmp_path):
    promtool("check", "config", HERE / "prometheus.yml")
    there = tmp_path / "kubernetes.yml"
    there.write_text(yaml.safe_dump(without_cluster({})).replace("rules/", f"{HERE}/rules/"))
    promtool("check", "config", there)


def test_every_alert_fires_in_its_unit_test_and_none_on_a_good_day():
    tests = sorted((HERE / "rules" / "tests").glob("*.yml"))
    promtool("test", "rules", *tests)
    fired = set(re.findall(r'alertname(?:="|: )(\w+)', "".join(path.read_text() for path in tests)))
    assert fired == set(alerts())
    good = yaml.safe_load((HERE / "rules" / "tests" / "healthy.yml").read_text())
    assert {Path(name).name for name in good["rule_files"]} == {path.name for path in RULES}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_that_says_something_else_fails_its_unit_test(path, tmp_path):
    "The unit tests would notice: every comparison turned round."
    folder = tmp_path / "rules"
    (folder / "tests").mkdir(parents=True)
    turned = re.sub(r" ([<>]) ([\d.]+)", lambda found: f" {'<' if found[1] == '>' else '>'} {found[2]}", path.read_text())
    assert turned != path.read_text()
    (folder / path.name).write_text(turned)
    (folder / "tests" / path.name).write_text((HERE / "rules" / "tests" / path.name).read_text())
    done = subprocess.run(["promtool", "test", "rules", folder / "tests" / path.name], capture_output=True)
    assert done.returncode == 1


def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on():
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        anchor = words_of(name).lower().replace(" ", "-")
        assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.book }}}}/chapters/production.html#{anchor}"


def test_the_runbook_has_a_section_for_every_alert_and_for_nothing_else():
    cells = nbformat.read(ROOT / "nbs" / "pipeline" / "production.ipynb", 4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    runbook = text.split("## What to do when", 1)[1].split("\n## ", 1)[0]
    sections = dict(re.findall(r"^### (.+)\n+((?:(?!^#).*\n?)+)", runbook, re.M))
    assert sorted(sections) == sorted(words_of(name) for name in alerts())
    assert all(len(words.split()) > 20 for words in sections.values()), "a section says what to look at and what to do"
    panels = {panel["title"] for board in boards().values() for panel in board["panels"]}
    headings = set(re.findall(r"^##+ (.+)", text, re.M))
    sent_to = set(re.findall(r"(?<!\*)\*([A-Z0-9][^*]+)\*(?!\*)", " ".join(runbook.split())))
    assert not sent_to - panels - headings, "what it sends a reader to is there"
    known = {*variables(), *(f"{name}_FILE" for name in secret_variables())}
    assert not set(re.findall(r"\b(OHLCV_TA_[A-Z_]+|REDIS_URL|WHITELIST\w+)\b", text)) - known
    routes = create_app({}).openapi()["paths"]
    assert set(re.findall(r"/api/v1/[\w/-]+", text)) <= set(routes)


def test_every_expression_of_a_panel_is_promql(tmp_path):
    asked = [expr for *_, expr in targets()]
    assert len(asked) > 50 and all("$" not in plain(expr) for expr in asked)
    rules = [{"record": f"panel:{k}", "expr": plain(expr)} for k, expr in enumerate(asked)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "panels.yml")


@pytest.mark.parametrize("name", [path.stem for path in BOARDS])
def test_a_dashboard_is_whole(name):
    board = boards()[name]
    assert board["uid"] == f"ohlcv-ta-{name}" and board["schemaVersion"] >= 39 and "id" not in board
    assert [panel["id"] for panel in board["panels"]] == list(range(1, len(board["panels"]) + 1))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, f"{panel['title']} lies over another panel"
        taken |= cells
        assert panel["description"].endswith(".") and panel["targets"]
        assert panel["type"] in ("timeseries", "stat", "table", "heatmap", "logs")
    titles = [panel["title"] for panel in board["panels"] if panel["type"] != "stat"]
    assert len(titles) == len(set(titles)), "the runbook calls panels by their names"
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(t["expr"] for panel in board["panels"] for t in panel["targets"])))
    assert used - {"__rate_interval"} == known


def test_the_described_dashboards_ask_data_sources_that_are_provisioned():
    assert set(boards()) == {"service", "system", "containers", "cache"}
    provisioned = yaml.safe_load((HERE / "grafana/provisioning/datasources/datasources.yaml").read_text())["datasources"]
    known = {(source["type"], source["uid"]) for source in provisioned}
    asked = {(target["datasource"]["type"], target["datasource"]["uid"]) for board in boards().values()
             for panel in board["panels"] for target in panel["targets"]}
    assert asked == known
    provider, = yaml.safe_load((HERE / "grafana/provisioning/dashboards/dashboards.yaml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert f"./monitoring/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]
    for source in provisioned: # each is a service of the stack, on its port
        host, port = source["url"].removeprefix("http://").split(":")
        assert any(published.endswith(f":{port}") for published in compose[host]["ports"])


def exported(url):
    "The names of the metrics that a service tells, without the endings that Prometheus' client adds."
    told = httpx.get(f"{url}/metrics").raise_for_status().text
    return {SUFFIX.sub("", name) for name in re.findall(r"^# TYPE (\w+)", told, re.M)}


@pytest.fixture(scope="module")
def service():
    "The running service, asked a few things."
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


def test_every_target_is_a_service_of_the_stack_that_prometheus_reaches():
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    for job in yaml.safe_load((HERE / "prometheus.yml").read_text())["scrape_configs"]:
        host = job["static_configs"][0]["targets"][0].split(":")[0]
        assert host == "localhost" or set(compose[host]["networks"]) & set(compose["prometheus"]["networks"]), host


def test_every_line_of_a_log_finds_its_way():
    "What the shipper's parts pass on to is there, everything ends at Loki, and Loki forgets in time."
    text = "\n".join(line for line in (HERE / "config.alloy").read_text().splitlines() if not line.lstrip().startswith("//"))
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    made = {f"{kind}.{name}" for kind, name in re.findall(r'^([\w.]+) "(\w+)" \{', text, re.M)}
    used = set(re.findall(r"\b((?:local|loki)\.[\w.]+)\.(?:targets|receiver|rules)\b", text))
    assert used < made and made - used == {"loki.source.file.containers", "loki.source.journal.system"}
    loki = yaml.safe_load((HERE / "loki.yaml").read_text())
    assert f":{loki['server']['http_listen_port']}/loki/api/v1/push" in text
    assert loki["compactor"]["retention_enabled"] and loki["compactor"]["delete_request_store"] == "filesystem"
    assert int(loki["limits_config"]["retention_period"][:-1]) % 24 == 0 # whole periods of its index
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert all(one["logging"]["options"]["tag"] == "{{.Name}}" for one in compose["services"].values())
    asked = " ".join(expr for *_, expr in targets("loki")) + text.replace('\\"', '"')
    streams = set(re.findall(r'container=~"(ohlcv-ta-\w+)', asked))
    assert streams == {"ohlcv-ta-app", "ohlcv-ta-redis"} and compose["name"] == "ohlcv-ta"


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
