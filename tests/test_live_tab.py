"A market followed in a browser: bars come, decisions are drawn, and it stops when told."

import threading
import time
from pathlib import Path

import httpx
import pytest
from browsing import click, needs_browser, nothing_wrong, press, type_into, until, visible, visit, wait_for
from service import running, small_models

from ohlcv_ta.data import load
from ohlcv_ta.data.store import BarStore, Series
from ohlcv_ta.evaluation.trading import Rules
from ohlcv_ta.market.paper import RsiRule
from ohlcv_ta.market.stream import Replay
from ohlcv_ta.models.indicator_reader import indicator_readers
from ohlcv_ta.serving.api import create_app
from ohlcv_ta.serving.app import mount
from ohlcv_ta.serving.live_tab import follow

NETWORKS = Path(__file__).parents[1] / "models" / "indicators"


@pytest.fixture(scope="module")
def url():
    with running(mount(create_app(small_models() | {"indicators": indicator_readers(NETWORKS)}))) as url:
        yield url


def test_health_names_the_networks(url):
    networks = httpx.get(f"{url}/health", timeout=30).json()["models"]["indicators"]["networks"]
    assert networks["turning"]["timeframe"] == "1m"


@pytest.fixture
def tab(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Breakout", 90)
    click(browser, "Live")
    yield browser
    nothing_wrong(browser)


def shown(browser): return visible(browser, ".ta-page, .ta-message")


@needs_browser
def test_a_day_is_played_again_until_it_is_stopped(tab):
    assert "Press Start" in shown(tab)
    press(tab, "Start")
    first = until(tab, lambda: "worth of the account" in (page := shown(tab)) and page, "a first bar", 150)
    assert "2019-12-02" in first and "rank in the last hour" in first and "Forecast by turning" in first
    until(tab, lambda: (page := shown(tab)) != first and "bought" in page, "a trade", 120)
    assert tab.execute_script("return document.querySelectorAll('.ta-four img').length") == 4
    press(tab, "Stop")
    time.sleep(2)
    stopped = shown(tab)
    time.sleep(2)
    assert shown(tab) == stopped
    for _ in range(2): press(tab, "Start") # the second ends the first
    until(tab, lambda: "10,000.00" in shown(tab), "another beginning", 150)
    until(tab, lambda: "Press Start" not in shown(tab) and "10,000.00" not in shown(tab), "a later bar", 120)
    press(tab, "Stop")
    time.sleep(2)
    stopped = shown(tab)
    time.sleep(2)
    assert shown(tab) == stopped


@needs_browser
def test_a_time_that_is_none_gets_a_sentence(tab):
    type_into(tab, "From, in UTC", "2031-01-01")
    press(tab, "Start")
    until(tab, lambda: "has no 1m bars from 2031-01-01" in shown(tab), "a sentence", 90)


def test_the_service_tells_which_networks_it_has(url):
    told = httpx.get(f"{url}/health").raise_for_status().json()["models"]["indicators"]
    assert set(told["networks"]) == {"barriers", "turning"} and told["networks"]["turning"]["symbol"] == "SPY"


def test_who_stops_looking_stops_the_thread(tmp_path):
    frame, before = load("SPY", "1m").loc["2019-01-03":], threading.active_count()
    feed = Replay(Series("replay", "SPY", "1m"), frame, speed=60 * 50, begin=400)
    following = follow(BarStore(f"{tmp_path}/istream.db"), feed, RsiRule(), Rules(), threshold=0.5, every=0.05)
    next(following)
    following.close()
    for _ in range(100):
        if threading.active_count() <= before: break
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_an_error_of_the_feed_reaches_who_looks(tmp_path):
    class Broken(Replay):
        def updates(self): raise KeyError("nothing of the kind")

    feed = Broken(Series("replay", "SPY", "1m"), load("SPY", "1m").iloc[:500], begin=400)
    with pytest.raises(KeyError, match="nothing of the kind"):
        list(follow(BarStore(f"{tmp_path}/istream.db"), feed, RsiRule(), Rules(), every=0.05))
