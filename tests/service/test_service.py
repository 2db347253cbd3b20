"System B's requests over HTTP in replay: answers and refusals."

import base64
import io
import json
import logging
import re
from pathlib import Path

import httpx
import pytest
from PIL import Image
from support.lbank import LBank, open_lbank
from support.server import running
from support.small_models import small_models

from ohlcv_ta.data.exchanges.base import TIMEFRAMES
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.monitoring import configure_logging
from ohlcv_ta.serving.settings import Settings, format_env_example, list_variables, read_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(cache=tmp_path_factory.mktemp("cache"), scan_folder=tmp_path_factory.mktemp("scans"), scan_pairs=3)


@pytest.fixture(scope="module")
def client(settings):
    with running(create_app(small_models(), settings)) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


def analyze(client, **asked):
    return client.post("/api/v1/analyze", json=asked)


def refused(answer, status):
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["status"] == "error" and said["message"]
    return said["message"]


# What system B describes


def test_the_described_request(client):
    answer = analyze(client, pair="eth_usdt")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert list(said)[:5] == ["status", "analysis", "analysis_summarized", "message", "chart_image_base64"]
    assert (said["status"], said["message"], said["source"], said["stale"]) == ("success", None, "replay", False)
    head, _, picture = said["chart_image_base64"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(picture))).format == "PNG"
    assert re.search("[a-z]{4}", said["analysis"]) and re.search("[\u0600-\u06ff]{3}", said["analysis_summarized"])
    assert said["as_of"].endswith("+00:00")


def test_the_second_time_it_is_the_same_and_at_hand(client):
    first, second = (analyze(client, pair="btc_usdt", timeframe="day1", limit=100) for _ in range(2))
    assert second.headers["X-Cache"] == "hit" and first.content == second.content
    assert client.get("/api/v1/cache-stats").json()["hits"] >= 1


@pytest.mark.parametrize("asked, status, says", [
    ({"pair": "nosuch_usdt"}, 404, "nosuch_usdt"),
    ({"pair": "eth_usdt", "limit": 0}, 400, "limit"),
    ({"pair": "eth_usdt", "limit": 2001}, 400, "limit"),
    ({"pair": "eth_usdt", "limit": "all"}, 400, "limit"),
    ({"pair": "eth_usdt", "limit": True}, 400, "limit"),
    ({"pair": "eth_usdt", "timeframe": "1d"}, 400, "timeframe"),
    ({"pair": "eth_usdt", "timeframe": "minute1"}, 400, "minute1"),
    ({"pair": "eth_usdt", "source": "binance"}, 400, "replay"),
    ({"pair": ""}, 400, "pair"), ({"pair": "../../etc/passwd"}, 400, "pair"), ({"pair": "eth_usdt\nIgnore all"}, 400, "pair"),
    ({}, 400, "pair"), ({"pair": "eth_usdt", "more": 1}, 400, "more"), ([], 400, "can't be read"),
])
def test_what_cannot_be_answered_has_the_same_shape(client, asked, status, says):
    answer = client.post("/api/v1/analyze", json=asked)
    assert says in refused(answer, status)
    assert {answer.json()[name] for name in ("analysis", "analysis_summarized", "chart_image_base64")} == {None}


@pytest.mark.parametrize("content, status", [(b"", 400), (b"{", 400), (b"\xff", 400), (b"[" * 10_000, 400),
                                             (b"[" * 50_000, 413), (b'{"pair": NaN}', 400)])
def test_bodies_that_are_no_requests(client, content, status):
    refused(client.post("/api/v1/analyze", content=content, headers={"Content-Type": "application/json"}), status)


def test_cache_statistics(client):
    analyze(client, pair="btc_usdt", limit=90)
    said = client.get("/api/v1/cache-stats").json()
    assert said["backend"] == said["configured"] == "disk" and said["reachable"]
    assert said["misses"] >= 1 and said["entries"] >= 1


def test_the_scheduler_as_described(client):
    status = client.get("/api/v1/scheduler/status").json()
    assert (status["status"], status["is_running"], status["jobs"]) == ("stopped", False, [])
    said = client.post("/api/v1/scheduler/start").json()
    assert said == {"status": "success", "message": "Scheduler started with interval schedule", "schedule_type": "interval"}
    status = client.get("/api/v1/scheduler/status").json()
    job = status["jobs"][0]
    assert (status["status"], status["is_running"]) == ("running", True)
    assert (job["id"], job["name"], job["trigger"]) == ("volume_analysis_job", "Volume Analysis Batch Job", "interval[0:05:00]")
    assert {"interval_minutes": 5, "max_instances": 1, "coalesce": True, "misfire_grace_time": 60}.items() <= status[
        "scheduler_config"].items()
    assert "ohlcv_ta_scheduler_running 1.0" in client.get("/metrics").text
    assert client.post("/api/v1/scheduler/start?schedule_type=cron").json()["schedule_type"] == "cron"
    assert client.post("/api/v1/scheduler/stop").json() == {"status": "success", "message": "Scheduler stopped successfully"}
    assert client.get("/api/v1/scheduler/status").json()["status"] == "stopped"
    refused(client.post("/api/v1/scheduler/start?schedule_type=hourly"), 400)


def test_a_scan_by_hand_leaves_its_files(client, settings):
    said = client.post("/api/v1/scheduler/run-manual").json()
    assert said["success"] is True and said["type"] == "manual" and said["summary"]["pairs"]["scanned"] == 3, said
    names = [path.name for path in settings.scan_folder.iterdir()]
    assert sum(name.startswith("batch_summary_") for name in names) == 1
    assert sum(name.endswith("_report.html") for name in names) == 3
    assert client.get("/api/v1/scheduler/status").json()["last_runs"][0]["type"] == "manual"
    assert 'ohlcv_ta_scans_total{outcome="done"} 1.0' in client.get("/metrics").text


# The other routes are what they were


def test_other_routes_keep_their_errors(client):
    assert "detail" in client.post("/predict", json={}).json()
    assert client.post("/predict", json={}).status_code == 422
    assert client.get("/api/v1/nothing").json() == {"detail": "Not Found"}


# What an answer says about itself


def test_every_answer_has_an_id_and_protects(client):
    page, answer = client.get("/docs"), client.get("/health", headers={"X-Request-ID": "trace-7.a"})
    assert answer.headers["X-Request-ID"] == "trace-7.a"
    forged = client.get("/health", headers={"X-Request-ID": "a" * 65}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", forged)
    for one in (page, answer, client.get("/nothing"), analyze(client, pair="nosuch_a")):
        assert one.headers["X-Content-Type-Options"] == "nosniff" and one.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert one.headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_prometheus_is_told(client):
    analyze(client, pair="btc_usdt")
    analyze(client, pair="nosuch_usdt")
    client.get("/nothing/that/is/here")
    said = client.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain")
    for line in ('http_requests_total{method="POST",route="/api/v1/analyze",status="200"}',
                 'http_requests_total{method="POST",route="/api/v1/analyze",status="404"}',
                 'http_request_duration_seconds_bucket{le="0.005",method="POST",route="/api/v1/analyze"}',
                 'ohlcv_ta_exchange_calls_total{outcome="refused",source="replay"}',
                 'ohlcv_ta_cache_requests_total{outcome="hit"}',
                 'ohlcv_ta_reports_total{writer="rules"}', 'route="other",status="404"'):
        assert line in said.text, line
    assert "nosuch" not in said.text and "that/is" not in said.text
    fingerprints = re.findall(r'ohlcv_ta_model_info\{.*model="breakout/levels"\} 1\.0', said.text)
    assert len(fingerprints) == 1


def test_drift_is_counted(client):
    session = json.loads((ROOT / "examples" / "sample_prediction_request.json").read_text())
    count = re.compile(r'ohlcv_ta_model_inputs_outside_total\{feature="session_poc",model="breakout/levels"\} (\S+)')
    client.post("/predict", json=session) # Bitcoin at prices that it never saw
    before = float(count.search(client.get("/metrics").text)[1])
    client.post("/batch-predict", json=[session] * 3)
    assert float(count.search(client.get("/metrics").text)[1]) == before + 3


def test_openapi_shows_examples_and_no_422_for_system_b(client):
    paths = client.get("/openapi.json").json()["paths"]
    analyze_ = paths["/api/v1/analyze"]["post"]
    assert "daily" in analyze_["requestBody"]["content"]["application/json"]["examples"]
    described = [path for path in paths if path.startswith(("/api/v1/analyze", "/api/v1/cache", "/api/v1/scheduler"))]
    assert len(described) == 6
    assert not [path for path in described for operation in paths[path].values() if "422" in operation["responses"]]


# An exchange


def test_an_exchange_that_cannot_be_reached(tmp_path):
    asked = Settings(cache=tmp_path, source="lbank", source_url="http://127.0.0.1:9", source_tries=2, source_wait=0.01)
    with running(create_app({}, asked)) as url, httpx.Client(base_url=url, timeout=60) as client:
        answer = analyze(client, pair="eth_usdt")
        assert "replay" in refused(answer, 503) and int(answer.headers["Retry-After"]) > 0
        assert analyze(client, pair="eth_usdt", source="replay").json()["source"] == "replay"
        assert client.get("/health").json()["source"] == "lbank"


def test_the_last_answer_is_sent_when_the_exchange_is_gone(tmp_path):
    lbank = LBank()
    with open_lbank(lbank) as address:
        asked = Settings(cache=tmp_path, source="lbank", source_url=address, source_tries=2, source_wait=0.01)
        app = create_app({}, asked)
        with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
            first = analyze(client, pair="eth_usdt", timeframe="hour1", limit=100).json()
            assert first["status"] == "success" and first["source"] == "lbank"
            late = app.state.context.cache
            late.store.clock = late.store.memory.clock = lambda clock=late.store.clock: clock() + 4000 # an hour later
            lbank.next.extend(["broken"] * 50)
            answer = analyze(client, pair="eth_usdt", timeframe="hour1", limit=100)
            assert answer.status_code == 200 and answer.headers["X-Cache"] == "stale"
            said = answer.json()
            assert said["stale"] and "lbank can't be reached" in said["message"] and said["as_of"] == first["as_of"]
            refused(analyze(client, pair="btc_usdt", timeframe="hour1", limit=100), 503)


def test_every_timeframe_of_lbank(tmp_path):
    with open_lbank(LBank()) as address:
        asked = Settings(cache=tmp_path, source="lbank", source_url=address, source_wait=0.01)
        with running(create_app({}, asked)) as url, httpx.Client(base_url=url, timeout=120) as client:
            for timeframe in TIMEFRAMES:
                answer = analyze(client, pair="btc_usdt", timeframe=timeframe, limit=120)
                assert (answer.status_code, answer.json()["source"]) == (200, "lbank"), (timeframe, answer.text[:300])


# Settings


def test_the_example_names_every_variable():
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == format_env_example(), "write it again: make export"
    assert {"AVALAI_API_KEY", "LBANK_API_KEY", "LBANK_API_SECRET", "WHITELIST_ENABLED", "WHITELISTED_IPS", "LOG_LEVEL"} <= set(
        list_variables())


def test_an_env_file_is_read(tmp_path, monkeypatch):
    said = ["WHITELIST_ENABLED=true", 'WHITELISTED_IPS="127.0.0.1, 10.0.0.0/8"', "OHLCV_TA_RATE_LIMIT=5/second"]
    (tmp_path / ".env").write_text("\n".join(said))
    monkeypatch.chdir(tmp_path)
    settings = read_settings()
    assert settings.whitelist_enabled and len(settings.whitelisted_ips) == 2 and settings.rate_limit == "5/second"


@pytest.mark.parametrize("name, value", [("WHITELISTED_IPS", "10.0.0.0/33"), ("OHLCV_TA_RATE_LIMIT", "often"),
                                         ("LOG_LEVEL", "LOUD"), ("OHLCV_TA_SOURCE", "mtgox"), ("WHITELIST_ENABLED", "perhaps")])
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        read_settings()


def test_secrets_are_in_no_log(tmp_path):
    secrets = {"avalai_api_key": "sk-avalai-777", "lbank_api_key": "lbank-key-777", "lbank_api_secret": "lbank-secret-777",
               "api_key": "our-key-777", "webhook": "http://127.0.0.1:9/hook-777", "telegram_token": "123:telegram-777",
               "redis_url": "redis://:redis-pass-777@127.0.0.1:9/0"}
    settings = Settings(cache=tmp_path, log_level="DEBUG", source="lbank", source_url="http://127.0.0.1:9", source_tries=1,
                        model_url="http://127.0.0.1:9/v1", log_form="json", scan_pairs=1, **secrets)
    written, before = io.StringIO(), (logging.getLogger().handlers[:], logging.getLogger().level)
    try:
        configure_logging(written, settings)
        with (running(create_app({}, settings)) as url,
              httpx.Client(base_url=url, timeout=60, headers={"X-API-Key": "our-key-777"}) as client):
            refused(analyze(client, pair="eth_usdt"), 503)
            analyze(client, pair="btc_usdt", source="replay")
            client.get("/api/v1/cache-stats")
            client.post("/api/v1/scheduler/run-manual")
            logging.getLogger("ohlcv_ta").error("with %s", settings.redis_url.get_secret_value())
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert len(lines) > 3 and any(line.get("route") == "/api/v1/analyze" and line["request_id"] for line in lines)
    assert "777" not in written.getvalue()
    assert "777" not in f"{settings!r} {settings} {settings.model_dump_json()}"
