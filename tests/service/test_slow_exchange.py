"An exchange that drips, floods or hangs: an analysis fails in time, in little memory, and delays no other."

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlparse

import httpx
import pytest
from support.lbank import ENDLESS, LBank, open_lbank, packed
from support.server import running, started

from ohlcv_ta.data.exchanges.base import TIMEFRAMES
from ohlcv_ta.data.exchanges.registry import open_market_source
from ohlcv_ta.data.exchanges.retry import SourceError
from ohlcv_ta.data.exchanges.yahoo import YahooSource
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.settings import Settings

pytest.importorskip("ccxt")
TIMEOUT, LATER, MEMORY = 2.0, 1.0, 100 # seconds, seconds, MB
IN_TIME, SMALL = "LBank does not answer within 2 s", "LBank sends more than 8 MB"
MESSAGES = {"flood": SMALL, "flood without length": SMALL, "compressed flood": SMALL, "twice compressed flood": SMALL,
            "flood of small chunks": f"{SMALL}|{IN_TIME}", "flood of values": "LBank sends more than 100,000 values",
            "flood of headers": "LBank does not answer", "nested values": "LBank",
            "wide text": "LBank", "many strings": "LBank"} # the others: IN_TIME


def peak(process):
    "Return the peak of memory since `forget_peak` (MB)."
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
    "The service in its own process, and the exchange that it uses."
    packed()
    lbank, folder = LBank(), tmp_path_factory.mktemp("service")
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
    assert answer.status_code == 503 and "Retry-After" in answer.headers, answer.text
    assert re.match(MESSAGES.get(mood, IN_TIME), answer.json()["message"]), answer.json()["message"]
    assert seconds < TIMEOUT + LATER
    assert peak(process) - before < MEMORY
    assert analyze(client, 300 + [*ENDLESS].index(mood))[0].status_code == 200 # the next one is fine


@pytest.mark.parametrize("mood", ENDLESS)
def test_the_first_request_is_limited_like_the_others(mood):
    lbank = LBank()
    lbank.next.extend([mood] * 10)
    packed()
    with open_lbank(lbank) as address: assert refused(address).startswith("LBank")


@contextmanager
def listening(behave, backlog=16):
    "Yield the port of a server of plain sockets."
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        if behave: threading.Thread(target=accepting, args=(server, behave), daemon=True).start()
        yield server.getsockname()[1]


def accepting(server, behave):
    with suppress(OSError):
        while True: threading.Thread(target=behave, args=(server.accept()[0],), daemon=True).start()


def drip_a_handshake(connection):
    "A record of TLS of 16 KB, a byte at a time."
    with suppress(OSError), connection:
        connection.recv(1024)
        connection.sendall(b"\x16\x03\x03\x40\x00\x02")
        while True: time.sleep(0.1 * connection.send(b"a"))


def redirect_forever(connection):
    "An answer that sends to itself, with a body below the limit each time."
    with suppress(OSError), connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 1048576\r\n\r\n" + b" " * 2**20)


def refused(address, seconds=1.0):
    "Return the error of a source at an address, after a check that it came in time."
    source = open_market_source("lbank", address, timeout=seconds, wait=0.1, total=seconds)
    with source.open_request(): began = time.monotonic() # ccxt is imported
    with pytest.raises(SourceError) as error: source.bars("eth_usdt")
    assert time.monotonic() - began < seconds + LATER
    return str(error.value)


def test_a_handshake_that_drips():
    with listening(drip_a_handshake) as port:
        assert "LBank does not answer within 1 s" in refused(f"https://127.0.0.1:{port}")


def test_redirects_share_one_budget():
    with listening(redirect_forever) as port: assert "LBank" in refused(f"http://127.0.0.1:{port}", 5.0)


def test_a_connection_that_is_never_accepted():
    with listening(None, backlog=0) as port, ExitStack() as stack:
        for _ in range(4): # fill the queue of the kernel
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        assert "LBank does not answer within 1 s" in refused(f"http://127.0.0.1:{port}")


def test_retries_and_pauses_count():
    lbank = LBank(moods={"broken": 1})
    with open_lbank(lbank) as address:
        source = open_market_source("lbank", address, timeout=5.0, tries=10, wait=0.4, total=1.5)
        with source.open_request(): began = time.monotonic()
        with pytest.raises(SourceError, match=r"LBank does not answer within 1.5 s \(last failure: answers 503\)"):
            source.bars("eth_usdt")
    assert time.monotonic() - began < 1.5 and 2 <= source.counts["requests"] < 10


def test_no_thread_remains():
    lbank = LBank(moods={"dripped headers": 1})
    before = threading.active_count()
    with open_lbank(lbank) as address:
        for _ in range(5): refused(address, 0.2)
    until = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < until: time.sleep(0.05)
    assert threading.active_count() <= before


def hung_service(tmp_path, address, **more):
    settings = {"source": "lbank", "source_url": address, "source_wait": 0.01, "source_timeout": 5.0, **more}
    return running(create_app({}, Settings(cache=tmp_path, **settings)))


def test_a_hung_exchange_does_not_delay_the_replay(tmp_path):
    with (open_lbank(LBank(moods={"silence": 1})) as address, hung_service(tmp_path, address) as url,
          httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(30) as pool):
        assert analyze(client, 50, source="replay")[0].status_code == 200 # what is imported is imported
        hung = [pool.submit(analyze, client, 100 + k) for k in range(30)]
        time.sleep(0.5)
        replayed = analyze(client, 60, source="replay")[0]
        assert replayed.status_code == 200 and not any(one.done() for one in hung)
        assert {one.result()[0].status_code for one in hung} == {503}


def test_equal_requests_share_one_call(tmp_path):
    lbank = LBank(slow=1.0)
    with (open_lbank(lbank) as address, hung_service(tmp_path, address, source_timeout=30.0) as url,
          httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(20) as pool):
        assert analyze(client, 50)[0].status_code == 200
        asked = lbank.counts["/v2/kline.do"]
        lbank.next.append("slow")
        answers = [answer for answer, _ in pool.map(lambda _: analyze(client, 120), range(20))]
    assert lbank.counts["/v2/kline.do"] - asked == 1
    assert {answer.status_code for answer in answers} == {200} and len({answer.content for answer in answers}) == 1


def test_yahoo_is_abandoned_in_time(tmp_path):
    yfinance, requests = pytest.importorskip("yfinance"), pytest.importorskip("requests")
    yfinance.set_tz_cache_location(str(tmp_path))
    with open_lbank(LBank(moods={"dripped body": 1})) as address:
        class Loopback(requests.adapters.HTTPAdapter):
            def send(self, request, **options):
                request.url = address + urlparse(request.url)._replace(scheme="", netloc="").geturl()
                return super().send(request, **options)

        session = requests.Session()
        session.mount("https://", Loopback())
        began = time.monotonic()
        with pytest.raises(SourceError, match="Yahoo Finance does not answer within 1 s"):
            YahooSource(timeout=30.0, session=session, total=1.0).bars("btc_usdt")
        assert time.monotonic() - began < 1 + LATER


# The replay, which has what it has


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    with (running(create_app({}, Settings(cache=tmp_path_factory.mktemp("cache")))) as url,
          httpx.Client(base_url=url, timeout=120) as client):
        yield client


@pytest.mark.parametrize("timeframe", [name for name in TIMEFRAMES if name not in ("minute1", "minute5", "minute15")])
def test_the_replay_with_the_largest_limit(replay, timeframe):
    answer = analyze(replay, 2000, timeframe=timeframe)[0]
    assert answer.status_code == 200, answer.text
    said = answer.json()
    count = int(re.search(r"the last ([\d,]+) bars", said["analysis"])[1].replace(",", ""))
    assert count == {"day1": 730, "week1": 105, "month1": 24, "hour12": 1460}.get(timeframe, 2000), said["analysis"][:300]


@pytest.mark.parametrize("timeframe", ["minute1", "minute5", "minute15"])
def test_the_error_for_short_bars_names_other_sources(replay, timeframe):
    answer = analyze(replay, 200, timeframe=timeframe)[0]
    assert answer.status_code == 400
    message = answer.json()["message"]
    for part in (f"replay cannot make {timeframe} bars of ETH-USD", "30m", "lbank, binance, yahoo", "spy", "minute30"):
        assert part in message


def test_analyses_of_few_bars(replay):
    for timeframe, limits in {"day1": [1, 2, 3, 9, 14, 15, 20, 21, 26, 34, 50, 51, 60], "month1": [1, 2, 14, 24]}.items():
        for limit in limits:
            answer = analyze(replay, limit, timeframe=timeframe)[0]
            assert answer.status_code == 200, (timeframe, limit, answer.text)
