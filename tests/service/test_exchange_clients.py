"fetch_yahoo and fetch_ccxt with a local server that fails in many ways."

import time
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from support.yahoo import Service, yahoo_answers

from ohlcv_ta.data import SourceError, fetch_ccxt, fetch_yahoo

HOUR = 3_600_000


@pytest.fixture
def service():
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


TOO_MANY = (429, {"Retry-After": 1}, {"error": "too many requests"})
BROKEN = (500, {}, b"<html>oops</html>")


def kraken_answers(path, query, page=720, now=lambda: int(time.time())):
    if path.endswith("AssetPairs"):
        pair = {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD", "pair_decimals": 1,
                "lot_decimals": 8, "fees": [[0, 0.26]], "fees_maker": [[0, 0.16]], "ordermin": "0.0001",
                "status": "online", "aclass_base": "currency", "aclass_quote": "currency", "leverage_buy": [],
                "leverage_sell": []}
        return 200, {}, {"error": [], "result": {"XXBTZUSD": pair}}
    if path.endswith("Assets"):
        assets = {name: {"altname": alt, "decimals": 8, "display_decimals": 5, "status": "enabled"}
                  for name, alt in [("XXBT", "XBT"), ("ZUSD", "USD")]}
        return 200, {}, {"error": [], "result": assets}
    since = int(query.get("since", ["0"])[0])
    first = -(-(since + 1) // 3600) * 3600
    bars = [[t, "10.0", "12.0", "9.0", "11.0", "10.5", str(t % 7 + 1), 3] for t in range(first, now() + 1, 3600)][:page]
    return 200, {}, {"error": [], "result": {"XXBTZUSD": bars, "last": 0}}


@pytest.fixture
def kraken(service):
    ccxt = pytest.importorskip("ccxt")
    service.answer = kraken_answers
    exchange = ccxt.kraken({"enableRateLimit": False, "timeout": 700})
    exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], service.url)
    return exchange


def test_an_exchange_is_read_page_by_page(kraken, service):
    service.answer = lambda path, query: kraken_answers(path, query, page=40)
    frame = fetch_ccxt(kraken, "BTC/USD", "1h", limit=100)
    assert len(frame) == 100 and len(service.asked) >= 3
    assert (np.diff(frame.index) == pd.Timedelta(hours=1)).all()
    assert frame.index[-1] + pd.Timedelta(hours=1) <= pd.Timestamp.now("UTC")


def test_the_unfinished_candle_is_dropped_or_marked(kraken):
    marked = fetch_ccxt(kraken, "BTC/USD", "1h", limit=5, unfinished="mark")
    assert marked.Finished.tolist() == [1, 1, 1, 1, 0]
    frame = fetch_ccxt(kraken, "BTC/USD", "1h", limit=5)
    assert len(frame) == 5 and frame.index[-1] == marked.index[-2]


def test_retry_after_is_kept(kraken, service):
    service.faults = [TOO_MANY]
    assert len(fetch_ccxt(kraken, "BTC/USD", limit=5, wait=0.01)) == 5
    assert service.asked[1][0] - service.asked[0][0] >= 1


@pytest.mark.parametrize("fault", [BROKEN, "sleep"])
def test_failures_are_retried(kraken, service, fault):
    service.faults = [fault, fault]
    assert len(fetch_ccxt(kraken, "BTC/USD", limit=5, wait=0.01)) == 5
    service.faults = [fault] * 9
    with pytest.raises(SourceError, match=r"kraken does not answer .* 2 times. See whether"):
        fetch_ccxt(kraken, "BTC/USD", limit=5, tries=2, wait=0.01)


def test_an_exchange_without_bars(kraken, service):
    service.answer = lambda path, query: kraken_answers(path, query, page=0)
    with pytest.raises(SourceError, match="gives no 1h bars"):
        fetch_ccxt(kraken, "BTC/USD")
    with pytest.raises(SourceError, match="Near it: BTC/USD"):
        fetch_ccxt(kraken, "BTC/USDX")
    with pytest.raises(SourceError, match="has no 7m bars"):
        fetch_ccxt(kraken, "BTC/USD", "7m")
    service.faults = [(429, {"Retry-After": 3600}, {})]
    with pytest.raises(SourceError, match="asks to wait 3600 seconds"):
        fetch_ccxt(kraken, "BTC/USD")


@pytest.fixture
def yahoo(service, tmp_path):
    "A session that sends all requests for Yahoo to the local server; yfinance itself is unchanged."
    yfinance = pytest.importorskip("yfinance")
    requests = pytest.importorskip("requests")
    yfinance.set_tz_cache_location(str(tmp_path / "zones"))

    class Loopback(requests.adapters.HTTPAdapter):
        def send(self, request, **options):
            request.url = service.url + urlparse(request.url)._replace(scheme="", netloc="").geturl()
            return super().send(request, **options)

    session = requests.Session()
    session.mount("https://", Loopback())
    service.answer = yahoo_answers

    def ask(**options):
        yfinance.data.YfData.cache_get.cache_clear() # yfinance keeps answers in memory
        settings = {"start": "2024-05-01", "end": "2024-05-02", "cache": tmp_path / "cache", "wait": 0.01, "tries": 3}
        return fetch_yahoo("TEST", "1h", session=session, **{**settings, **options})
    return ask


def test_yahoo_bars_are_in_utc_and_cached(yahoo, service):
    frame = yahoo()
    assert str(frame.index[0]) == "2024-05-01 13:30:00+00:00" and len(frame) == 5
    asked = len(service.asked)
    assert yahoo().equals(frame) and len(service.asked) == asked
    assert yahoo(cache=False).equals(frame) and len(service.asked) > asked


def test_yahoo_under_load_is_retried(yahoo, service):
    yahoo(cache=False)
    service.faults = [(429, {}, b"Too Many Requests")]
    assert len(yahoo(cache=False)) == 5
    service.faults = [(429, {}, b"Too Many Requests")] * 20
    with pytest.raises(SourceError, match="Yahoo Finance answers 429, too many requests, 3 times"):
        yahoo(cache=False)


def test_yahoo_without_an_answer(yahoo, service):
    yahoo(cache=False)
    service.faults = ["sleep"] * 20
    with pytest.raises(SourceError, match=r"Yahoo Finance does not answer .* 2 times.*online"):
        yahoo(cache=False, timeout=0.3, tries=2)
    service.faults = []
    service.answer = lambda path, query: yahoo_answers(path, query, bars=0)
    with pytest.raises(SourceError, match="Yahoo Finance has no bars"):
        yahoo(cache=False)
    service.server.shutdown()
    service.server.server_close()
    with pytest.raises(SourceError, match="Yahoo Finance does not answer"):
        yahoo(cache=False, tries=2, timeout=1)


def test_a_cached_answer_is_complete_or_absent(yahoo, service, tmp_path):
    service.answer = lambda path, query: yahoo_answers(path, query, bars=0)
    with pytest.raises(SourceError):
        yahoo()
    assert not list((tmp_path / "cache").glob("*"))
