"Binance, Yahoo Finance and the replay behind the same interface."

from urllib.parse import urlparse

import pandas as pd
import pytest
from exchange import Exchange, history, open_exchange
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sources import Service, yahoo_answers

from ohlcv_ta.data import load
from ohlcv_ta.data.exchanges import TIMEFRAMES, Asked, PairUnknown, Replay, Yahoo, bar_ends, open_source
from ohlcv_ta.data.sources import SourceError, catalog


def test_binance_misbehaves_and_tells_the_same():
    frame = history(2600)
    exchange = Exchange(frame, 2500, speed=50) # its clock stands at minute 2,500 until somebody comes to its socket
    with open_exchange(exchange) as (address, _):
        bars = open_source("binance", address, key="a", secret="b", timeout=1.0, tries=11, wait=0.01).bars(
            "btc_usdt", "minute1", 2000)
    pd.testing.assert_frame_equal(bars.frame, frame.iloc[500:2500], check_freq=False, check_names=False)
    assert bars.as_of == frame.index[2500] == bars.unfinished.index[0] and bars.series == "BTC/USDT, Binance"


@pytest.fixture
def yahoo(tmp_path):
    "A session that takes every request for Yahoo to a local server, and who asks it."
    yfinance, requests = pytest.importorskip("yfinance"), pytest.importorskip("requests")
    yfinance.set_tz_cache_location(str(tmp_path / "zones"))
    service = Service()
    service.answer = yahoo_answers

    class Loopback(requests.adapters.HTTPAdapter):
        def send(self, request, **options):
            request.url = service.url + urlparse(request.url)._replace(scheme="", netloc="").geturl()
            return super().send(request, **options)

    session = requests.Session()
    session.mount("https://", Loopback())
    yfinance.data.YfData.cache_get.cache_clear()
    yield service, Yahoo(timeout=5.0, tries=3, wait=0.01, session=session)
    service.server.shutdown()
    service.server.server_close()


def test_yahoo_is_asked_in_the_same_words(yahoo):
    bars = yahoo[1].bars("btc_usdt", "hour1", 3)
    assert len(bars.frame) == 3 and bars.as_of == pd.Timestamp("2024-05-01 18:30", tz="UTC") and len(bars.unfinished) == 0
    assert (bars.source, bars.series) == ("yahoo", "BTC-USD, Yahoo Finance")
    four = yahoo[1].bars("spy", "hour4", 5).frame # three of the five hours begin before 16:00
    assert four.index.hour.tolist() == [12, 16] and four.Volume.tolist() == [300.0, 200.0]
    assert yahoo[1].bars("spy", "month1", 1).as_of == pd.Timestamp("2024-06-01", tz="UTC")


def test_yahoo_does_not_know_or_does_not_answer(yahoo):
    service, source = yahoo
    for name in ("../etc", "a b", "", "x" * 50, "?q=1"):
        with pytest.raises(PairUnknown): source.bars(name)
    service.faults = [(503, {}, b"no")] * 50
    with pytest.raises(SourceError): source.bars("btc_usdt")
    service.faults, service.answer = [], lambda path, query: (404, {}, {"chart": {"result": None, "error": {
        "code": "Not Found", "description": "No data found, symbol may be delisted"}}})
    with pytest.raises(PairUnknown): source.bars("nothing")


@settings(max_examples=40)
@given(st.integers(0, 729 * 24 * 60), st.sampled_from(["minute30", "hour1", "hour4", "hour12", "day1", "week1", "month1"]))
def test_a_replay_that_is_stopped_knows_nothing_of_what_came_later(minutes, timeframe):
    end = pd.Timestamp("2017-10-02", tz="UTC") + pd.Timedelta(minutes=minutes)
    whole = Replay().bars("btc_usd", timeframe, 20).frame if timeframe == "month1" else load("BTC-USD", TIMEFRAMES[timeframe])
    over = bar_ends(whole.index, timeframe) <= end
    try: bars = Replay(end).bars("btc_usd", timeframe, 3)
    except Asked:
        assert over.sum() < 6
        return
    assert bars.as_of <= end
    if timeframe != "month1" or over.sum() >= 3:
        pd.testing.assert_frame_equal(bars.frame, whole[over].iloc[-3:], check_freq=False)
    if len(bars.unfinished):
        stored = load("BTC-USD")
        told = stored[stored.index + pd.Timedelta(minutes=30) <= end].loc[bars.unfinished.index[0]:]
        assert bars.unfinished.High.item() == told.High.max() and bars.unfinished.Close.item() == told.Close.iloc[-1]


def test_every_embedded_series_answers_in_every_timeframe_or_says_why_not():
    replay = Replay()
    for timeframe in TIMEFRAMES:
        able = replay.top(len(catalog()), timeframe)
        for pair in ("btc_usd", "spy", "nvda", "l2601", "600000.sh", "ifl8", "zmh"):
            if pair not in able:
                with pytest.raises(Asked, match="cannot make"): replay.bars(pair, timeframe, 1)
                continue
            limit = 1 if timeframe == "month1" else 3
            bars = replay.bars(pair, timeframe, limit)
            assert len(bars.frame) == limit and bars.frame.index[-1] < bars.as_of and len(bars.unfinished) <= 1
            assert not len(bars.unfinished) or bars.unfinished.index[0] > bars.frame.index[-1]


def test_a_replay_has_no_more_than_it_has():
    replay = Replay()
    whole = replay.bars("btc_usdt", "day1", 2000)
    assert len(whole.frame) == 730 and whole.frame.index[0] == pd.Timestamp("2017-10-01", tz="UTC")
    pd.testing.assert_frame_equal(whole.frame, replay.bars("btc_usdt", "day1", 730).frame)
    with pytest.raises(Asked, match="no closed day1 bar of BTC-USD up to 2001-01-01: it begins on 2017-10-01"):
        Replay("2001-01-01").bars("btc_usdt", "day1", 1)


def test_every_embedded_series_gives_what_it_has_of_2000_bars():
    replay = Replay()
    for pair in replay.top(len(catalog())):
        bars = replay.bars(pair, "week1", 2000)
        assert 1 <= len(bars.frame) <= 2000 and bars.frame.index[-1] < bars.as_of


def test_who_asks_for_shorter_bars_is_told_who_has_them():
    with pytest.raises(Asked) as error: Replay().bars("eth_usdt", "minute5")
    said = str(error.value)
    assert "ETH-USD: it has 30m bars" in said and "from lbank, binance, yahoo, or of the embedded series from spy" in said
    assert all(len(Replay().bars(pair, "minute5", 5).frame) == 5 for pair in said.rsplit("from ", 1)[1].strip(".").split(", "))


def test_there_is_no_other_source():
    with pytest.raises(Asked, match="replay, lbank, binance, yahoo"): open_source("kraken")
