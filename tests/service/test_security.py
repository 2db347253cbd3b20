"Who is let in: addresses, forged headers, rates, keys; over real connections."

import asyncio
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.redis_server import needs_redis, running_redis
from support.server import running, started, wait_for
from support.small_models import save_small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.security import ClientRateLimiter, find_client_address, is_within
from ohlcv_ta.serving.settings import Settings, parse_networks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def serve(tmp_path):
    def start(**asked):
        return running(create_app({}, Settings(cache=tmp_path, **asked)))
    return start


PATHS = ["/api/v1/analyze", "/predict", "/api/v1/scheduler/run-manual"]
FORGED = [{"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-For": "10.0.0.5, 127.0.0.1"}, {"X-Real-IP": "10.0.0.5"},
          {"Forwarded": "for=10.0.0.5"}, {"X-Client-IP": "10.0.0.5"}, {"X-Forwarded-For": "10.0.0.5"}, {"Host": "10.0.0.5"}]


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_a_forged_header_lets_nobody_in(serve, forged):
    with serve(whitelist_enabled=True, whitelisted_ips="10.0.0.0/8") as url:
        for path in PATHS:
            answer = httpx.post(url + path, headers=forged, json={})
            assert answer.status_code == 403, path
        said = httpx.post(f"{url}/api/v1/analyze", headers=forged, json={}).json()
        assert said["status"] == "error" and "127.0.0.1" in said["message"] and said["analysis"] is None


def test_a_forged_header_lets_nobody_in_where_the_command_serves(tmp_path):
    models = save_small_models(tmp_path / "models")
    with started(models, "--no-ui", WHITELIST_ENABLED="true", WHITELISTED_IPS="10.0.0.0/8",
                 OHLCV_TA_CACHE=str(tmp_path / "cache")) as (url, _):
        for forged in FORGED: assert httpx.post(f"{url}/predict", headers=forged, json={}).status_code == 403
        assert httpx.get(f"{url}/health").status_code == 200


def test_behind_a_proxy_that_is_named(serve):
    asked = {"whitelist_enabled": True, "whitelisted_ips": "198.51.100.0/24", "trusted_proxies": "127.0.0.1"}
    with serve(**asked) as url:
        def status(forwarded): return httpx.get(f"{url}/api/v1/cache-stats", headers={"X-Forwarded-For": forwarded}).status_code
        assert status("198.51.100.7") == 200
        assert status("198.51.100.7, 203.0.113.9") == 403 # what the client wrote stands left of what the proxy saw
        assert status("203.0.113.9, 198.51.100.7") == 200
        assert status("nonsense") == status("") == 403
        assert httpx.get(f"{url}/health").status_code == 200


ODD = ["", "unknown", "::1", "127.0.0.1", "10.0.0.1:80", "[::1]:9", "1", "é"]
ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(ODD)


@given(st.lists(ADDRESSES, max_size=5), ADDRESSES)
def test_nothing_a_stranger_writes_gives_another_address(hops, peer):
    "Without a trusted peer the header is not read; behind one, only what it appended counts."
    proxies = parse_networks("192.0.2.1")
    if peer != "192.0.2.1": assert find_client_address(peer, ",".join(hops), proxies) == find_client_address(peer)
    behind = find_client_address("192.0.2.1", ",".join([*hops, "203.0.113.9"]), proxies)
    assert str(behind) == "203.0.113.9"
    assert not is_within(behind, parse_networks("10.0.0.0/8, 127.0.0.1"))


def test_too_many_requests(serve):
    with serve(rate_limit="3/minute") as url, httpx.Client(base_url=url) as client:
        answers = [client.get("/api/v1/cache-stats") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        last = answers[-1]
        assert 1 <= int(last.headers["Retry-After"]) <= 60 and last.json()["status"] == "error"
        assert client.post("/predict", json={}).json()["detail"].startswith("Too many")
        assert client.get("/health").status_code == client.get("/docs").status_code == 200
        forged = client.get("/api/v1/cache-stats", headers={"X-Forwarded-For": "203.0.113.9"})
        assert forged.status_code == 429


@needs_redis
def test_a_limit_holds_over_replicas_and_a_dead_redis(tmp_path):
    with running_redis() as redis:
        one, two = ClientRateLimiter("4/minute", redis.url), ClientRateLimiter("4/minute", redis.url)

        async def ask(limiters): return [await limiter.wait(None) is None for limiter in limiters]

        assert asyncio.run(ask([one, two, one, two, one, two])) == [True] * 4 + [False] * 2
        redis.kill()
        assert asyncio.run(ask([one] * 6)) == [True] * 4 + [False] * 2 # its own count from here on


def test_a_key(serve):
    with serve(api_key="correct horse") as url:
        ways = [{"X-API-Key": "correct horse"}, {"Authorization": "Bearer correct horse"}]
        for headers in ways: assert httpx.get(f"{url}/api/v1/cache-stats", headers=headers).status_code == 200
        assert httpx.get(f"{url}/api/v1/cache-stats", auth=("anybody", "correct horse")).status_code == 200
        for headers in ({}, {"X-API-Key": "correct hors"}, {"X-API-Key": ""}, {"Authorization": "Basic !!"}):
            answer = httpx.get(f"{url}/api/v1/cache-stats", headers=headers)
            assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers
        assert [httpx.get(url + path).status_code for path in ("/health", "/", "/metrics", "/docs")] == [200, 200, 200, 401]


def test_a_request_that_has_begun_is_finished(tmp_path):
    "The first analysis takes seconds, because its libraries are read; meanwhile the process gets SIGTERM."
    models = save_small_models(tmp_path / "models")
    with started(models, "--no-ui", OHLCV_TA_CACHE=str(tmp_path / "cache")) as (url, process), ThreadPoolExecutor() as pool:
        asked = pool.submit(httpx.post, f"{url}/api/v1/analyze", json={"pair": "eth_usdt"}, timeout=60)
        while "http_requests_in_progress 2.0" not in httpx.get(f"{url}/metrics", timeout=60).text: # it, and this one
            assert not asked.done(), "it was too fast to be interrupted"
        os.kill(process.pid, signal.SIGTERM)
        answer = asked.result()
        assert answer.status_code == 200 and answer.json()["status"] == "success"
        process.wait(60)
    with started(models, "--no-ui", OHLCV_TA_CACHE=str(tmp_path / "cache")) as (url, process):
        again = httpx.post(f"{url}/api/v1/analyze", json={"pair": "eth_usdt"}, timeout=60)
        assert again.headers["X-Cache"] == "hit" # what was computed is still known
        assert wait_for(f"{url}/health", process).status_code == 200


def test_bandit_finds_nothing_above_low_severity():
    "Of low severity are calls of programs without a shell, and random numbers for pauses."
    command = [sys.executable, "-m", "bandit", "-q", "-r", str(ROOT / "ohlcv_ta"), "-ll", "-f", "json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    assert found["results"] == []
    assert found["metrics"]["_totals"]["loc"] > 1000
