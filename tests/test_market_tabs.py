"The tabs that tell a chart in words and that watch volume, in a real browser."

import re

import pytest
from browsing import choose, click, needs_browser, nothing_wrong, until, visible, visit, wait_for
from service import running, small_models

from ohlcv_ta.serving.api import create_app
from ohlcv_ta.serving.app import mount

pytestmark = needs_browser
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٬٫", "0123456789,.")


@pytest.fixture(scope="module")
def url():
    with running(mount(create_app(small_models()))) as url:
        yield url


@pytest.fixture
def page(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Breakout", 90)
    yield browser
    nothing_wrong(browser)


def says(browser, words):
    return until(browser, lambda: words in (page := visible(browser, ".ta-page, .ta-message")) and page, words, 90)


def persian(browser): return visible(browser, "section[dir=rtl]")


def test_a_pair_is_told_in_two_languages(page):
    click(page, "Analyse")
    shown = says(page, "ETH/USDT")
    assert "RSI(14)" in shown and "replay" in shown
    found = persian(page)
    assert "خلاصه" in found and re.search("[۰-۹]", found) and not re.search("[0-9]", found)
    for figure in re.findall(r"\d[\d,]*\.\d+", found.translate(LATIN)): assert figure in shown
    assert page.execute_script("return getComputedStyle(document.querySelector('section[dir=rtl] p')).direction") == "rtl"


def test_another_timeframe_and_a_pair_that_is_none(page):
    click(page, "Analyse")
    says(page, "ETH/USDT")
    choose(page, "Length of a bar", "4-hour")
    says(page, "4-hour bars up to")
    choose(page, "Pair", "nothing_usdt")
    says(page, "no pair 'nothing_usdt'")


def test_the_sliders_change_what_rings(page):
    click(page, "Volume scan")
    shown = says(page, "BTC-USD, bitfinex")
    assert "cannot ring at 4.8" in shown and "confidence" in shown
    choose(page, "number input for k: deviations above their mean", "6\t")
    assert "so this alarm cannot ring" in says(page, "6 deviations, bar included")
    choose(page, "Market", "SPY, nyse")
    says(page, "SPY, nyse")


@pytest.mark.parametrize("tab", ["Analyse", "Volume scan"])
def test_they_fit_a_narrow_window(page, tab):
    click(page, tab)
    says(page, "bars up to")
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": 390, "height": 1400, "deviceScaleFactor": 1, "mobile": True})
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
