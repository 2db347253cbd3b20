"A real browser for the tests of the app, and what is done with it."

import os
import shutil
import time

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
         "disable-component-update", "disable-sync", "hide-scrollbars"]
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER) and os.environ.get("CI") != "true",
                                   reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"user-data-dir={tmp_path_factory.mktemp('profile')}", "window-size=1280,1400"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def visit(browser, url):
    "Open a page; what the page before it complains of when it is left in the middle of an answer is not this one's fault."
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(url)


def errors(browser):
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def nothing_wrong(browser):
    "No error in the browser's log, and no trace of one on the page."
    assert errors(browser) == []
    shown = text(browser, "body")
    assert "Traceback" not in shown and "Error" not in shown.replace("FrameError", "")


def until(browser, done, wanted, seconds=40):
    "What a question answers once the answer is yes; patience, not a measurement."
    for _ in range(seconds * 10):
        if answer := done():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"{wanted}: it never happened; the page says: {text(browser, 'body')[:2000]}")


def wait_for(browser, selector, says="", seconds=40):
    "The text of the first element that is there and says something."
    def found():
        shown = text(browser, selector)
        return shown if says in shown else ""
    return until(browser, found, f"{says!r} at {selector}", seconds)


def text(browser, selector):
    "The text of the first element that is to be seen, or of the first one; of several tabs only one is open."
    script = """const all = [...document.querySelectorAll(arguments[0])];
        const e = all.find(one => one.getClientRects().length) || all[0]; return e ? e.innerText : ''"""
    return browser.execute_script(script, selector)


def file_input(browser):
    "The file input of the tab that is open; the input itself is never to be seen."
    script = """return [...document.querySelectorAll('input[type=file]')]
        .find(one => one.closest('.block, .form, [role=tabpanel]')?.offsetParent)"""
    return until(browser, lambda: browser.execute_script(script), "a file input in the open tab")


def visible(browser, selector=".ta-page"):
    "The text of all elements that are to be seen."
    found = f"[...document.querySelectorAll('{selector}')].filter(e => e.offsetParent)"
    return browser.execute_script(f"return {found}.map(e => e.innerText).join(' ')")


def press(browser, words):
    "Press a button once it is there; a tab that is opened for the first time draws its controls a moment later."
    said = "b.innerText.replace('▼', '').trim()" # of what can be folded out, the arrow is part
    find = f"[...document.querySelectorAll('button')].find(b => b.offsetParent && {said} == arguments[0])"
    button = until(browser, lambda: browser.execute_script(f"return {find}", words), f"a button {words!r}")
    browser.execute_script("arguments[0].click()", button)


def click(browser, label):
    script = """const all = [...document.querySelectorAll('button[role=tab], label')]
        .filter(e => e.innerText.trim() == arguments[0]); (all.find(e => e.offsetParent) || all[0]).click()"""
    browser.execute_script(script, label)


def drawn_by_plotly(browser):
    "Point at the first chart that is to be seen; the kinds of the traces that Plotly then draws."
    chart = browser.execute_script("return [...document.querySelectorAll('.ta-chart')].find(one => one.offsetParent)")
    browser.execute_script("arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))", chart)
    until(browser, lambda: chart.get_attribute("data-drawn") == "done", "Plotly draws the chart")
    return browser.execute_script("return arguments[0].querySelector('.ta-plot').data.map(trace => trace.type)", chart)


def choose(browser, label, value):
    from selenium.webdriver.common.keys import Keys

    box = next(b for b in browser.find_elements("css selector", f"input[aria-label='{label}']") if b.is_displayed())
    box.click()
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(value)
    box.send_keys(Keys.ENTER)


def type_into(browser, label, value):
    from selenium.webdriver.common.keys import Keys

    script = "return [...document.querySelectorAll('label')].find(e => e.innerText.trim() == arguments[0])"
    script += "?.querySelector('input, textarea')"
    box = until(browser, lambda: browser.execute_script(script, label), f"a field {label!r}")
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(value)
    box.send_keys(Keys.ENTER)
