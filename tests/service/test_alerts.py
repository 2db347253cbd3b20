"Alerts to receivers that are down, slow or gone, delivered once over processes."

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from ohlcv_ta.market.alerts import Alert, AlertSettings, DeliveryLog, notify

ALERT = Alert("eth_usdt", "minute5", "local", pd.Timestamp("2025-01-14 10:30", tz="UTC"), 500.0, 10.0, 17.0, 1e-4, 0.93, "high")
SECRETS = ("123:token", "hook-secret")


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, body))
        answer = self.server.answers.pop(0) if self.server.answers else 200
        if answer == "hang": time.sleep(1.0)
        if answer in ("hang", "drop"): return self.connection.close()
        self.send_response(answer)
        if answer == 429: self.send_header("Retry-After", "0")
        if answer == 302: self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_): pass


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def to(server, **more):
    base = f"http://127.0.0.1:{server.server_port}"
    return AlertSettings(webhook=f"{base}/hook-secret", telegram_token="123:token", telegram_chat="7", telegram_address=base,
                         deliveries=DeliveryLog(), timeout=0.3, wait=0.01)._replace(**more)


@pytest.mark.parametrize("answers", [[500, 503], [429, 429], ["drop", 502], ["hang"]])
def test_an_alert_arrives_after_failures_that_pass(receiver, answers):
    receiver.answers = list(answers)
    sent = notify([ALERT], to(receiver))
    assert [one.channel for one in sent if one.sent] == ["log", "webhook", "telegram"]
    assert len(receiver.got) == len(answers) + 2
    path, body = receiver.got[-1]
    assert path == "/bot123:token/sendMessage" and body["chat_id"] == "7" and "eth_usdt" in body["text"]
    assert receiver.got[0][1]["time"] == "2025-01-14T10:30:00+00:00" and receiver.got[0][1]["pair"] == "eth_usdt"


@pytest.mark.parametrize("answers", [[500] * 3, [404], [302], [401], ["drop"] * 3])
def test_a_receiver_that_fails_stops_nothing_and_is_tried_next_time(receiver, answers):
    receiver.answers, settings = list(answers), to(receiver, telegram_token=None)
    first = notify([ALERT, ALERT._replace(pair="btc_usdt")], settings)
    assert [one.sent for one in first] == [True, True, False, False] and len(receiver.got) == len(answers)
    again = notify([ALERT], settings)
    assert [(one.channel, one.sent) for one in again] == [("log", False), ("webhook", True)]


def test_no_secret_reaches_a_log(receiver, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.answers = [500, 500, 500, 403]
    notify([ALERT], to(receiver))
    with socket.socket() as free: free.bind(("127.0.0.1", 0)); port = free.getsockname()[1]
    nowhere = f"http://127.0.0.1:{port}"
    wrong = f"{nowhere}/hook-secret", "ftp://hook-secret", "http://127.0.0.1:99999/hook-secret", "hook-secret"
    gone = [notify([ALERT], to(receiver, webhook=address, tries=1, telegram_address=nowhere)) for address in wrong]
    assert all(not one.sent for some in gone for one in some if one.channel != "log")
    text = caplog.text + repr(gone) + "".join(str(record.__dict__) for record in caplog.records)
    assert "not delivered" in text and not any(secret in text for secret in SECRETS)


def test_nothing_that_happens_is_raised(tmp_path):
    told = DeliveryLog(tmp_path / "told")
    (tmp_path / "told").rmdir()
    done = notify([ALERT], AlertSettings(deliveries=told))
    assert [one.sent for one in done] == [False] and done[0].problem


def test_two_processes_tell_an_alert_once(tmp_path):
    code = ("import sys, pandas as pd; from ohlcv_ta.market.alerts import *; folder = sys.argv[1]\n"
            f"alert = Alert('eth_usdt', 'minute5', 'local', pd.Timestamp({str(ALERT.time)!r}), 5.0, 1.0, 9.0, .1, .9, 'low')\n"
            "print(sum(one.sent for _ in range(50) for one in notify([alert], AlertSettings(deliveries=DeliveryLog(folder)))))")
    command, quiet = [sys.executable, "-c", code, tmp_path / "told"], {"stderr": subprocess.DEVNULL, "text": True}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, **quiet) for _ in range(2)]
    assert sorted(int(one.communicate()[0]) for one in running) == [0, 1]


def test_what_was_told_is_forgotten_after_days(tmp_path):
    notify([ALERT], AlertSettings(deliveries=DeliveryLog(tmp_path)))
    for path in tmp_path.iterdir(): os.utime(path, (0, 0))
    assert notify([ALERT], AlertSettings(deliveries=DeliveryLog(tmp_path)))[0].sent
