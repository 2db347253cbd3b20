"""An exchange on loopback that speaks Binance's REST and web-socket protocol, on a clock of its own, and misbehaves.

Its past is known, so that whoever follows it can be held against it.
"""

import json
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

MINUTE = 60_000 # milliseconds
MARKET = {"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "baseAssetPrecision": 8,
          "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT"], "isSpotTradingAllowed": True,
          "isMarginTradingAllowed": False, "permissions": ["SPOT"], "permissionSets": [["SPOT"]],
          "filters": [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.0", "tickSize": "0.01"},
                      {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"}]}
MOODS = {"good": 20, "busy": 1, "broken": 1, "slow": 1, "half an answer": 1, "nonsense": 1} # of 25 answers over HTTP
TEMPERS = {"good": 234, "again": 8, "old": 5, "unreadable": 1, "gone": 1, "cut": 1} # of 250 messages of the socket
WELCOMES = {"taken": 4, "refused": 1} # of 5 connections


def dealt(counts, dice):
    "Names without end, so many of each in every deck, each deck in an order of its own."
    deck = [name for name, count in counts.items() for _ in range(count)]
    while True: yield from dice.sample(deck, len(deck))


class Exchange:
    """Bars of one market, and a clock that runs as fast as wished and stands when the last of them has begun.

    That bar never closes: it is sent again and again, over connections that fail, as long as a client listens.
    """
    def __init__(
        self,
        frame, # minutes; those before `begin` are history
        begin, # position of the first that is not over
        speed, # minutes a second
        seed=0,
    ):
        self.frame, self.speed, self.lock, dice = frame, speed, threading.Lock(), random.Random(seed)
        self.times, self.bars = frame.index.as_unit("ms").asi8, frame.to_numpy(float)
        self.zero, self.end, self.started = int(self.times[begin]), int(self.times[-1]), None
        self.moods, self.tempers, self.welcomes = (dealt(counts, dice) for counts in (MOODS, TEMPERS, WELCOMES))
        self.counts = Counter()

    def untried(self):
        "Kinds of answers, messages and connections that nobody has met yet."
        return {*MOODS, *TEMPERS, *WELCOMES} - set(self.counts)

    def start(self):
        self.started = self.started or time.monotonic()

    def now(self): # milliseconds; the clock stands until somebody first comes to the socket
        if self.started is None: return self.zero
        return min(self.zero + int((time.monotonic() - self.started) * self.speed * MINUTE), self.end)

    def next(self, names):
        with self.lock:
            name = next(names)
            self.counts[name] += 1
        return name

    def told(self, k, now):
        "A bar as far as it has come: time, five numbers, and whether it is over."
        share = np.clip((now - self.times[k]) / MINUTE, 0.01, 1.0)
        start, high, low, close, volume = self.bars[k]
        if share < 1:
            close = start + share * (close - start)
            high, low, volume = max(start, close), min(start, close), share * volume
        return int(self.times[k]), [f"{value:.8f}" for value in (start, high, low, close, volume)], bool(share >= 1)

    def klines(self, since, limit):
        now = self.now()
        first = int(np.searchsorted(self.times, since))
        rows = [self.told(k, now) for k in range(first, min(first + limit, len(self.times))) if self.times[k] <= now]
        return [[at, *numbers, at + MINUTE - 1, "0", 1, "0", "0", "0"] for at, numbers, _ in rows]

    def message(self, k, now):
        at, numbers, over = self.told(k, now)
        return json.dumps({"e": "kline", "E": now, "s": "BTCUSDT", "k": {
            "t": at, "T": at + MINUTE - 1, "s": "BTCUSDT", "i": "1m", **dict(zip("ohlcv", numbers, strict=True)), "x": over}})


def answers(exchange):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = urlsplit(self.path)
            query, mood = {name: values[0] for name, values in parse_qs(asked.query).items()}, exchange.next(exchange.moods)
            if mood == "busy": return self.say(429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "1"})
            if mood == "broken": return self.say(503, {"code": -1000, "msg": "An unknown error."})
            if mood == "slow": time.sleep(1.5)
            if asked.path == "/api/v3/time": body = {"serverTime": exchange.now()}
            elif asked.path == "/api/v3/klines": body = exchange.klines(int(query["startTime"]), int(query.get("limit", 500)))
            else: body = {"timezone": "UTC", "symbols": [MARKET] if asked.path == "/api/v3/exchangeInfo" else []}
            self.say(200, body, mood=mood)

        def say(self, status, body, headers=None, mood="good"):
            content = b"<html>Bad" if mood == "nonsense" else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items(): self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[:len(content) // 2] if mood == "half an answer" else content)
            if mood == "half an answer": self.close_connection = True

        def log_message(self, *args): pass

    return Handler


def streams(exchange):
    def stream(connection):
        k = int(np.searchsorted(exchange.times, exchange.now(), "right")) - 1
        try:
            while k < len(exchange.times):
                now = exchange.now()
                over = exchange.told(k, now)[2]
                temper = exchange.next(exchange.tempers)
                if temper == "gone": return connection.socket.close()
                if temper == "cut": return (connection.socket.sendall(b"\x81\x7e\x01\x00{\"e\": \"kline\", \"k\": {\"t\": 15"),
                                            connection.socket.close())
                if temper == "unreadable": connection.send('{"e": "kline", "k": {"t": "soon"}}')
                if temper == "old" and k > 5: connection.send(exchange.message(k - 4, now))
                connection.send(exchange.message(k, now))
                if temper == "again": connection.send(exchange.message(k, now))
                k += over
                if not over: time.sleep(0.4 / exchange.speed)
            connection.recv()
        except (ConnectionClosed, OSError):
            pass

    def refuse(connection, request):
        exchange.start()
        return connection.respond(503, "busy\n") if exchange.next(exchange.welcomes) == "refused" else None

    return stream, refuse


@contextmanager
def open_exchange(exchange):
    "The exchange behind two ports of loopback: addresses of REST and web socket."
    web = ThreadingHTTPServer(("127.0.0.1", 0), answers(exchange))
    web.daemon_threads = True
    stream, refuse = streams(exchange)
    socket = serve(stream, "127.0.0.1", 0, process_request=refuse)
    threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in (web, socket)]
    for thread in threads: thread.start()
    try:
        yield f"http://127.0.0.1:{web.server_port}", f"ws://127.0.0.1:{socket.socket.getsockname()[1]}/ws"
    finally:
        socket.shutdown()
        web.shutdown()
        web.server_close()


def history(bars, seed=0):
    "Minutes of a market that never closes."
    steps = np.random.default_rng(seed).normal(0, 0.0008, (bars, 4))
    close = 7000 * np.exp(steps[:, 0].cumsum())
    start = np.r_[7000, close[:-1]]
    high, low = np.maximum(start, close) * (1 + abs(steps[:, 1])), np.minimum(start, close) * (1 - abs(steps[:, 2]))
    columns = {"Open": start, "High": high, "Low": low, "Close": close, "Volume": 10 * np.exp(500 * steps[:, 3])}
    return pd.DataFrame(columns, pd.date_range("2020-01-01", periods=bars, freq="min", tz="UTC")).round(2)
