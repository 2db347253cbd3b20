"Traders that are killed, and a store in PostgreSQL."

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.adversary import SPY, Adversary, Listener
from support.server import free_port

from ohlcv_ta.data.bar_store import BarStore, read_records
from ohlcv_ta.data.catalog import load_series
from ohlcv_ta.evaluation.orders import TradingRules
from ohlcv_ta.market.paper_trading import PaperTrader, RsiForecaster
from ohlcv_ta.market.streaming import BarStream, ReplayFeed

TRADER = """
import sys, numpy as np
from ohlcv_ta.data.catalog import load_series
from ohlcv_ta.data.bar_store import BarStore, SeriesKey
from ohlcv_ta.evaluation.orders import TradingRules
from ohlcv_ta.market.paper_trading import PaperTrader, RsiForecaster
from ohlcv_ta.market.streaming import ReplayFeed, BarStream
series, frame = SeriesKey("nyse", "SPY", "1m"), load_series("SPY", "1m").loc["2019-01-03"]
store = BarStore(sys.argv[1])
replay = ReplayFeed(series, frame, speed=np.inf, history=len(store.read(series)))
print("begins", flush=True)
BarStream(store, replay, PaperTrader(store, series, RsiForecaster(7), TradingRules(stop=0.003, fee=0.0001))).run()
"""


def test_a_killed_trader_ends_where_an_undisturbed_one_does(tmp_path):
    frame, dice, kills = load_series("SPY", "1m").loc["2019-01-03"], random.Random(0), 0
    undisturbed = BarStore(tmp_path / "undisturbed.db")
    trader = PaperTrader(undisturbed, SPY, RsiForecaster(7), TradingRules(stop=0.003, fee=0.0001))
    BarStream(undisturbed, ReplayFeed(SPY, frame), trader).run()
    path = tmp_path / "killed.db"
    while True:
        process = subprocess.Popen([sys.executable, "-c", TRADER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begins\n"
        time.sleep(dice.uniform(0.2, 1.2) if kills < 3 else 0)
        if kills < 3: process.send_signal(signal.SIGKILL)
        ended = process.wait(300)
        if kills == 3: break
        kills += ended == -signal.SIGKILL
        assert ended in (0, -signal.SIGKILL)
        if ended == 0: break
    assert ended == 0 and kills
    killed = BarStore(path)
    assert killed.read(SPY).equals(undisturbed.read(SPY))
    for kind in ("forecast", "decision"):
        told, wanted = (read_records(one, kind, SPY).drop(columns="made") for one in (killed, undisturbed))
        pd.testing.assert_frame_equal(told, wanted)


INITDB = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
needs_postgres = pytest.mark.skipif(not INITDB and os.environ.get("CI") != "true",
                                    reason="PostgreSQL's initdb is not installed here: apt-get install postgresql")


@pytest.fixture
def postgres():
    "A real server in a folder of its own, for as long as a test needs it."
    assert INITDB, "PostgreSQL's initdb is missing"
    port, tools, as_user = free_port(), Path(INITDB).parent, []
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0: # as whom a database server refuses to run
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        making = [*as_user, tools / "initdb", "-D", f"{folder}/data", "-U", "ta", "-A", "trust"]
        subprocess.run(making, check=True, capture_output=True)
        where = f"-p {port} -k {folder} -h 127.0.0.1"
        control = [*as_user, tools / "pg_ctl", "-D", f"{folder}/data", "-w", "-o", where, "-l", f"{folder}/log"]
        subprocess.run([*control, "start"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield f"postgresql+psycopg://ta@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL)


@needs_postgres
def test_postgresql_keeps_the_same_promises(postgres):
    frame = load_series("SPY", "1m").loc["2019-01-03"].iloc[:120]
    store, listener = BarStore(postgres), Listener()
    BarStream(store, Adversary(SPY, frame, np.random.default_rng(3)), listener, sleep=lambda seconds: None).run()
    assert store.read(SPY).index.tolist() == frame.index.tolist() and listener.heard == frame.index[5:].tolist()
    store.write(SPY, frame[:1] * 2, final=False)
    assert store.read(SPY).to_numpy().tolist() == frame.to_numpy(float).tolist()
    parts = [frame[k:k + 40] for k in range(0, 100, 20)]
    with ThreadPoolExecutor(2) as pool: list(pool.map(lambda part: BarStore(postgres).write(SPY, part), parts))
    assert len(store.read(SPY)) == len(frame)
    trader = PaperTrader(store, SPY, RsiForecaster(7), TradingRules())
    trader.begin(frame.index[-3])
    for k in (-2, -1): trader.on_bar(frame.iloc[[k]])
    assert len(read_records(store, "decision", SPY)) == 2
    assert PaperTrader(store, SPY, RsiForecaster(7), TradingRules()).until() == frame.index[-1]
