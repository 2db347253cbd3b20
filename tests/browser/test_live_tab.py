"The live tab in a browser: bars arrive, decisions are drawn, and a run stops."

import threading
import time
from pathlib import Path

import httpx
import pytest
from support.browser import (
    click,
    drawn_by_plotly,
    needs_browser,
    nothing_wrong,
    press,
    type_into,
    until,
    visible,
    visit,
    wait_for,
)
from support.server import running
from support.small_models import small_models

from ohlcv_ta.data import load_series
from ohlcv_ta.data.bar_store import BarStore, SeriesKey
from ohlcv_ta.evaluation.orders import TradingRules
from ohlcv_ta.market.paper_trading import RsiForecaster, follow_feed
from ohlcv_ta.market.streaming import ReplayFeed
from ohlcv_ta.models.indicators.inference import IndicatorPredictors
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui

NETWORKS = Path(__file__).parents[2] / "models" / "indicators"


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app(small_models() | {"indicators": IndicatorPredictors.load(NETWORKS)}))) as url:
        yield url


def test_health_names_the_networks(url):
    networks = httpx.get(f"{url}/health", timeout=30).json()["models"]["indicators"]["networks"]
    assert networks["turning"]["timeframe"] == "1m"


@pytest.fixture
def tab(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Chart to levels", 90)
    click(browser, "Live")
    yield browser
    nothing_wrong(browser)


def shown(browser): return visible(browser, ".ta-page, .ta-message")


def unchanged(browser, seconds=5):
    "Whether the page stays the same; a page that is rendered when Stop is pressed may still arrive before."
    page = shown(browser)
    time.sleep(seconds)
    return shown(browser) == page


@needs_browser
def test_a_replay_runs_until_it_is_stopped(tab):
    assert "Press Start" in shown(tab)
    press(tab, "Start")
    first = until(tab, lambda: "since the start" in (page := shown(tab)) and page, "a first bar", 150)
    assert "2019-12-02" in first and "rank in the last hour" in first and "Forecast by turning" in first
    until(tab, lambda: (page := shown(tab)) != first and "bought" in page, "a trade", 120)
    assert tab.execute_script("return document.querySelectorAll('.ta-four img').length") == 4
    press(tab, "Stop")
    assert until(tab, lambda: unchanged(tab), "a page that stays")
    assert drawn_by_plotly(tab) == ["candlestick", "scatter"] # with the trades
    for _ in range(2): press(tab, "Start") # the second ends the first
    until(tab, lambda: "10,000.00" in shown(tab), "another beginning", 150)
    until(tab, lambda: "Press Start" not in shown(tab) and "10,000.00" not in shown(tab), "a later bar", 120)
    press(tab, "Stop")
    assert until(tab, lambda: unchanged(tab), "a page that stays")


@needs_browser
def test_a_time_without_bars_shows_its_error(tab):
    type_into(tab, "Replay date (UTC)", "2031-01-01")
    press(tab, "Start")
    until(tab, lambda: "has no 1m bars from 2031-01-01" in shown(tab), "a sentence", 90)


def test_health_lists_the_networks(url):
    loaded = httpx.get(f"{url}/health").raise_for_status().json()["models"]["indicators"]
    assert set(loaded["networks"]) == {"barriers", "turning"} and loaded["networks"]["turning"]["symbol"] == "SPY"


def test_closing_the_generator_stops_the_thread(tmp_path):
    frame, before = load_series("SPY", "1m").loc["2019-01-03":], threading.active_count()
    feed = ReplayFeed(SeriesKey("replay", "SPY", "1m"), frame, speed=60 * 50, history=400)
    store = BarStore(f"{tmp_path}/istream.db")
    following = follow_feed(store, feed, RsiForecaster(), TradingRules(), threshold=0.5, interval=0.05)
    next(following)
    following.close()
    for _ in range(100):
        if threading.active_count() <= before: break
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_an_error_of_the_feed_is_raised(tmp_path):
    class Broken(ReplayFeed):
        def updates(self): raise KeyError("nothing of the kind")

    feed = Broken(SeriesKey("replay", "SPY", "1m"), load_series("SPY", "1m").iloc[:500], history=400)
    with pytest.raises(KeyError, match="nothing of the kind"):
        list(follow_feed(BarStore(f"{tmp_path}/istream.db"), feed, RsiForecaster(), TradingRules(), interval=0.05))
