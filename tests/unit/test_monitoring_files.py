"Rules, dashboards and the shipping of logs, checked by promtool."

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.daemons import needs
from support.monitoring import BOARDS, HERE, ROOT, RULES, alerts, boards, plain, targets, without_cluster

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.settings import list_secret_variables, list_variables

pytestmark = needs("prometheus", "promtool")


def words_of(name):
    "ServiceDown as a heading says it: Service down."
    return re.sub(r"(?<!^)([A-Z])", lambda found: f" {found[1].lower()}", name)


def promtool(*command):
    done = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


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
        assert rule["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbook }}}}#{anchor}"


def test_the_runbook_has_a_section_for_every_alert_and_for_nothing_else():
    page = (ROOT / "deploy" / "README.md").read_text()
    text = page.split("\n## What to do when", 1)[1].split("\n## Images", 1)[0]
    runbook = text.split("\n## ", 1)[0]
    sections = dict(re.findall(r"^### (.+)\n+((?:(?!^#).*\n?)+)", runbook, re.M))
    assert sorted(sections) == sorted(words_of(name) for name in alerts())
    assert all(len(words.split()) > 20 for words in sections.values()), "a section says what to look at and what to do"
    panels = {panel["title"] for board in boards().values() for panel in board["panels"]}
    headings = set(re.findall(r"^##+ (.+)", page, re.M))
    sent_to = set(re.findall(r"(?<!\*)\*([A-Z0-9][^*]+)\*(?!\*)", " ".join(runbook.split())))
    assert not sent_to - panels - headings, "what it sends a reader to is there"
    known = {*list_variables(), *(f"{name}_FILE" for name in list_secret_variables())}
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
