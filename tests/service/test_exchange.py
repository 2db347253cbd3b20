"The live command follows an exchange that fails in every way for thirty hours of its clock, and loses nothing."

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from support.binance import Exchange, history, open_exchange

from ohlcv_ta.data.bar_store import BarStore, SeriesKey, read_records

HOURS, PAST = 30, 3000
SERIES = SeriesKey("binance", "BTC/USDT", "1m")


def follow(address, socket, store):
    command = [Path(sys.executable).with_name("ohlcv-ta"), "live", "BTC/USDT", "--store", store, "--forecaster", "rsi",
               "--fee", "0.0001", "--address", address, "--socket", socket, "--every", "0.2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(store, last):
    "Whether the last bar was decided about."
    if not Path(store).exists(): return False
    try:
        said = read_records(BarStore(store), "decision", SERIES, start=last)
    except Exception: # the tables are not made yet
        return False
    return len(said) > 0


@pytest.fixture(scope="module")
def thirty_hours(tmp_path_factory):
    "The exchange, the store, and the output of the command."
    told = history(PAST + 60 * HOURS + 1)
    exchange, store = Exchange(told, PAST, speed=50), str(tmp_path_factory.mktemp("live") / "istream.db")
    frame = told.iloc[:-1] # the last one is never over
    with open_exchange(exchange) as (address, socket):
        work = follow(address, socket, store)
        until = time.monotonic() + 400
        while work.poll() is None and time.monotonic() < until:
            if ended(store, frame.index[-1]) and not exchange.untried(): break # a busy machine meets few failures in the time
            time.sleep(0.5)
        work.send_signal(signal.SIGINT)
        said, wrong = work.communicate(timeout=60)
    return exchange, frame, store, said, wrong, work.returncode


def test_every_kind_of_failure_happened(thirty_hours):
    exchange, _, _, _, wrong, _ = thirty_hours
    assert not exchange.untried(), exchange.counts
    assert "Traceback" not in wrong


def test_no_bar_is_lost_doubled_or_changed(thirty_hours):
    _, frame, store, _, wrong, _ = thirty_hours
    stored = BarStore(store).read(SERIES)
    assert stored.index.equals(frame.index[-len(stored):]), wrong[-2000:]
    assert len(stored) >= 60 * HOURS + 2900
    pd.testing.assert_frame_equal(stored, frame.loc[stored.index], check_freq=False, check_names=False)


def test_every_bar_was_decided_about_once(thirty_hours):
    _, frame, store, said, _, code = thirty_hours
    decided = read_records(BarStore(store), "decision", SERIES)
    assert not decided.index.has_duplicates
    assert decided.index.equals(frame.index[-len(decided):]) and len(decided) >= 60 * HOURS - 5
    assert code == 0 and "bought" in said and "equity" in said.splitlines()[-1]
