"The levels tab in a browser: pasted pictures, images of every format, axis, layers, downloads and bars."

import base64
import json
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from support.browser import choose, click, file_input, needs_browser, nothing_wrong, text, type_into, until, visit, wait_for
from support.server import running
from support.small_models import small_masks

from ohlcv_ta.charts import STYLES, draw_chart
from ohlcv_ta.data import load_series
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui

pytestmark = needs_browser
PICTURE, BARS = ".ta-of-picture", ".ta-of-bars"


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app({"masks": small_masks()}))) as url:
        yield url


@pytest.fixture
def tab(browser, url):
    "The tab with its first example, whose browser log must be free of errors at the end of the test."
    visit(browser, f"{url}/app/")
    wait_for(browser, PICTURE, "Levels, from the top down")
    yield browser
    nothing_wrong(browser)


def candles(path, kind="PNG"):
    "A chart whose price axis is at the right, and how its prices are spaced."
    image, geometry = draw_chart(load_series("BTC-USD", "4h", end="2018-06-30").tail(120), STYLES["dark"], 1200, 640)
    Image.fromarray(image).save(path, kind)
    return path, geometry


def two_lines(path, kind="PNG"):
    "White, with a dark line at row 60.5 and a paler one at row 200.5; 512 x 256 pixels."
    image = np.full((256, 512, 3), 255, np.uint8)
    image[59:62], image[199:202] = 20, 90
    Image.fromarray(image).save(path, kind)
    return path


def upload(browser, path):
    "A file in place of the example, whose page has gone when this returns."
    browser.execute_script(f"document.querySelector('{PICTURE} article').id = 'example'")
    file_input(browser).send_keys(str(path))
    until(browser, lambda: not browser.find_elements("id", "example"), "the page of the example is gone")


def rows(browser):
    return browser.execute_script("""return [...document.querySelectorAll('.ta-table tbody tr')].filter(r => r.offsetParent)
        .map(r => [...r.cells].map(c => c.innerText))""")


def saved(browser):
    "Content of the files that the page offers, by their ending."
    script = "return [...document.querySelectorAll('a.ta-button')].filter(a => a.offsetParent).map(a => [a.download, a.href])"
    return {name.rsplit(".", 1)[1]: unquote(link.split(",", 1)[1]) for name, link in browser.execute_script(script)}


def put(browser, label, value):
    "A number into a field, all at once."
    browser.execute_script("""const box = document.querySelector(`input[type=number][aria-label="${arguments[0]}"]`);
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, arguments[1]);
        box.dispatchEvent(new Event('input', {bubbles: true}))""", label, str(value))


def click_at(browser, row, height=256):
    from selenium.webdriver import ActionChains

    over = browser.find_element("css selector", ".ta-overlay")
    down = round(over.rect["height"] * (row / height - 0.5))
    ActionChains(browser).move_to_element_with_offset(over, 0, down).click().perform()


def paste(browser, path):
    "A picture from the clipboard, pasted anywhere on the page."
    browser.execute_script("""const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0));
        const files = new DataTransfer();
        files.items.add(new File([bytes], 'pasted.png', {type: 'image/png'}));
        document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true, cancelable: true}));""",
        base64.b64encode(path.read_bytes()).decode())


def networks(browser):
    "Lines of the networks in place of those of the bars."
    browser.execute_script("""[...document.querySelectorAll('button.label-wrap')]
        .find(button => button.textContent.includes('from networks')).click()""")
    until(browser, lambda: browser.find_elements("css selector", "input[value=networks]"), "the readers to choose from")
    browser.execute_script("document.querySelector('input[value=networks]').click()")


def test_an_example_is_read_like_any_picture(tab):
    assert tab.execute_script("return document.querySelector('.ta-picture').naturalWidth") == 1150
    assert "hollow" in text(tab, PICTURE) or "candles" in text(tab, PICTURE)
    assert len(tab.find_elements("css selector", ".ta-mark")) == 2
    click(tab, "A line")
    wait_for(tab, PICTURE, "as line")


def test_a_pasted_picture_has_prices_with_no_further_click(tab, tmp_path):
    path, geometry = candles(tmp_path / "pasted.png")
    paste(tab, path)
    shown = wait_for(tab, PICTURE, "Read: 120 bars as candles")
    assert "Bars as CSV" in shown
    levels = json.loads(saved(tab)["json"])["levels"]
    assert len(levels) >= 3 and len(rows(tab)) >= len(levels)
    for line in levels: assert abs(line["price"] - geometry.price(line["row"])) < 0.003 * (geometry.high - geometry.low)
    second, _ = candles(tmp_path / "second.png")
    paste(tab, second) # in place of the first
    wait_for(tab, PICTURE, "Read: 120 bars as candles")


def test_what_lies_over_the_picture_can_be_chosen(tab):
    kinds = "['.ta-read', 'line.ta-above', 'line.ta-below']"
    count = f"return {kinds}.map(kind => document.querySelectorAll('.ta-overlay ' + kind).length)"
    before = tab.execute_script(count)
    assert before[0] == 1 and before[1] + before[2] > 3
    click(tab, "Bars")
    until(tab, lambda: tab.execute_script(count)[0] == 0, "the bars are gone")
    click(tab, "Levels")
    until(tab, lambda: tab.execute_script(count) == [0, 0, 0], "the levels are gone")


def test_bars_are_saved(tab, tmp_path):
    paste(tab, candles(tmp_path / "pasted.png")[0])
    wait_for(tab, PICTURE, "Read: 120 bars as candles")
    script = "return [...document.querySelectorAll('a.ta-button')].filter(a => a.download.includes('bars')).map(a => a.href)[0]"
    lines = unquote(tab.execute_script(script).split(",", 1)[1]).splitlines()
    assert lines[0] == "time,position,open,high,low,close,volume,confidence" and len(lines) == 121


def test_a_picture_without_a_chart(tab, tmp_path):
    upload(tab, two_lines(tmp_path / "two.png"))
    wait_for(tab, PICTURE, "No chart was found")
    assert not tab.find_elements("css selector", ".ta-mark")


def test_a_threshold_moves_the_lines_of_the_networks(tab, tmp_path):
    upload(tab, two_lines(tmp_path / "two.png"))
    wait_for(tab, PICTURE, "No chart was found")
    networks(tab)
    wait_for(tab, PICTURE, "Levels, from the top down")
    assert [row[0].split()[0] for row in rows(tab)] == ["row"] * 2
    put(tab, "number input for Threshold", 0.9)
    until(tab, lambda: len(rows(tab)) == 1, "one line is left")
    assert abs(float(rows(tab)[0][1]) - 60.5) < 1


def test_two_clicks_and_two_prices_make_an_axis(tab, tmp_path):
    upload(tab, two_lines(tmp_path / "two.png"))
    wait_for(tab, PICTURE, "No chart was found")
    networks(tab)
    assert "price axis could not be read" in wait_for(tab, PICTURE, "Levels, from the top down")
    assert "no prices" in text(tab, PICTURE) and "pine" not in saved(tab)
    click_at(tab, 60.5)
    wait_for(tab, ".ta-mark", "1")
    click_at(tab, 200.5)
    until(tab, lambda: len(tab.find_elements("css selector", ".ta-mark")) == 2, "a second mark")
    put(tab, "Price 1", 100)
    wait_for(tab, PICTURE, "Still missing: the price of point 2")
    put(tab, "Price 2", 100)
    wait_for(tab, PICTURE, "make no axis")
    put(tab, "Price 2", 50)
    until(tab, lambda: rows(tab) and "row" not in rows(tab)[0][0], "prices at the levels")
    high, low = (float(row[0]) for row in rows(tab))
    assert abs(high - 100) < 1 and abs(low - 50) < 1


def test_the_files_hold_what_is_shown(tab, tmp_path):
    upload(tab, two_lines(tmp_path / "my chart.png"))
    wait_for(tab, PICTURE, "No chart was found")
    networks(tab)
    wait_for(tab, PICTURE, "Levels, from the top down")
    steps = {"Row 1": (0, ["1"]), "Price 1": (356, ["1: 356"]), "Row 2": (256, ["1: 356", "2"]),
             "Price 2": (100, ["1: 356", "2: 100"])} # two events within milliseconds may be answered in either order
    for label, (value, marks) in steps.items():
        put(tab, label, value)
        until(tab, lambda marks=marks: [mark.text for mark in tab.find_elements("css selector", ".ta-mark")] == marks, marks)
    until(tab, lambda: "pine" in saved(tab), "a script to save")
    files, shown = saved(tab), [float(row[0]) for row in rows(tab)]
    assert [round(one["price"], 1) for one in json.loads(files["json"])["levels"]] == shown
    assert [float(line.split(",")[1]) for line in files["csv"].splitlines()[1:]] == pytest.approx(shown, abs=0.05)
    assert files["pine"].startswith("//@version=6") and files["pine"].count("    drawLevel(") == 2
    names = tab.execute_script("return [...document.querySelectorAll('a.ta-button')].map(a => a.download)")
    assert names == [f"my-chart-levels.{kind}" for kind in ("csv", "json", "pine")]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_other_image_formats(tab, tmp_path, kind):
    upload(tab, candles(tmp_path / f"chart.{kind.lower()}", kind)[0])
    shown = wait_for(tab, PICTURE, "Levels, from the top down")
    assert "Read: 1" in shown or kind == "GIF"


BAD = {
    "words.png": (b"no picture at all", "text, and no PNG"),
    "cut.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "header can't be read"),
    "half.jpg": (None, "damaged or cut off"),
    "tiny.png": (None, "a chart needs at least 16"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_shows_its_error(tab, tmp_path, name):
    content, says = BAD[name]
    path = tmp_path / name
    if name == "half.jpg":
        content = two_lines(tmp_path / "whole.jpg", "JPEG").read_bytes()[:700]
    if content is None:
        Image.new("RGB", (9, 9)).save(path)
    else:
        path.write_bytes(content)
    upload(tab, path)
    shown = wait_for(tab, PICTURE, "This image can't be read")
    assert says in shown and str(tmp_path) not in shown and "uploads" not in shown
    assert tab.execute_script("return document.querySelectorAll('.ta-picture').length") == 0


def test_an_embedded_series(tab):
    click(tab, "Market")
    assert "BTC-USD, bitfinex, 1h" in wait_for(tab, BARS, "Next above")
    choose(tab, "Series", "SPY (nyse)")
    wait_for(tab, BARS, "SPY, nyse, 1h")
    type_into(tab, "End date\nEnter applies it; empty: the latest bar", "2018-02-05")
    assert "Monday 5 February 2018" in wait_for(tab, BARS, "February 2018")
    click(tab, "Clustered swing points")
    wait_for(tab, BARS, "Next below")
    assert rows(tab) and "pine" in saved(tab)
    type_into(tab, "End date\nEnter applies it; empty: the latest bar", "soon")
    wait_for(tab, BARS, "is not a date")


def test_a_file_of_bars(tab, tmp_path):
    click(tab, "Your bars")
    wait_for(tab, BARS, "No file is uploaded")
    bars = load_series("BTC-USD", "1h").head(400)
    bars.to_csv(tmp_path / "mine.csv")
    bars.drop(columns="High").to_csv(tmp_path / "bad.csv")
    boxes = tab.find_elements("css selector", "input[type=file]")
    boxes[-1].send_keys(str(tmp_path / "mine.csv"))
    wait_for(tab, BARS, "mine.csv")
    assert "S1" in text(tab, BARS) or "R1" in text(tab, BARS)


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window(tab, width):
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                        {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": width < 500})
    try:
        assert tab.execute_script("return document.documentElement.scrollWidth") <= width
        boxes = "return ['.ta-picture', '.ta-overlay'].map(s => document.querySelector(s).getBoundingClientRect().toJSON())"
        picture, over = tab.execute_script(boxes)
        assert all(abs(picture[side] - over[side]) < 2 for side in ("left", "top", "width", "height"))
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_networks_pictures_and_bars_have_levels(browser):
    with running(mount_ui(create_app({}))) as url:
        visit(browser, f"{url}/app/")
        assert "Read: " in wait_for(browser, PICTURE, "Levels, from the top down")
        click(browser, "Market")
        wait_for(browser, BARS, "Next above")
        browser.get("about:blank")
        browser.get_log("browser")
