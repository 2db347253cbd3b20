"""LBank on loopback: its REST protocol over a known history, on a clock of its own, with random faults.

Days, weeks and months begin at midnight of UTC+8, and an answer begins with the bar into which the asked moment falls, as
those of the real one do.
"""

import json
import math
import random
import socket
import threading
import time
import zlib
from collections import Counter, deque
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from weakref import WeakSet

import numpy as np
import pandas as pd

from ohlcv_ta.data.exchanges.base import TIMEFRAMES
from ohlcv_ta.data.exchanges.request_limits import MAX_MEGABYTES
from ohlcv_ta.data.frame import bar_length
from support.binance import dealt, history

PAIRS = {"btc_usdt": 9e8, "eth_usdt": 5e8, "eth_btc": 8e8, "doge_usdt": 1e8, "btc_usd": 7e8, "young_usdt": 5e6,
         "thin_usdt": 1e4} # and the money traded in 24 hours
GOOD = {"good": 1}
THIRD = {"good": 12, "busy": 1, "busy in words": 1, "broken": 1, "slow": 1, "half an answer": 1, "nonsense": 1}
FLOOD = 300 * 2**20 # bytes
ENDLESS = {} # mood -> what is sent in the place of an answer, see `endless`
TAILS = {"growing": 3, "missing": 1, "late": 1} # the newest bar is there, or it is not, or the one before is not either
PAST, AHEAD, OLDEST = 2600, 300, pd.Timestamp("1975-01-01", tz="UTC") # bars before and after the start of the clock
EAST = pd.Timedelta(hours=8)


class LBank:
    "The exchange: its data, its behavior, and the requests that it received."
    def __init__(
        self,
        pairs=PAIRS,
        moods=GOOD, # how often it behaves how
        tails=GOOD, # the same for the newest bar of an answer; good: it is there, and grows
        page=2000, # bars in one answer
        ahead=0.0, # seconds by which its clock differs from this machine's
        rest=0.05, # seconds that it asks to wait when busy
        slow=1.0, # seconds that it takes when slow
        seed=0,
    ):
        dice = random.Random(seed)
        self.pairs, self.page, self.ahead, self.rest, self.slow = dict(pairs), page, ahead, rest, slow
        self.zero, self.lock, self.closed, self.next = time.time() + ahead, threading.Lock(), -math.inf, deque()
        self.begun = time.monotonic()
        self.moods, self.tails, self.counts, self.heard = dealt(moods, dice), dealt(tails, dice), Counter(), []
        self.starts, self.frame, self.over, self.rows = map(cache, (self.starts, self.frame, self.over, self.rows))

    def now(self): # seconds
        return self.zero + time.monotonic() - self.begun

    def clock(self):
        return pd.Timestamp(self.now(), unit="s", tz="UTC")

    def starts(self, timeframe):
        "When the bars of a timeframe begin, and one after them."
        begun = pd.Timestamp(self.zero, unit="s", tz="UTC")
        if timeframe == "month1":
            months = pd.date_range(OLDEST, begun + pd.Timedelta(days=9000), freq="MS")
            return (months - EAST).as_unit("us")
        length = bar_length(TIMEFRAMES[timeframe])
        monday = pd.Timestamp("1970-01-05", tz="UTC") - EAST
        last = monday + (begun - monday) // length * length
        first = max(last - PAST * length, OLDEST)
        return pd.date_range(last - (last - first) // length * length, periods=int((last - first) / length) + AHEAD,
                             freq=length, unit="us")

    def frame(self, pair, timeframe):
        "All bars that there ever will be."
        starts, seed = self.starts(timeframe), zlib.crc32(f"{pair} {timeframe}".encode())
        bars = history(len(starts) - 1, seed).set_axis(starts[:-1].rename("time"))
        if pair == "young_usdt": return bars.iloc[int((bars.index <= pd.Timestamp(self.zero, unit="s", tz="UTC")).sum()) - 21:]
        if pair == "thin_usdt": return bars[np.random.default_rng(seed).random(len(bars)) < 0.6]
        return bars

    def over(self, pair, timeframe):
        "When each of them is over."
        starts = self.starts(timeframe)
        return starts[starts.searchsorted(self.frame(pair, timeframe).index) + 1]

    def rows(self, pair, timeframe):
        "The same as numbers: beginnings and ends in seconds, prices and volume."
        frame, over = self.frame(pair, timeframe), self.over(pair, timeframe)
        return frame.index.as_unit("s").asi8, over.as_unit("s").asi8, frame.to_numpy(float).tolist()

    def klines(self, pair, timeframe, since, size):
        (starts, over, bars), now = self.rows(pair, timeframe), self.now()
        first = max(int(starts.searchsorted(since, "right")) - 1, 0)
        last = int(starts.searchsorted(now, "right"))
        last -= {"missing": 1, "late": 2}.get(self.mood(self.tails), 0)
        return [[int(starts[k]), *told(bars[k], (now - starts[k]) / (over[k] - starts[k]))]
                for k in range(first, min(first + min(size, self.page), last))]

    def mood(self, names):
        with self.lock:
            name = next(names)
            self.counts[name] += 1
        return name

    def answer(self, path, query):
        "What it says to a question: status, body, and the mood it is in."
        with self.lock:
            self.counts[path] += 1
            self.counts["impatient"] += time.monotonic() < self.closed
            mood = self.next.popleft() if self.next else next(self.moods)
            self.counts[mood] += 1
            if mood == "busy": self.closed = time.monotonic() + self.rest
        if mood == "busy": return 429, failure(10004), mood
        if mood == "broken": return 503, failure(10017), mood
        if mood == "forbidden": return 403, failure(10022), mood
        if mood == "busy in words": return 200, failure(10004), mood
        if mood == "slow": time.sleep(self.slow)
        return 200, self.said(path, query), mood

    def said(self, path, query):
        pair = query.get("symbol")
        if path == "/v2/timestamp.do": return success(int(1000 * self.now()))
        if path == "/v2/accuracy.do":
            return success([{"symbol": one, "quantityAccuracy": "4", "minTranQua": "0.0001", "priceAccuracy": "2"}
                            for one in self.pairs])
        if path == "/v2/currencyPairs.do": return success(list(self.pairs))
        if pair not in self.pairs and pair != "all": return failure(10008)
        if path == "/v2/ticker/24hr.do":
            return success([{"symbol": one, "timestamp": int(1000 * self.now()), "ticker": {
                "high": "2", "low": "1", "vol": "10", "change": "0.5", "latest": "1.5", "turnover": str(money)}}
                for one, money in self.pairs.items() if pair in ("all", one)])
        if path == "/v2/kline.do" and query["type"] in TIMEFRAMES and 1 <= int(query["size"]) <= 2000:
            return success(self.klines(pair, query["type"], int(query["time"]), int(query["size"])))
        return failure(10003)


def told(bar, share):
    "A bar as far as it has come."
    if share >= 1: return bar
    start, _, _, close, volume = bar
    close = round(start + share * (close - start), 2)
    return [start, max(start, close), min(start, close), close, round(share * volume, 4)]


def success(data): return {"result": "true", "data": data, "error_code": 0, "ts": int(1000 * time.time())}
def failure(code): return {"result": "false", "error_code": code, "ts": int(1000 * time.time())}


def endless(function):
    "A way to answer without end, or with far too much; named like a mood."
    ENDLESS[function.__name__.replace("_", " ")] = function
    return function


def head(*lines): return "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, "", ""]).encode()


def drops(closed):
    while not closed.wait(0.2): yield b" "


@endless
def dripped_body(closed):
    yield head(f"Content-Length: {FLOOD}")
    yield from drops(closed)


@endless
def dripped_chunks(closed):
    yield head("Transfer-Encoding: chunked")
    for drop in drops(closed): yield b"1\r\n" + drop + b"\r\n"


@endless
def dripped_headers(closed):
    yield head()[:-2] + b"X-More: "
    for _ in drops(closed): yield b"a"


@endless
def dripped_status(closed):
    yield b"HTTP/1.1 200 "
    for _ in drops(closed): yield b"O"


@endless
def silence(closed):
    closed.wait()
    yield b""


@endless
def flood(closed):
    yield head(f"Content-Length: {FLOOD}")
    for _ in range(FLOOD // 2**16): yield b" " * 2**16


@endless
def flood_without_length(closed):
    yield head("Connection: close")
    for _ in range(FLOOD // 2**16): yield b"[" * 2**16


@endless
def flood_of_small_chunks(closed):
    yield head("Transfer-Encoding: chunked")
    for _ in range(FLOOD // 2**16): yield b"2\r\n[]\r\n" * 2**13


@endless
def flood_of_headers(closed):
    yield head()[:-2]
    for _ in range(FLOOD // 2**16): yield b"X-More: " + b"a" * 2**16


@cache
def packed():
    "300 MB of blanks, compressed to 300 KB."
    gzip = zlib.compressobj(wbits=31)
    return b"".join([gzip.compress(b" " * 2**20) for _ in range(FLOOD // 2**20)]) + gzip.flush()


@endless
def compressed_flood(closed):
    yield head(f"Content-Length: {len(packed())}", "Content-Encoding: gzip") + packed()


@endless
def twice_compressed_flood(closed):
    content = zlib.compress(packed(), wbits=31)
    yield head(f"Content-Length: {len(content)}", "Content-Encoding: gzip, gzip") + content


@endless
def flood_of_values(closed):
    "7 MB of empty lists, which are 150 MB in memory."
    content = b"[" + b"[]," * (7 * 2**20 // 3) + b"[]]"
    yield head(f"Content-Length: {len(content)}") + content


@endless
def wide_text(closed):
    "As much as is allowed, with one character that makes Python keep each in four bytes."
    content = b'{"result": "true", "data": "' + b"a" * (MAX_MEGABYTES * 2**20 - 100) + "\U0001f600".encode() + b'"}'
    yield head(f"Content-Length: {len(content)}") + content


@endless
def many_strings(closed):
    "As much as is allowed, in as many values as are allowed."
    content = b'{"result": "true", "data": ["' + b'","'.join([b"%075d" % k for k in range(99_900)]) + b'"]}'
    yield head(f"Content-Length: {len(content)}") + content


@endless
def nested_values(closed):
    content = b"[" * 300_000 + b"]" * 300_000
    yield head(f"Content-Length: {len(content)}") + content


class Server(ThreadingHTTPServer):
    "A server that ends open connections when it is closed."
    daemon_threads, request_queue_size = True, 256

    def __init__(self, *args):
        super().__init__(*args)
        self.sockets, self.ended = WeakSet(), threading.Event()

    def process_request(self, request, client_address):
        self.sockets.add(request)
        super().process_request(request, client_address)

    def server_close(self):
        self.ended.set()
        super().server_close()
        for one in list(self.sockets):
            with suppress(OSError): one.shutdown(socket.SHUT_RDWR)


def handler(lbank):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked = urlsplit(self.path)
            lbank.heard.append(f"{self.path} {self.headers}")
            status, body, mood = lbank.answer(asked.path, {name: values[0] for name, values in parse_qs(asked.query).items()})
            if mood in ENDLESS: return self.send(ENDLESS[mood](self.server.ended))
            content = b"<html>Bad" if mood == "nonsense" else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 429: self.send_header("Retry-After", f"{lbank.rest:g}")
            self.end_headers()
            with suppress(OSError): # the client may have given up, as it should
                self.wfile.write(content[:len(content) // 2] if mood == "half an answer" else content)
            if mood == "half an answer": self.close_connection = True

        def send(self, pieces):
            self.close_connection = True
            with suppress(OSError): # the client gives up, as it should
                for piece in pieces: self.wfile.write(piece)

        def log_message(self, *args): pass

    return Handler


@contextmanager
def open_lbank(lbank):
    "The exchange behind a port of loopback: its address."
    server = Server(("127.0.0.1", 0), handler(lbank))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
