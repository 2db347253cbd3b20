"A stream that is told by an adversary, traders that are killed, and a store on two kinds of database."
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
from hypothesis import given, settings
from hypothesis import strategies as st
from service import free_port

from ohlcv_ta.data import store as stores
from ohlcv_ta.data.sources import SourceError, Transient, load
from ohlcv_ta.data.store import BarStore, Series, record, records
from ohlcv_ta.evaluation.trading import Rules
from ohlcv_ta.market.paper import PaperTrader, RsiRule
from ohlcv_ta.market.stream import Replay, Stream, Update

SPY = Series("nyse", "SPY", "1m")


class Listener:
    def __init__(self): self.heard, self.last = [], None
    def until(self): return self.last
    def begin(self, last): self.last = last

    def act(self, bar):
        self.last = bar.index[0]
        self.heard.append(self.last)


class Adversary(Replay):
    "Tells bars late, twice, in the wrong order, before they are over or not at all; breaks; its history lags and fails."
    def __init__(self, series, frame, dice, patience=200):
        super().__init__(series, frame, begin=5)
        self.dice, self.late, self.evil = dice, [], patience

    def updates(self):
        while self.told < len(self.frame) or self.late:
            mood = self.dice.choice(["tell", "twice", "revise", "delay", "lose", "break", "old"]) if self.evil > 0 else "tell"
            self.evil -= 1
            if mood == "break": raise Transient("was cut off")
            if mood == "old" and self.told: yield self.of(self.dice.integers(self.told))
            if self.late and (mood == "old" or self.told == len(self.frame)):
                yield self.late.pop(self.dice.integers(len(self.late)))
            if self.told == len(self.frame): continue
            if mood == "revise": yield Update(self.frame.index[self.told], tuple(self.dice.random(5) + 1), False)
            self.told += 1
            told = self.of(self.told - 1)
            if mood == "delay": self.late.append(told)
            elif mood != "lose":
                yield told
                if mood == "twice": yield told

    def of(self, k): return Update(self.frame.index[k], tuple(self.frame.iloc[k].tolist()), True)

    def history(self, start, end):
        mood = self.dice.choice(["good", "lags", "transient", "refuses"], p=[0.6, 0.2, 0.1, 0.1]) if self.evil > 0 else "good"
        self.evil -= 1
        if mood == "transient": raise Transient("does not answer", 0.5)
        if mood == "refuses": raise SourceError("exchange is busy")
        return super().history(start, end).iloc[:-1 if mood == "lags" else None]


def heard(frame, path, dice):
    listener, store = Listener(), BarStore(path)
    stream = Stream(store, Adversary(SPY, frame, dice), listener, sleep=lambda seconds: None)
    stream.run()
    return store, listener, stream


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_bar_is_lost_or_doubled(tmp_path_factory, seed):
    frame = load("SPY", "1m").loc["2019-01-03"].iloc[:60]
    store, listener, stream = heard(frame, tmp_path_factory.mktemp("adversary") / "istream.db", np.random.default_rng(seed))
    assert store.read(SPY).index.tolist() == frame.index.tolist()
    assert (store.read(SPY).to_numpy() == frame.to_numpy(float)).all()
    assert listener.heard == frame.index[5:].tolist() # the first five were history
    assert stream.counts["missing"] == 0


def test_a_month_is_told_whole(tmp_path):
    frame = load("SPY", "1m").loc["2019-12"]
    store, listener, stream = heard(frame, tmp_path / "istream.db", np.random.default_rng(7))
    assert (len(frame), stream.counts["broken"] > 20) == (8010, True)
    assert store.read(SPY).index.equals(frame.index)
    assert (store.read(SPY).to_numpy() == frame.to_numpy(float)).all()
    assert listener.heard == frame.index[5:].tolist() # the first five were history


def test_bars_that_never_were_are_not_waited_for(tmp_path):
    whole = load("SPY", "1m").loc["2019-01-03":"2019-01-04"]
    frame = whole.drop(whole.index[[5, 6, 50, 300]])
    store, listener, stream = heard(frame, tmp_path / "istream.db", np.random.default_rng(1))
    assert listener.heard == frame.index[5:].tolist() # the first five were history
    night = int((whole.index[390] - whole.index[389]) / pd.Timedelta("1min")) - 1
    assert stream.counts["missing"] == 4 + night
    assert stores.gaps(store, SPY) == []


TRADER = """
import sys, numpy as np
from ohlcv_ta.data.sources import load
from ohlcv_ta.data.store import BarStore, Series
from ohlcv_ta.evaluation.trading import Rules
from ohlcv_ta.market.paper import PaperTrader, RsiRule
from ohlcv_ta.market.stream import Replay, Stream
series, frame = Series("nyse", "SPY", "1m"), load("SPY", "1m").loc["2019-01-03"]
store = BarStore(sys.argv[1])
replay = Replay(series, frame, speed=np.inf, begin=len(store.read(series)))
print("begins", flush=True)
Stream(store, replay, PaperTrader(store, series, RsiRule(7), Rules(stop=0.003, fee=0.0001))).run()
"""


def test_a_killed_trader_ends_where_an_undisturbed_one_does(tmp_path):
    frame, dice, kills = load("SPY", "1m").loc["2019-01-03"], random.Random(0), 0
    undisturbed = BarStore(tmp_path / "undisturbed.db")
    Stream(undisturbed, Replay(SPY, frame), PaperTrader(undisturbed, SPY, RsiRule(7), Rules(stop=0.003, fee=0.0001))).run()
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
        told, wanted = (records(one, kind, SPY).drop(columns="made") for one in (killed, undisturbed))
        pd.testing.assert_frame_equal(told, wanted)


def test_a_database_without_upserts_keeps_the_same_promises(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_WITH_CONFLICTS", {})
    store, day = BarStore(tmp_path / "plain.db"), load("SPY", "1m").loc["2019-01-03"].iloc[:30]
    store.write(SPY, day)
    store.write(SPY, day * 2, final=False)
    store.write(SPY, day[:3] * 3)
    assert store.read(SPY).Close.tolist() == [*(day.Close[:3] * 3), *day.Close[3:]]
    now = pd.Timestamp("2019-01-03", tz="UTC")
    for word in (1, 2): record(store, "forecast", SPY, day.index[0], "me", {"buy": word}, now)
    assert records(store, "forecast", SPY).buy.tolist() == [1]


@pytest.mark.parametrize("final", [True, False])
def test_a_transaction_is_whole_or_nothing(tmp_path, final):
    store, day = BarStore(tmp_path / "whole.db"), load("SPY", "1m").loc["2019-01-03"].iloc[:30]
    broken = day.copy()
    broken.iloc[20, 3] = np.nan
    with pytest.raises(ValueError, match="no numbers"): store.write(SPY, broken, final)
    assert len(store.read(SPY, unfinished=True)) == 0


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
    frame = load("SPY", "1m").loc["2019-01-03"].iloc[:120]
    store, listener = BarStore(postgres), Listener()
    Stream(store, Adversary(SPY, frame, np.random.default_rng(3)), listener, sleep=lambda seconds: None).run()
    assert store.read(SPY).index.tolist() == frame.index.tolist() and listener.heard == frame.index[5:].tolist()
    store.write(SPY, frame[:1] * 2, final=False)
    assert store.read(SPY).to_numpy().tolist() == frame.to_numpy(float).tolist()
    parts = [frame[k:k + 40] for k in range(0, 100, 20)]
    with ThreadPoolExecutor(2) as pool: list(pool.map(lambda part: BarStore(postgres).write(SPY, part), parts))
    assert len(store.read(SPY)) == len(frame)
    trader = PaperTrader(store, SPY, RsiRule(7), Rules())
    trader.begin(frame.index[-3])
    for k in (-2, -1): trader.act(frame.iloc[[k]])
    assert len(records(store, "decision", SPY)) == 2
    assert PaperTrader(store, SPY, RsiRule(7), Rules()).until() == frame.index[-1]
