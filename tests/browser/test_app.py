"The app in a browser: an embedded market, an uploaded file, and invalid files."

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.browser import (
    choose,
    click,
    drawn_by_plotly,
    errors,
    file_input,
    needs_browser,
    nothing_wrong,
    press,
    text,
    type_into,
    until,
    visit,
    wait_for,
)
from support.server import running
from support.small_models import small_models

from ohlcv_ta.charts.candlestick import draw_mplfinance
from ohlcv_ta.charts.image_io import to_png
from ohlcv_ta.data import load_series
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import TABS, mount_ui
from ohlcv_ta.serving.ui.components import format_curl, format_python

pytestmark = needs_browser
NOTES = {tab.name: tab.note for tab in TABS}


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app(small_models()))) as url:
        yield url


@pytest.fixture
def page(browser, url):
    "A freshly loaded app, whose browser log must be free of errors at the end of the test."
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Chart to levels")
    click(browser, "Breakout")
    wait_for(browser, ".ta-page", "probability")
    settled(browser)
    yield browser
    nothing_wrong(browser)


def settled(browser):
    "Wait until no answer of the app has been pending for a second, in any tab."
    quiet = [time.monotonic()]
    def still():
        if browser.execute_script("return document.querySelector('.ta-result .pending, .ta-result .generating') !== null"):
            quiet[0] = time.monotonic()
        return time.monotonic() - quiet[0] > 1
    until(browser, still, "every answer of the app has come", 60)


def upload(browser, path):
    click(browser, "Your file")
    wait_for(browser, ".ta-message", "No file is uploaded")
    file_input(browser).send_keys(str(path))


def hourly(rows=24 * 40):
    return load_series("BTC-USD", "1h").loc["2019-05-01":].head(rows)


def test_an_embedded_market_is_shown_at_once(page):
    shown = wait_for(page, ".ta-page")
    assert shown.startswith("BTC-USD, bitfinex")
    for part in ("probability that the next session", "Calibration", "Feature contributions", "SHAP", "all sessions"):
        assert part in shown
    chart = page.execute_script("return document.querySelector('.ta-chart .ta-wide').textContent")
    assert all(level in chart for level in ("VAH", "POC", "VAL"))


def test_another_market_day_and_rule(page):
    choose(page, "Market", "SPY (nyse)")
    shown = wait_for(page, ".ta-page", "SPY, nyse")
    assert "Monday 30 December 2019" in shown or "Tuesday 31 December 2019" in shown
    assert "bars of 30m" in shown
    choose(page, "Session", "Mon 5 Feb 2018")
    shown = wait_for(page, ".ta-page", "Monday 5 February 2018")
    assert "Outcome" in shown
    click(page, "One row")
    wait_for(page, ".ta-page", "trained with another value area rule")


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_and_draws_one_chart(page, width):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": width < 500})
    try:
        visible = "return ['wide', 'narrow'].map(s => document.querySelector('.ta-chart .ta-' + s).offsetParent !== null)"
        assert page.execute_script(visible) == [width == 1280, width == 390]
        tabs = "return [...document.querySelector('[role=tablist]').querySelectorAll('[role=tab]')].map(tab => tab.innerText)"
        wanted = ["Chart to levels", "Breakout", "Trend", "Analysis", "Volume scan", "Live"]
        until(page, lambda: page.execute_script(tabs) == wanted, "six tabs are visible, none in a menu")
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_uploaded_file_is_read(page, tmp_path, kind):
    path, frame = tmp_path / f"mine.{kind}", hourly()
    if kind == "csv":
        frame.to_csv(path)
    elif kind == "json":
        frame.reset_index().to_json(path, orient="records", date_format="iso")
    else:
        frame.to_parquet(path)
    upload(page, path)
    shown = wait_for(page, ".ta-page", f"mine.{kind}")
    assert "Sunday 9 June 2019" in shown and "probability" in shown


def bad_files():
    "Content of each file, and a word that its error must contain."
    frame = hourly().reset_index()
    csv = frame.to_csv(index=False)
    lines = csv.splitlines()
    swapped = frame.assign(High=frame.Low - 1).to_csv(index=False)
    naive = frame.assign(time=frame.time.dt.strftime("%d.%m. %H:%M")).to_csv(index=False)
    parquet = frame.to_parquet()
    text_in_a_number = "\n".join([*lines[:9], lines[9].replace(lines[9].split(",")[2], "much"), *lines[10:]])
    return {
        "missing-column.csv": (frame.drop(columns="High").to_csv(index=False), "High"),
        "text-in-a-number.csv": (text_in_a_number, "line 10"),
        "high-below-low.csv": (swapped, "High"),
        "duplicate-times.csv": ("\n".join([*lines[:5], lines[4], *lines[5:]]), "line"),
        "unsorted.csv": ("\n".join([lines[0], *reversed(lines[1:])]), "line"),
        "negative-volume.csv": (frame.assign(Volume=-frame.Volume).to_csv(index=False), "Volume"),
        "empty.csv": ("", "empty"),
        "header-only.csv": (lines[0], "no bars"),
        "unreadable-times.csv": (naive, "time"),
        "latin1.csv": (csv.replace("time", "Zeit für", 1).encode("latin-1"), "UTF-8"),
        "truncated.parquet": (parquet[: len(parquet) // 2], "parquet"),
        "broken.json": ('[{"time": "2019-01-01"', "JSON"),
        "a-picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "must end with .csv"),
        "daily.csv": (load_series("NVDA").to_csv(), "bars of 1d"),
        "ten-days.csv": (hourly(240).to_csv(), "at least 5 more"),
    }


BAD = [
    "missing-column.csv", "text-in-a-number.csv", "high-below-low.csv", "duplicate-times.csv", "unsorted.csv",
    "negative-volume.csv", "empty.csv", "header-only.csv", "unreadable-times.csv", "latin1.csv", "truncated.parquet",
    "broken.json", "a-picture.png", "daily.csv", "ten-days.csv",
]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_shows_its_error(page, tmp_path, name):
    content, says = bad_files()[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    upload(page, path)
    shown = wait_for(page, ".ta-message", "This file can't be read")
    assert says in shown and str(tmp_path) not in shown and "uploads" not in shown
    assert len(shown) < 400


def test_repairs_are_optional_and_listed(page, tmp_path):
    lines = hourly().to_csv().splitlines()
    path = tmp_path / "twice.csv"
    path.write_text("\n".join([*lines[:5], lines[4], *lines[5:]]))
    upload(page, path)
    assert "Repair small errors" in wait_for(page, ".ta-message", "This file can't be read")
    click(page, "Repair small errors")
    assert "Repaired" in wait_for(page, ".ta-notes", "Repaired")


def test_hours_of_another_market(page, tmp_path):
    path = tmp_path / "spy.csv"
    bars = load_series("SPY", "30m").loc["2018-06":"2018-08"]
    bars.index = bars.index.tz_convert("America/New_York").tz_localize(None)
    bars.to_csv(path)
    upload(page, path)
    wait_for(page, ".ta-message", "half of its bars") # 13 bars are few for a whole day in UTC
    choose(page, "Time zone of the exchange", "America/New_York")
    for label, value in (("Session start", "09:30"), ("Session end", "16:00")):
        type_into(page, label, value)
    assert "Friday 31 August 2018" in wait_for(page, ".ta-page", "spy.csv")


def test_a_file_name_is_only_text(page, tmp_path):
    path = tmp_path / "<img src=x onerror=alert(1)>.csv"
    hourly().to_csv(path)
    upload(page, path)
    wait_for(page, ".ta-page", ".csv")
    assert page.execute_script("return document.querySelectorAll('.ta-page img').length") == 0


def test_docs_render_without_a_network(browser, url):
    visit(browser, f"{url}/docs")
    assert "/batch-predict" in wait_for(browser, "#swagger-ui", "/batch-predict")
    assert errors(browser) == []


def test_without_a_model_the_page_shows_how_to_fetch_it(browser):
    with running(mount_ui(create_app({}))) as url:
        visit(browser, f"{url}/app/")
        wait_for(browser, "button[role=tab]", "Chart to levels")
        click(browser, "Breakout")
        assert "dvc pull" in wait_for(browser, ".ta-message", "dvc pull")
        browser.get("about:blank")
        browser.get_log("browser")


def test_the_app_shows_the_prediction_of_the_model(page):
    "The probability on the page is the prediction of the model for the same session."
    from ohlcv_ta.data import session_hours
    from ohlcv_ta.models.breakout.inference import build_history, explain_session

    history = build_history(load_series("BTC-USD", "1h"), session_hours("BTC-USD"))
    explanation = explain_session(history, small_models()["breakout/relative"])
    assert text(page, ".ta-big") == f"{explanation.probability:.0%}"
    assert np.isfinite(explanation.why).all() and json.dumps(explanation.probability)


def test_each_tab_names_the_title_of_its_chapter():
    for note in NOTES.values():
        cells = json.loads(Path("nbs/pipeline", f"{note.chapter}.ipynb").read_text())["cells"]
        assert cells[0]["source"][0].strip() == f"# {note.title}"


def test_an_address_opens_a_session(browser, url):
    visit(browser, f"{url}/app/?tab=breakout&market=SPY%20(nyse)&session=2018-02-05")
    assert "Monday 5 February 2018" in wait_for(browser, ".ta-page", "SPY, nyse")
    choose(browser, "Session", "Tue 6 Feb 2018")
    wait_for(browser, ".ta-page", "Tuesday 6 February 2018")
    until(browser, lambda: "session=2018-02-06" in browser.current_url, "the address names the session")
    nothing_wrong(browser)


def test_a_chart_is_drawn_by_plotly_once_it_is_pointed_at(page):
    chart = page.execute_script("return [...document.querySelectorAll('.ta-chart')].find(one => one.offsetParent)")
    height, width = chart.size["height"], page.execute_script("return document.querySelector('.gradio-container').clientWidth")
    assert page.execute_script("return window.Plotly === undefined")
    assert drawn_by_plotly(page) == ["candlestick", "bar"] and abs(chart.size["height"] - height) < 8
    click(page, "Live")
    assert page.execute_script("return document.querySelector('.gradio-container').clientWidth") == width


def test_a_narrow_window_folds_the_controls(page):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True})
    try:
        field = "return [...document.querySelectorAll('.ta-controls input')].some(one => one.offsetParent)"
        assert not page.execute_script(field)
        press(page, "Inputs and settings")
        assert page.execute_script(field)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_names_a_picture_for_shared_links(url):
    page = httpx.get(f"{url}/app/").text
    assert 'property="og:image" content="card.png"' in page
    card = httpx.get(f"{url}/app/card.png", timeout=60)
    assert card.headers["content-type"] == "image/png" and len(card.content) > 10_000


def test_a_tab_names_its_chapter_and_its_request(page):
    wait_for(page, "body", "the chapter “Can a breakout be predicted?” of the book")
    press(page, "Use from a program")
    wait_for(page, "body", "curl http://localhost:9696/predict")


@pytest.mark.parametrize("name", [name for name, note in NOTES.items() if note.path])
def test_requests_work_as_pasted(name, url, tmp_path):
    (tmp_path / "chart.png").write_bytes(to_png(draw_mplfinance(load_series("SPY", "1d").tail(120))[0]))
    curl, python = format_curl(NOTES[name], url), format_python(NOTES[name], url)
    for command in (["bash", "-c", f"{curl} --fail --silent --show-error"], [sys.executable, "-c", python]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout.startswith("{"), done.stdout + done.stderr
