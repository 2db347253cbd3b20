"The analysis tab and the volume scan tab in a browser."

import re

import pytest
from support.browser import choose, click, drawn_by_plotly, needs_browser, nothing_wrong, until, visible, visit, wait_for
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui

pytestmark = needs_browser
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹٬٫", "0123456789,.")


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app(small_models()))) as url:
        yield url


@pytest.fixture
def page(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Chart to levels", 90)
    yield browser
    nothing_wrong(browser)


def says(browser, words):
    return until(browser, lambda: words in (page := visible(browser, ".ta-page, .ta-message")) and page, words, 90)


def persian(browser): return visible(browser, "section[dir=rtl]")


def test_a_report_has_two_languages(page):
    click(page, "Analysis")
    shown = says(page, "ETH/USDT")
    assert "RSI(14)" in shown and "replay" in shown
    found = persian(page)
    assert "خلاصه" in found and re.search("[۰-۹]", found) and not re.search("[0-9]", found)
    for figure in re.findall(r"\d[\d,]*\.\d+", found.translate(LATIN)): assert figure in shown
    assert page.execute_script("return getComputedStyle(document.querySelector('section[dir=rtl] p')).direction") == "rtl"
    marked = "return [...document.querySelectorAll('.ta-text > p:first-of-type .ta-fact')].map(e => [e.title, e.innerText])"
    facts = page.execute_script(marked)
    assert {"last close", "آخرین قیمت پایانی"} <= {title for title, _ in facts} and all(words for _, words in facts)
    assert page.execute_script("return document.querySelectorAll('.ta-text > p').length") == 2 # a paragraph in each language
    assert drawn_by_plotly(page)[:2] == ["candlestick", "bar"] and "EMA 50" in shown


def test_two_timeframes_are_compared(page):
    click(page, "Analysis")
    shown = says(page, "Two timeframes")
    assert "4-hour bars" in shown and "Order of the averages" in shown
    choose(page, "Compare with", "weekly")
    assert "4-hour bars" not in says(page, "weekly bars")
    choose(page, "Compare with", "none")
    until(page, lambda: "Two timeframes" not in visible(page, ".ta-page"), "a page of one timeframe", 90)


def test_another_timeframe_and_an_unknown_pair(page):
    click(page, "Analysis")
    says(page, "ETH/USDT")
    choose(page, "Timeframe", "4-hour")
    says(page, "4-hour bars up to")
    choose(page, "Pair", "nothing_usdt")
    says(page, "no pair 'nothing_usdt'")


def test_the_sliders_change_the_alarms(page):
    click(page, "Volume scan")
    shown = says(page, "BTC-USD, bitfinex")
    assert "cannot fire at 4.8" in shown and "confidence" in shown
    choose(page, "number input for Threshold k (standard deviations)", "6\t")
    assert "so this alarm cannot fire" in says(page, "6 deviations, bar included")
    choose(page, "Market", "SPY, nyse")
    says(page, "SPY, nyse")


@pytest.mark.parametrize("tab", ["Analysis", "Volume scan"])
def test_they_fit_a_narrow_window(page, tab):
    click(page, tab)
    says(page, "bars up to")
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": 390, "height": 1400, "deviceScaleFactor": 1, "mobile": True})
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
