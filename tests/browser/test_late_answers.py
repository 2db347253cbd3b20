"An answer to an example that comes late never replaces what a visitor has uploaded, and is requested once."

import threading
import time

import pytest
from PIL import Image
from support.browser import click, file_input, needs_browser, nothing_wrong, until, visible, visit, wait_for
from support.server import running
from support.small_models import small_masks, small_models

from ohlcv_ta.charts import STYLES, draw_chart
from ohlcv_ta.data import load_series
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui import breakout, picture_controls
from ohlcv_ta.serving.ui.app import mount_ui

pytestmark = needs_browser


class Delayed:
    "A function whose calls wait while it is held; counts the calls that wait."
    def __init__(self, function):
        self.function, self.open, self.waiting, self.calls = function, threading.Event(), 0, 0
        self.open.set()

    def __call__(self, *arguments):
        self.calls += 1
        if not self.open.is_set():
            self.waiting += 1
            self.open.wait(60)
            self.waiting -= 1
        return self.function(*arguments)


@pytest.fixture(scope="module")
def examples():
    "The functions that fetch the examples of two tabs."
    with pytest.MonkeyPatch.context() as patch:
        made = {"market": Delayed(breakout._embedded), "image": Delayed(picture_controls.draw_example)}
        patch.setattr(breakout, "_embedded", made["market"])
        patch.setattr(picture_controls, "draw_example", made["image"])
        yield made


@pytest.fixture(scope="module")
def url(examples):
    with running(mount_ui(create_app(small_models() | {"masks": small_masks()}))) as url:
        yield url


@pytest.fixture
def opened(browser, url, examples):
    "Open the page while an example is held."
    def open_page(name):
        examples[name].calls = 0
        examples[name].open.clear()
        visit(browser, f"{url}/app/")
        wait_for(browser, "button[role=tab]", "Chart to levels")
        if name == "market": click(browser, "Breakout")
        until(browser, lambda: examples[name].waiting, "the example is requested")
        return examples[name]
    yield open_page
    for one in examples.values(): one.open.set()
    nothing_wrong(browser)


def let_go(browser, example, selector, says):
    "Release an example and watch for two seconds that the page still says the same."
    example.open.set()
    until(browser, lambda: not example.waiting, "the example is computed")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert says in visible(browser, selector)
        time.sleep(0.1)


def send(browser, path):
    "Upload a file through the first file input of the page."
    file_input(browser).send_keys(str(path))


def test_a_late_market_does_not_replace_an_uploaded_file(browser, opened, tmp_path):
    load_series("BTC-USD", "1h").loc["2019-05-01":].head(24 * 40).to_csv(tmp_path / "mine.csv")
    example = opened("market")
    click(browser, "Your file")
    wait_for(browser, ".ta-message", "No file is uploaded")
    send(browser, tmp_path / "mine.csv")
    wait_for(browser, ".ta-page", "mine.csv")
    let_go(browser, example, ".ta-page", "mine.csv")
    assert example.calls == 1


def test_the_example_is_requested_once_and_shown(browser, opened):
    example = opened("market")
    time.sleep(1)
    example.open.set()
    wait_for(browser, ".ta-page", "BTC-USD, bitfinex")
    time.sleep(1)
    assert example.calls == 1


def test_the_market_is_shown_again_after_the_file(browser, opened):
    example = opened("market")
    click(browser, "Your file")
    wait_for(browser, ".ta-message", "No file is uploaded")
    click(browser, "Embedded market")
    example.open.set()
    wait_for(browser, ".ta-page", "BTC-USD, bitfinex")


def test_a_late_example_does_not_replace_an_uploaded_image(browser, opened, tmp_path):
    image, _ = draw_chart(load_series("BTC-USD", "4h", end="2018-06-30").tail(111), STYLES["light"], 1200, 640)
    Image.fromarray(image).save(tmp_path / "chart.png")
    example = opened("image")
    send(browser, tmp_path / "chart.png")
    wait_for(browser, ".ta-of-picture", "Read: 111 bars")
    let_go(browser, example, ".ta-of-picture", "Read: 111 bars")
