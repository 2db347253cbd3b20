"A long history from an exchange that misbehaves, over HTTP, by a command that is killed and run again."

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.binance import Exchange, history, open_exchange

MINUTES = 40_000


@pytest.fixture
def exchange():
    bars = history(MINUTES + 10)
    market = Exchange(bars, MINUTES, 1)
    with open_exchange(market) as (address, _):
        yield market, bars, address


def command(address, output, end):
    return [Path(sys.executable).with_name("ohlcv-ta"), "collect", "binance", "BTC/USDT", "1m", "--from", "2020-01-01",
            "--to", end, "--output", output, "--address", address]


def stored_bars(path):
    "How many bars another process has stored so far."
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute("select count(*) from bars").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_download_that_was_killed_goes_on_and_ends_with_every_bar(exchange, tmp_path):
    market, bars, address = exchange
    output, kept = tmp_path / "btc.parquet", tmp_path / "btc.bars.db"
    asked = command(address, output, f"{bars.index[MINUTES].tz_localize(None)}")
    first = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not stored_bars(kept) and time.monotonic() < until: time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert 0 < stored_bars(kept) < MINUTES and not output.exists(), "it was over before it could be killed"
    subprocess.run(asked, check=True, capture_output=True)
    table = pd.read_parquet(output)
    assert len(table) == MINUTES and table.time.is_monotonic_increasing and table.time.is_unique
    assert np.allclose(table[bars.columns], bars.iloc[:MINUTES])
    assert market.counts["busy"] and market.counts["broken"]


def test_an_exchange_that_is_away_is_named(tmp_path):
    done = subprocess.run(command("http://127.0.0.1:9", tmp_path / "btc.csv", "2020-01-02"), capture_output=True, text=True)
    assert done.returncode == 1 and "binance" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "btc.csv").exists()
