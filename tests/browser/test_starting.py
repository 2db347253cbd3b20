"A person who opens the app while the service warms up gets a page that turns into the app by itself."

import threading

import httpx
import pytest
from support.browser import errors, needs_browser, visit, wait_for
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui

pytestmark = needs_browser


@pytest.fixture
def starting():
    "A service that warms up until its event is set; gives its address and the event."
    service, warm = mount_ui(create_app(small_models(), warm_in_background=True)), threading.Event()
    readiness = service.state.readiness
    readiness.tasks, readiness.beside = [lambda: warm.wait(120)], []
    with running(service) as url:
        yield url, warm
        warm.set()


def test_the_page_waits_and_becomes_the_app(browser, starting):
    url, warm = starting
    visit(browser, f"{url}/")
    assert "ohlcv-ta is starting" in wait_for(browser, "h1", "starting")
    assert browser.execute_script("return document.querySelector('img').naturalWidth") > 0
    assert [line for line in errors(browser) if "503" not in line] == []
    for path, accept in (("/app/", "application/json"), ("/api/v1/cache-stats", "text/html")):
        answer = httpx.get(url + path, headers={"Accept": accept})
        assert answer.status_code == 503 and "starting" in (answer.json().get("detail") or answer.json()["message"])
    warm.set()
    wait_for(browser, "button[role=tab]", "Chart to levels")
