"Binance, Yahoo Finance and the replay through the interface of market sources."

from urllib.parse import urlparse

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.binance import Exchange, history, open_exchange
from support.yahoo import Service, yahoo_answers

from ohlcv_ta.data import load_series
from ohlcv_ta.data.catalog import read_catalog
from ohlcv_ta.data.exchanges.base import TIMEFRAMES, InvalidRequest, UnknownPairError, bar_ends
from ohlcv_ta.data.exchanges.registry import open_market_source
from ohlcv_ta.data.exchanges.replay import ReplaySource
from ohlcv_ta.data.exchanges.retry import SourceError
from ohlcv_ta.data.exchanges.yahoo import YahooSource


def test_bars_from_a_failing_binance():
    frame = history(2600)
    exchange = Exchange(frame, 2500, speed=50) # its clock stands at minute 2,500 until somebody comes to its socket
    with open_exchange(exchange) as (address, _):
        bars = open_market_source("binance", address, key="a", secret="b", timeout=1.0, tries=11, wait=0.01).bars(
            "btc_usdt", "minute1", 2000)
    pd.testing.assert_frame_equal(bars.frame, frame.iloc[500:2500], check_freq=False, check_names=False)
    assert bars.as_of == frame.index[2500] == bars.unfinished.index[0] and bars.series == "BTC/USDT, Binance"


@pytest.fixture
def yahoo(tmp_path):
    "A local server that answers all requests for Yahoo, and a source that uses it."
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
    yield service, YahooSource(timeout=5.0, tries=3, wait=0.01, session=session)
    service.server.shutdown()
    service.server.server_close()


def test_yahoo_has_the_same_interface(yahoo):
    bars = yahoo[1].bars("btc_usdt", "hour1", 3)
    assert len(bars.frame) == 3 and bars.as_of == pd.Timestamp("2024-05-01 18:30", tz="UTC") and len(bars.unfinished) == 0
    assert (bars.source, bars.series) == ("yahoo", "BTC-USD, Yahoo Finance")
    four = yahoo[1].bars("spy", "hour4", 5).frame # three of the five hours begin before 16:00
    assert four.index.hour.tolist() == [12, 16] and four.Volume.tolist() == [300.0, 200.0]
    assert yahoo[1].bars("spy", "month1", 1).as_of == pd.Timestamp("2024-06-01", tz="UTC")


def test_errors_of_yahoo(yahoo):
    service, source = yahoo
    for name in ("../etc", "a b", "", "x" * 50, "?q=1"):
        with pytest.raises(UnknownPairError): source.bars(name)
    service.faults = [(503, {}, b"no")] * 50
    with pytest.raises(SourceError): source.bars("btc_usdt")
    service.faults, service.answer = [], lambda path, query: (404, {}, {"chart": {"result": None, "error": {
        "code": "Not Found", "description": "No data found, symbol may be delisted"}}})
    with pytest.raises(UnknownPairError): source.bars("nothing")


@settings(max_examples=40)
@given(st.integers(0, 729 * 24 * 60), st.sampled_from(["minute30", "hour1", "hour4", "hour12", "day1", "week1", "month1"]))
def test_a_replay_knows_nothing_after_its_date(minutes, timeframe):
    end = pd.Timestamp("2017-10-02", tz="UTC") + pd.Timedelta(minutes=minutes)
    months = timeframe == "month1"
    whole = ReplaySource().bars("btc_usd", timeframe, 20).frame if months else load_series("BTC-USD", TIMEFRAMES[timeframe])
    over = bar_ends(whole.index, timeframe) <= end
    try: bars = ReplaySource(end).bars("btc_usd", timeframe, 3)
    except InvalidRequest:
        assert over.sum() < 6
        return
    assert bars.as_of <= end
    if timeframe != "month1" or over.sum() >= 3:
        pd.testing.assert_frame_equal(bars.frame, whole[over].iloc[-3:], check_freq=False)
    if len(bars.unfinished):
        stored = load_series("BTC-USD")
        told = stored[stored.index + pd.Timedelta(minutes=30) <= end].loc[bars.unfinished.index[0]:]
        assert bars.unfinished.High.item() == told.High.max() and bars.unfinished.Close.item() == told.Close.iloc[-1]


def test_every_embedded_series_in_every_timeframe():
    replay = ReplaySource()
    for timeframe in TIMEFRAMES:
        able = replay.top(len(read_catalog()), timeframe)
        for pair in ("btc_usd", "spy", "nvda", "l2601", "600000.sh", "ifl8", "zmh"):
            if pair not in able:
                with pytest.raises(InvalidRequest, match="cannot make"): replay.bars(pair, timeframe, 1)
                continue
            limit = 1 if timeframe == "month1" else 3
            bars = replay.bars(pair, timeframe, limit)
            assert len(bars.frame) == limit and bars.frame.index[-1] < bars.as_of and len(bars.unfinished) <= 1
            assert not len(bars.unfinished) or bars.unfinished.index[0] > bars.frame.index[-1]


def test_a_replay_returns_a_short_series_whole():
    replay = ReplaySource()
    whole = replay.bars("btc_usdt", "day1", 2000)
    assert len(whole.frame) == 730 and whole.frame.index[0] == pd.Timestamp("2017-10-01", tz="UTC")
    pd.testing.assert_frame_equal(whole.frame, replay.bars("btc_usdt", "day1", 730).frame)
    with pytest.raises(InvalidRequest, match="no closed day1 bar of BTC-USD up to 2001-01-01: it begins on 2017-10-01"):
        ReplaySource("2001-01-01").bars("btc_usdt", "day1", 1)


def test_every_embedded_series_with_the_largest_limit():
    replay = ReplaySource()
    for pair in replay.top(len(read_catalog())):
        bars = replay.bars(pair, "week1", 2000)
        assert 1 <= len(bars.frame) <= 2000 and bars.frame.index[-1] < bars.as_of


def test_the_error_for_short_bars_names_sources_that_have_them():
    with pytest.raises(InvalidRequest) as error: open_market_source("replay").bars("eth_usdt", "minute5")
    said = str(error.value)
    assert "ETH-USD: it has 30m bars" in said and "from lbank, binance, yahoo, or of the embedded series from spy" in said
    pairs = said.rsplit("from ", 1)[1].strip(".").split(", ")
    assert all(len(ReplaySource().bars(pair, "minute5", 5).frame) == 5 for pair in pairs)


def test_an_unknown_source_is_an_error():
    with pytest.raises(InvalidRequest, match="replay, lbank, binance, yahoo"): open_market_source("kraken")
