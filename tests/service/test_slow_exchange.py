"An exchange that drips, floods or hangs: an analysis fails in time, in little memory, and holds nobody else."

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import httpx
import pytest
from lbank import ENDLESS, LBank, open_lbank, packed
from service import running, started

from ohlcv_ta.data.exchanges import TIMEFRAMES, Yahoo, open_source
from ohlcv_ta.data.sources import SourceError
from ohlcv_ta.serving.api import create_app
from ohlcv_ta.serving.settings import Settings

pytest.importorskip("ccxt")
TIMEOUT, LATER, MEMORY = 2.0, 1.0, 100 # seconds, seconds, MB
ANSWERS = {"dripped": "LBank does not answer within 2 s", "silence": "LBank does not answer within 2 s",
           "flood of headers": "LBank does not answer within 2 s|LBank does not answer", "nested": "LBank",
           "flood of values": "LBank sends more than 419,430 values", "": "LBank sends more than 16 MB"}


def words(mood):
    return next(said for begin, said in ANSWERS.items() if mood.startswith(begin))


def peak(process):
    "The most memory since `forget_peak` (MB)."
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def forget_peak(process):
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return process.memory_info().rss / 2**20


def analyze(client, limit, **asked):
    began = time.monotonic()
    answer = client.post("/api/v1/analyze", json={"pair": "eth_usdt", "timeframe": "hour1", "limit": limit, **asked})
    return answer, time.monotonic() - began


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    "The service as a process of its own, and the exchange that it asks."
    packed()
    lbank, folder = LBank(), tmp_path_factory.mktemp("service")
    with (open_lbank(lbank) as address,
          started(folder / "none", "--no-ui", OHLCV_TA_CACHE=str(folder), OHLCV_TA_SOURCE="lbank", OHLCV_TA_SOURCE_URL=address,
                  OHLCV_TA_SOURCE_TIMEOUT="60", OHLCV_TA_SOURCE_WAIT="0.2") as (url, _),
          httpx.Client(base_url=url, timeout=120) as client):
        assert analyze(client, 100)[0].status_code == 200
    with (open_lbank(lbank) as address,
          started(folder / "none", "--no-ui", OHLCV_TA_CACHE=str(folder), OHLCV_TA_SOURCE="lbank", OHLCV_TA_SOURCE_URL=address,
                  OHLCV_TA_SOURCE_TIMEOUT=str(TIMEOUT), OHLCV_TA_SOURCE_WAIT="0.2") as (url, process),
          httpx.Client(base_url=url, timeout=120) as client):
        while (answer := analyze(client, 100)[0]).status_code != 200: time.sleep(0.5)
        assert answer.json()["source"] == "lbank"
        yield client, process, lbank


@pytest.mark.parametrize("mood", ENDLESS)
def test_an_analysis_fails_in_time_and_in_little_memory(service, mood):
    client, process, lbank = service
    before = forget_peak(process)
    lbank.next.extend([mood] * 10)
    try: answer, seconds = analyze(client, 200 + [*ENDLESS].index(mood))
    finally: lbank.next.clear()
    assert answer.status_code == 503 and httpx.codes(answer.status_code), answer.text
    assert "Retry-After" in answer.headers and "replay" in answer.json()["message"]
    assert any(part in answer.json()["message"] for part in words(mood).split("|")), answer.json()["message"]
    assert seconds < TIMEOUT + LATER
    assert peak(process) - before < MEMORY
    assert analyze(client, 300 + [*ENDLESS].index(mood))[0].status_code == 200 # the next one is fine
