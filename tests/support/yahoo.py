"Yahoo Finance on loopback, and a server with prescribed answers."

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse


class Service:
    "A server on loopback that gives the prescribed answers in turn, and counts requests."
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
