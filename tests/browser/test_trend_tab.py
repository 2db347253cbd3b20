"The trend tab in a browser."

import pytest
from support.browser import choose, click, needs_browser, nothing_wrong, press, type_into, until, visible, visit, wait_for
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app(small_models()))) as url:
        yield url


@pytest.fixture
def tab(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Chart to levels")
    click(browser, "Trend")
    wait_for(browser, ".ta-pixels", "Input image")
    yield browser
    nothing_wrong(browser)


@needs_browser
def test_the_tab_shows_the_image_and_steps_through_time(tab):
    assert "not known yet" in visible(tab)
    type_into(tab, "Last bar (UTC)", "2018-06-01 12:10")
    wait_until_visible(tab, "up to 2018-06-01 12:00 UTC")
    assert "Outcome" in visible(tab) and "ROC AUC" in visible(tab)
    press(tab, "Earlier")
    wait_until_visible(tab, "up to 2018-06-01 11:30 UTC")
    choose(tab, "Market", "ETH-USD, bitfinex")
    wait_until_visible(tab, "ETH-USD, bitfinex")
    type_into(tab, "Last bar (UTC)", "soon")
    wait_for(tab, ".ta-message", "is not a time")


def wait_until_visible(browser, says):
    until(browser, lambda: says in visible(browser), says)
