"Who is let in: hosts, origins, keys, half-sent requests, and a service that is not warm yet."

import http.client
import json
import socket
import time
from contextlib import contextmanager

import httpx
import pytest
from support.server import free_port, started
from support.small_models import save_small_models, small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.http.schemas import EXAMPLE_FEATURES
from ohlcv_ta.serving.server import HEADER_TIMEOUT, TimedProtocol, serve_in_thread
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.ui.app import mount_ui

START = "/api/v1/scheduler/start"


@contextmanager
def serving(tmp_path, ui=False, **given):
    app = create_app(small_models(), Settings(cache=tmp_path / "cache", uploads=tmp_path / "uploads", **given))
    with (serve_in_thread(mount_ui(app) if ui else app, "127.0.0.1", 0, proxy_headers=False) as port,
          httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client):
        yield client


@pytest.mark.parametrize("headers, status", [
    ({"Host": "rebound.example.com"}, 421), ({"Host": "rebound.example.com:9696"}, 421), ({"Host": "charts.example.org"}, 200),
    ({"Host": "localhost:9696"}, 200), ({"Host": "app"}, 200), ({"Host": "[::1]:9696"}, 200),
])
def test_hosts(tmp_path, headers, status):
    with serving(tmp_path, trusted_hosts="charts.example.org") as client:
        for path in ("/health", "/docs"): assert client.get(path, headers=headers).status_code == status
        assert client.post("/predict", json=EXAMPLE_FEATURES, headers=headers).status_code == status


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                                     {"Origin": "http://127.0.0.1:1"}, {"Origin": "http://127.0.0.1.example.com"}])
def test_pages_of_others_change_nothing(tmp_path, headers):
    with serving(tmp_path) as client:
        refused = client.post(START, headers=headers)
        assert refused.status_code == 403 and refused.json()["status"] == "error"
        assert client.get("/api/v1/scheduler/status").json()["is_running"] is False
        assert client.get("/health", headers=headers).status_code == 200


def test_our_own_pages_do(tmp_path):
    with serving(tmp_path) as client:
        assert client.post(START, headers={"Origin": str(client.base_url).rstrip("/")}).status_code == 200
        assert client.post("/api/v1/scheduler/stop").status_code == 200


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Forwarded-Proto", "X-Gradio-Server", "Forwarded"])
def test_a_stranger_does_not_speak_for_a_proxy(tmp_path, name):
    with serving(tmp_path, ui=True) as client:
        config = client.get("/app/config", headers={name: "https://evil.example.com"})
        assert config.status_code == 200 and "evil" not in config.text
        page = client.get("/", headers={"Accept": "text/html", name: "https://evil.example.com"})
        assert page.status_code == 307 and "evil" not in str(page.headers)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/app/", "/app/config", "/predict", "/nothing"])
def test_wrong_keys_are_counted_on_every_route(tmp_path, path):
    with serving(tmp_path, ui=True, api_key="right") as client:
        for _ in range(12): assert client.get(path).status_code == 401 # nobody is locked out for having no key
        codes = [client.get(path, headers={"X-API-Key": f"guess {k}"}).status_code for k in range(12)]
        assert codes == [401] * 10 + [429] * 2
        late = client.get(path, headers={"X-API-Key": "right"})
        assert late.status_code == 429 and 0 < int(late.headers["Retry-After"]) <= 60
        assert client.get("/health").status_code == 200 and client.get("/metrics").status_code == 200


def test_half_sent_requests_do_not_stay(tmp_path):
    "Five hundred of them; meanwhile others are answered."
    app = create_app(small_models(), Settings(cache=tmp_path / "cache"))
    with serve_in_thread(app, "127.0.0.1", 0, http=TimedProtocol) as port:
        half = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
        for one in half: one.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-")
        began = time.monotonic()
        assert httpx.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200
        for one in half:
            one.settimeout(60)
            assert one.recv(100).startswith(b"HTTP/1.1 408")
            one.close()
        assert time.monotonic() - began < HEADER_TIMEOUT + 10


def test_a_body_that_drips_is_not_waited_for(tmp_path):
    app = create_app(small_models(), Settings(cache=tmp_path / "cache"))
    limits = next(one for one in app.user_middleware if one.cls.__name__ == "BodyLimitMiddleware")
    limits.kwargs["timeout"] = 1.0
    with serve_in_thread(app, "127.0.0.1", 0, http=TimedProtocol) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 408 and "within 1 seconds" in json.loads(answer.read())["detail"]


def test_it_listens_first_and_says_starting_until_it_is_warm(tmp_path):
    models, port = save_small_models(tmp_path / "models"), free_port()
    aside, seen = free_port(), []

    def poll(path):
        try: return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10)
        except httpx.TransportError: return None

    with started(models, "--no-ui", "--status-port", str(aside), "--port", str(port), warm_up=True, wait=False,
                 OHLCV_TA_CACHE=str(tmp_path / "cache")) as (_, process):
        while not seen or seen[-1].status_code != 200:
            if answer := poll("/health"):
                if answer.status_code == 503 and not seen:
                    refused = httpx.post(f"http://127.0.0.1:{port}/predict", json=EXAMPLE_FEATURES)
                    live = httpx.get(f"http://127.0.0.1:{aside}/live")
                    ready = httpx.get(f"http://127.0.0.1:{aside}/ready")
                seen.append(answer)
            assert process.is_running()
            time.sleep(0.05)
        assert [answer.json()["status"] for answer in (seen[0], seen[-1])] == ["starting", "healthy"]
        assert refused.status_code == 503 and refused.headers["Retry-After"]
        assert (live.status_code, live.json(), ready.status_code) == (200, {"status": "starting"}, 503)
        assert httpx.get(f"http://127.0.0.1:{aside}/ready").status_code == 200
        assert b"http_requests_total" in httpx.get(f"http://127.0.0.1:{aside}/metrics").content
        assert httpx.get(f"http://127.0.0.1:{aside}/predict").status_code == 404 # nothing else is there
