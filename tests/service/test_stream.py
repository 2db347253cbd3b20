"A stream with adversarial data, and the guarantees of its store with each database."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.adversary import SPY, Adversary, Listener

from ohlcv_ta.data import bar_store as stores
from ohlcv_ta.data.bar_store import BarStore, read_records, write_record
from ohlcv_ta.data.catalog import load_series
from ohlcv_ta.market.streaming import BarStream


def heard(frame, path, dice):
    listener, store = Listener(), BarStore(path)
    stream = BarStream(store, Adversary(SPY, frame, dice), listener, sleep=lambda seconds: None)
    stream.run()
    return store, listener, stream


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_bar_is_lost_or_doubled(tmp_path_factory, seed):
    frame = load_series("SPY", "1m").loc["2019-01-03"].iloc[:60]
    store, listener, stream = heard(frame, tmp_path_factory.mktemp("adversary") / "istream.db", np.random.default_rng(seed))
    assert store.read(SPY).index.tolist() == frame.index.tolist()
    assert (store.read(SPY).to_numpy() == frame.to_numpy(float)).all()
    assert listener.heard == frame.index[5:].tolist() # the first five were history
    assert stream.counts["missing"] == 0


def test_a_month_is_told_whole(tmp_path):
    frame = load_series("SPY", "1m").loc["2019-12"]
    store, listener, stream = heard(frame, tmp_path / "istream.db", np.random.default_rng(7))
    assert (len(frame), stream.counts["broken"] > 20) == (8010, True)
    assert store.read(SPY).index.equals(frame.index)
    assert (store.read(SPY).to_numpy() == frame.to_numpy(float)).all()
    assert listener.heard == frame.index[5:].tolist() # the first five were history


def test_bars_that_never_were_are_not_waited_for(tmp_path):
    whole = load_series("SPY", "1m").loc["2019-01-03":"2019-01-04"]
    frame = whole.drop(whole.index[[5, 6, 50, 300]])
    store, listener, stream = heard(frame, tmp_path / "istream.db", np.random.default_rng(1))
    assert listener.heard == frame.index[5:].tolist() # the first five were history
    night = int((whole.index[390] - whole.index[389]) / pd.Timedelta("1min")) - 1
    assert stream.counts["missing"] == 4 + night
    assert stores.find_gaps(store, SPY) == []


def test_a_database_without_upserts_keeps_the_same_promises(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_DIALECT_INSERTS", {})
    store, day = BarStore(tmp_path / "plain.db"), load_series("SPY", "1m").loc["2019-01-03"].iloc[:30]
    store.write(SPY, day)
    store.write(SPY, day * 2, final=False)
    store.write(SPY, day[:3] * 3)
    assert store.read(SPY).Close.tolist() == [*(day.Close[:3] * 3), *day.Close[3:]]
    now = pd.Timestamp("2019-01-03", tz="UTC")
    for word in (1, 2): write_record(store, "forecast", SPY, day.index[0], "me", {"buy": word}, now)
    assert read_records(store, "forecast", SPY).buy.tolist() == [1]


@pytest.mark.parametrize("final", [True, False])
def test_a_transaction_is_whole_or_nothing(tmp_path, final):
    store, day = BarStore(tmp_path / "whole.db"), load_series("SPY", "1m").loc["2019-01-03"].iloc[:30]
    broken = day.copy()
    broken.iloc[20, 3] = np.nan
    with pytest.raises(ValueError, match="no numbers"): store.write(SPY, broken, final)
    assert len(store.read(SPY, unfinished=True)) == 0
