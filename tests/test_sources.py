"Files that are wrong in every usual way, and services that misbehave: a local server plays Yahoo and an exchange."

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pandas as pd
import pytest

from ohlcv_ta.data import SourceError, from_ccxt, from_yahoo, random_walk, read, read_annotated
from ohlcv_ta.data.frame import FrameError

GOOD = """time,Open,High,Low,Close,Volume
2024-05-01 10:00:00+00:00,10,12,9,11,100
2024-05-01 11:00:00+00:00,11,13,10,12,110
2024-05-01 12:00:00+00:00,12,14,11,13,120
"""


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


BAD = { # what: content, line, column, words
    "missing column": ("\n".join(line.rsplit(",", 1)[0] for line in GOOD.splitlines()), None, "Volume", "missing"),
    "no time": (GOOD.replace("time,", "when,"), None, "time", "no column holds the time"),
    "text in a number": (changed("11,13,10,12,110", "11,13,10,twelve,110"), 3, "Close", "'twelve' is not a number"),
    "no value": (changed("11,13,10,12,110", "11,13,10,,110"), 3, "Close", "missing or infinite"),
    "infinite": (changed("11,13,10,12,110", "11,inf,10,12,110"), 3, "High", "missing or infinite"),
    "high below low": (changed("12,14,11,13", "12,10,11,13"), 4, "High", "high 10.0 is below low 11.0"),
    "low above close": (changed("12,14,11,13", "12,14,12.5,13"), 4, "Low", "low 12.5 is above open 12.0"),
    "negative volume": (changed(",110", ",-110"), 3, "Volume", "volume -110.0 is negative"),
    "duplicate time": (changed("11:00", "10:00"), 3, "time", "repeats"),
    "unsorted time": (changed("12:00:00", "09:00:00"), 4, "time", "goes back"),
    "unreadable time": (changed("2024-05-01 11:00:00+00:00", "yesterday"), 3, "time", "some do not"),
    "times in words": (GOOD.replace("2024-05-01", "May first").replace(":00:00+00:00", " o'clock"), 2, "time",
                       "unreadable"),
    "impossible time": (changed("05-01 11:", "13-01 11:"), 3, "time", "unreadable"),
    "no time zone": (GOOD.replace("+00:00", ""), 2, "time", "no time zone"),
    "mixed time zones": (changed("11:00:00+00:00", "19:00:00+08:00"), 3, "time", "mixed"),
    "a zone only sometimes": (changed("11:00:00+00:00", "11:00:00"), 3, "time", "some do not"),
    "empty": ("", None, None, "the file is empty"),
    "only a header": (GOOD.splitlines()[0] + "\n", None, None, "no bars"),
    "a line too long": (changed("11,13,10,12,110", "11,13,10,12,110,7"), 3, None, "more values"),
    "latin-1": (changed("2024-05-01 12", "caf\xe9").encode("latin-1"), 4, None, "not in UTF-8"),
    "utf-16": (GOOD.encode("utf-16"), 1, None, "not in UTF-8"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_with_what_to_do(tmp_path, kind):
    content, line, column, words = BAD[kind]
    path = tmp_path / "prices.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FrameError) as caught:
        read(path)
    error = caught.value
    assert (error.source, error.row, error.column) == ("prices.csv", line, column), error
    assert words in str(error) and error.remedy and str(error).endswith(".")
    assert line is None or f"prices.csv, line {line}" in str(error)


def test_lines_are_those_of_a_text_editor(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("https://example.org\n\n" + changed(",110", ",-1").replace("\n2024-05-01 11", "\n\n2024-05-01 11"))
    with pytest.raises(FrameError) as caught:
        read(path)
    assert path.read_text().splitlines()[caught.value.row - 1].endswith(",-1")


@pytest.mark.parametrize("content", [
    GOOD, GOOD.replace(",", ";"), GOOD.replace(",", "\t"), "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n",
    GOOD.replace("time,Open,High,Low,Close,Volume", "Date,BTC.open,BTC.high,BTC.low,BTC.close,BTC.volume"),
    GOOD.replace("time,Open,High,Low,Close,Volume", "t,O,H,L,C,V"), GOOD.replace("time", "").replace("+00:00", "Z")])
def test_the_same_bars_in_many_spellings(tmp_path, content):
    (tmp_path / "prices.txt").write_bytes(content.encode())
    frame = read(tmp_path / "prices.txt")
    assert frame.Close.tolist() == [11, 12, 13] and str(frame.index[0]) == "2024-05-01 10:00:00+00:00"


WRITERS = {
    "a.csv": lambda f, p: f.to_csv(p), "b.parquet": lambda f, p: f.to_parquet(p),
    "c.json": lambda f, p: f.reset_index().to_json(p, orient="records", double_precision=15, date_format="iso"),
    "d.json": lambda f, p: f.to_json(p, double_precision=15, date_format="iso"),
    "e.json": lambda f, p: f.to_json(p, orient="split", double_precision=15, date_format="iso"),
    "f.jsonl": lambda f, p: f.reset_index().to_json(p, orient="records", lines=True, double_precision=15,
                                                    date_format="iso"),
    "g.json": lambda f, p: p.write_text(json.dumps([[int(t.timestamp() * 1000), *row] for t, *row in f.itertuples()])),
    "h": lambda f, p: f.reset_index().to_parquet(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_round_trip(tmp_path, name):
    frame = random_walk(50).round(6)
    WRITERS[name](frame, tmp_path / name)
    back = read(tmp_path / name)
    pd.testing.assert_frame_equal(back, frame, check_freq=False, check_index_type=False)


def test_naive_times_are_read_in_the_zone_that_is_named(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD.replace("+00:00", ""))
    assert read(tmp_path / "a.csv", tz="America/New_York").index[0] == pd.Timestamp("2024-05-01 14:00", tz="UTC")
    with pytest.raises(FrameError, match="is not a time zone"):
        read(tmp_path / "a.csv", tz="Mars/Olympus")


def test_repairs_are_told(tmp_path):
    (tmp_path / "a.csv").write_text(changed("12,14,11,13", "12,10,11,13").replace(",110", ",-110"))
    with pytest.warns(UserWarning, match=r"a\.csv was repaired: negative volume set to 0 \(1\); high raised"):
        frame = read(tmp_path / "a.csv", repair=True)
    assert frame.Volume.tolist() == [100, 0, 120] and frame.High.iloc[2] == 13
    assert [r["count"] for r in frame.attrs["repairs"]] == [1, 1]


@pytest.mark.parametrize("cut", [100, 2000, -1])
def test_a_truncated_parquet(tmp_path, cut):
    random_walk(500).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:cut])
    with pytest.raises(FrameError, match=r"a\.parquet: the parquet file cannot be read, it may be truncated"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(("content", "words"), [
    ('[{"time": 1714557600, "open": 1', "line 1: this is not JSON"), ("[]", "no column holds the time"),
    ('{"a": 1}', "this JSON is not a table"), ('"text"', "this JSON is not a table"), ("[1, 2]", "no column"),
    ('[{"time": 1714557600, "o": 1, "h": 0.5, "l": 0.7, "c": 1, "v": 1}]', "row 0, column h: high 0.5 is below")])
def test_bad_json(tmp_path, content, words):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(FrameError, match=words):
        read(tmp_path / "a.json")


def chart(**labels):
    bar = {"open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}
    return {"ohlcv_data": [bar | {"time": f"2030-01-01T{h:02}:00:00+00:00"} for h in range(5)], "labels": labels}


def test_annotated_charts(tmp_path):
    ray = {"start_date": "2030-01-01T00:00:00+00:00", "start_price": 9, "end_date": "2030-01-01T03:00:00+00:00",
           "end_price": 12}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(chart(horizontal_lines=[{"price": 11.5}, {"price": 9}], ray_lines=[ray])))
    frame, levels, rays = read_annotated(path)
    assert len(frame) == 5 and levels.tolist() == [11.5, 9] and rays.end_price.tolist() == [12]
    assert rays.start[0] == frame.index[0] and str(rays.start.dtype) == "datetime64[us, UTC]"
    path.write_text(json.dumps(chart(ray_lines=[])))
    assert [len(part) for part in read_annotated(path)] == [5, 0, 0]
    path.write_text(json.dumps(chart(ray_lines=[{"start_date": "2030-01-01"}])))
    with pytest.raises(FrameError, match="column labels"):
        read_annotated(path)


def test_importing_brings_nothing_heavy():
    heavy = ["yfinance", "ccxt", "torch", "sklearn", "matplotlib"]
    code = f"import sys, ohlcv_ta.data; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


# ---- services

HOUR = 3_600_000


class Service:
    "A server on loopback that behaves as it is told, answer by answer, and counts."
    def __init__(self):
        self.faults, self.asked, self.answer = [], [], lambda path, query: (200, {}, {})
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                url = urlparse(self.path)
                status, headers, body = service.respond(url.path, parse_qs(url.query))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    for item in {"Content-Type": "application/json", "Content-Length": len(content), **headers}.items():
                        self.send_header(*map(str, item))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass # the client gave up, as it should

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def respond(self, path, query):
        counted = "chart" in path or "OHLC" in path
        if counted:
            self.asked.append((time.monotonic(), query))
        if counted and self.faults:
            fault = self.faults.pop(0)
            if fault == "sleep":
                time.sleep(2)
                return 200, {}, {}
            return fault
        return self.answer(path, query)


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
    frame = from_ccxt(kraken, "BTC/USD", "1h", limit=100)
    assert len(frame) == 100 and len(service.asked) >= 3
    assert (np.diff(frame.index) == pd.Timedelta(hours=1)).all()
    assert frame.index[-1] + pd.Timedelta(hours=1) <= pd.Timestamp.now("UTC")


def test_the_unfinished_candle_is_dropped_or_marked(kraken):
    marked = from_ccxt(kraken, "BTC/USD", "1h", limit=5, unfinished="mark")
    assert marked.Finished.tolist() == [1, 1, 1, 1, 0]
    frame = from_ccxt(kraken, "BTC/USD", "1h", limit=5)
    assert len(frame) == 5 and frame.index[-1] == marked.index[-2]


def test_an_exchange_that_asks_for_a_pause_gets_it(kraken, service):
    service.faults = [TOO_MANY]
    assert len(from_ccxt(kraken, "BTC/USD", limit=5, wait=0.01)) == 5
    assert service.asked[1][0] - service.asked[0][0] >= 1


@pytest.mark.parametrize("fault", [BROKEN, "sleep"])
def test_an_exchange_that_fails_is_asked_again(kraken, service, fault):
    service.faults = [fault, fault]
    assert len(from_ccxt(kraken, "BTC/USD", limit=5, wait=0.01)) == 5
    service.faults = [fault] * 9
    with pytest.raises(SourceError, match=r"kraken does not answer .* 2 times. See whether"):
        from_ccxt(kraken, "BTC/USD", limit=5, tries=2, wait=0.01)


def test_an_exchange_with_nothing_to_say(kraken, service):
    service.answer = lambda path, query: kraken_answers(path, query, page=0)
    with pytest.raises(SourceError, match="gives no 1h bars"):
        from_ccxt(kraken, "BTC/USD")
    with pytest.raises(SourceError, match="Near it: BTC/USD"):
        from_ccxt(kraken, "BTC/USDX")
    with pytest.raises(SourceError, match="has no 7m bars"):
        from_ccxt(kraken, "BTC/USD", "7m")
    service.faults = [(429, {"Retry-After": 3600}, {})]
    with pytest.raises(SourceError, match="asks to wait 3600 seconds"):
        from_ccxt(kraken, "BTC/USD")


def yahoo_answers(path, query, bars=5, first=1714570200):
    if "chart" not in path:
        return 200, {}, b"crumb"
    stamps = [first + 3600 * i for i in range(bars)]
    meta = {"currency": "USD", "symbol": "TEST", "exchangeTimezoneName": "America/New_York", "timezone": "EDT",
            "gmtoffset": -14400, "instrumentType": "EQUITY", "priceHint": 2, "dataGranularity": "1h",
            "validRanges": ["1d", "max"], "regularMarketPrice": 11, "firstTradeDate": 0, "hasPrePostMarketData": False,
            "exchangeName": "NMS", "fullExchangeName": "NasdaqGS", "regularMarketTime": stamps[-1] if stamps else 0,
            "currentTradingPeriod": {k: {"start": 0, "end": 1, "gmtoffset": 0, "timezone": "EDT"}
                                     for k in ("pre", "regular", "post")},
            "tradingPeriods": [[{"timezone": "EDT", "start": first, "end": first + 23400, "gmtoffset": -14400}]]}
    quote = {"open": [10.0] * bars, "high": [12.0] * bars, "low": [9.0] * bars, "close": [11.0] * bars,
             "volume": [100] * bars}
    indicators = {"quote": [quote], "adjclose": [{"adjclose": [11.0] * bars}]}
    result = {"meta": meta, "timestamp": stamps, "indicators": indicators}
    return 200, {}, {"chart": {"result": [result], "error": None}}


@pytest.fixture
def yahoo(service, tmp_path):
    "A session that takes every request for Yahoo to the local server: the whole of yfinance runs, unchanged."
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
        return from_yahoo("TEST", "1h", session=session, **{**settings, **options})
    return ask


def test_yahoo_answers_in_utc_and_is_asked_once(yahoo, service):
    frame = yahoo()
    assert str(frame.index[0]) == "2024-05-01 13:30:00+00:00" and len(frame) == 5
    asked = len(service.asked)
    assert yahoo().equals(frame) and len(service.asked) == asked
    assert yahoo(cache=False).equals(frame) and len(service.asked) > asked


def test_yahoo_under_load_is_asked_again(yahoo, service):
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


def test_a_cached_answer_is_whole_or_absent(yahoo, service, tmp_path):
    service.answer = lambda path, query: yahoo_answers(path, query, bars=0)
    with pytest.raises(SourceError):
        yahoo()
    assert not list((tmp_path / "cache").glob("*"))
