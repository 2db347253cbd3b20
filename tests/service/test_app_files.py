"No request to the app reads a file of the machine, and uploads stay within their folder, quota and age."

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from support.attacks import small_disk
from support.server import free_port, running, wait_for
from support.small_models import save_small_models

from ohlcv_ta.data import load_series
from ohlcv_ta.data.catalog import data_folder
from ohlcv_ta.serving.app_access import MAX_JSON, AppAccessMiddleware
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.ui.app import create_ui
from ohlcv_ta.serving.uploads import BLOCK_SIZE, MAX_FILE_SIZE, MAX_UPLOAD_SECONDS, UploadArea, open_uploads

ROOT = Path(__file__).parents[2]
API = "/app/gradio_api"
META = {"_type": "gradio.FileData"}
SERVE = "import sys; from ohlcv_ta.cli import app; app(['serve', '--no-warm-up', '--port', sys.argv[1]])"
LAUNCH = "import sys; from ohlcv_ta.serving.ui.app import launch_ui; launch_ui(server_port=int(sys.argv[1]), quiet=True)"


@contextmanager
def process(code, project, canary, first="/health", **environment):
    "A server that has the canary in its environment and in its working folder; gives its address."
    port, uploads = free_port(), project / "uploads"
    uploads.mkdir(exist_ok=True)
    known = {"A_CANARY": canary} | os.environ | {"OHLCV_TA_DATA": str(data_folder().absolute()), "PYTHONPATH": str(ROOT),
             "OHLCV_TA_UPLOADS": str(uploads), "GRADIO_TEMP_DIR": str(uploads), "OHLCV_TA_CACHE": str(project / "cache"),
             "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"} | environment
    server = subprocess.Popen([sys.executable, "-c", code, str(port)], cwd=project, env=known, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}{first}", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def canary():
    return f"canary-{secrets.token_hex(16)}"


@pytest.fixture(scope="module")
def project(tmp_path_factory, canary):
    "A working folder with a secret in it."
    folder = tmp_path_factory.mktemp("project").resolve()
    (folder / "secret.csv").write_text(f"time,open,high,low,close,{canary}\n{canary},1,2,0,1,1\n")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def served(project, canary, models):
    with process(SERVE, project, canary, OHLCV_TA_MODELS=str(models)) as url:
        yield url


@pytest.fixture(scope="module")
def listener():
    "An address that must not get a request; yields it and the requested paths."
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *args): pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def places(project, address):
    "Names of what is no upload: files of the machine, links to them, addresses."
    uploads, secret = project / "uploads", project / "secret.csv"
    linked = uploads / (64 * "a") / "link.csv"
    linked.parent.mkdir(exist_ok=True)
    if not linked.is_symlink(): linked.symlink_to(secret)
    return ["/proc/self/environ", str(secret), "secret.csv", str(linked), f"{linked.parent}/../../secret.csv",
            "../project/secret.csv", f"file://{secret}", f"{address}/secret.csv", "data:text/csv;base64,dGltZSxvcGVu"]


def references(place):
    "What a request may say in place of an upload."
    return [{"path": place, "meta": META}, {"path": place}, place, [{"file": {"url": place, "path": None, "meta": META}}]]


def inputs_of(config, dependency):
    "Kind and value of each input of a function, as the page has them."
    components = {one["id"]: one for one in config["components"]}
    return [(components[one]["type"], components[one]["props"].get("value")) for one in dependency["inputs"]]


def arguments(inputs, reference):
    "The reference in place of everything, and of the files alone."
    yield [reference for _ in inputs]
    if any(kind in ("file", "image") for kind, _ in inputs):
        yield [reference if kind in ("file", "image") else value for kind, value in inputs]


def requests_of(dependency, data):
    "The same call through every route that runs functions: path, body, and where its answer is."
    name, number, session = dependency["api_name"] or "predict", dependency["id"], secrets.token_hex(6)
    body = {"data": data, "fn_index": number, "session_hash": session}
    for path in (f"call/{name}", f"run/{name}", f"api/{name}", "run/predict"):
        yield path, body, f"{path}/{{event_id}}"
    yield f"call/v2/{name}", {f"param_{i}": value for i, value in enumerate(data)}, f"call/{name}/{{event_id}}"
    yield "queue/join", body, f"queue/data?session_hash={session}"


def everything_said(client, path, body, answer, api=API):
    "All that a call gives away."
    reply = client.post(f"{api}/{path}", json=body)
    said = [reply.text]
    event = reply.json().get("event_id") if reply.status_code == 200 else None
    if event:
        with client.stream("GET", f"{api}/{answer.format(event_id=event)}") as stream:
            for line in stream.iter_lines():
                said.append(line)
                last = said[-2].startswith(("event: complete", "event: error")) # the line after it is the answer
                if last or '"process_completed"' in line or '"close_stream"' in line: break
    return "\n".join(said)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_no_function_reads_a_file_of_the_machine(served, project, canary, listener):
    address, asked = listener
    with httpx.Client(base_url=served, timeout=120) as client:
        config = client.get("/app/config").json()
        before = contents(project / "uploads")
        calls = [call for place in places(project, address) for reference in references(place)
                 for dependency in config["dependencies"] if dependency["inputs"]
                 for data in arguments(inputs_of(config, dependency), reference) for call in requests_of(dependency, data)]
        names = {dependency["api_name"] for dependency in config["dependencies"]}
        assert {"levels_file", "levels_picture", "levels_redraw", "breakout_file", "live"} <= names and len(calls) > 2000
        assert [call[:2] for call in calls if canary in everything_said(client, *call)] == []
        assert asked == []
        assert contents(project / "uploads") == before


def test_no_route_serves_a_file_of_the_machine(served, project, canary, listener):
    address, asked = listener
    with httpx.Client(base_url=served, timeout=60) as client:
        for place in places(project, address):
            for route in ("file=", "file/", "proxy=", "custom_component/x/client/component/", "stream/a/b/1/", "deep_link?x="):
                answer = client.get(f"{API}/{route}{place}")
                assert canary not in answer.text and answer.status_code in (307, 404), (route, place, answer.status_code)
            for route in ("static", "assets", "svelte"):
                assert canary not in client.get(f"/app/{route}/..%2f..%2f..{place}").text
    assert asked == []


@pytest.mark.parametrize("path", ["vibe-edit", "vibe-code", "undo-vibe-edit", "vibe-starter-queries", "component_server",
                                  "process_recording", "run-history/connect", "stream/x", "stream/x/close", "api/levels_file",
                                  "run/levels_file", "call/v2/levels_file", "profiling/clear", "mcp/sse"])
def test_a_route_that_the_app_does_not_use_is_closed(served, path):
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert httpx.request(method, f"{served}{API}/{path}", json={"hash": "x", "code": "x", "prompt": "x"}).status_code == 404
    for page in ("/app/monitoring", "/app/monitoring/summary", "/app/?deep_link=x", f"{API}/dev/reload", f"{API}/vibe-code"):
        assert httpx.get(served + page).status_code == 404


def test_an_upload_is_read_and_is_nobody_elses(served, project):
    bars = load_series("BTC-USD", "1h").head(400).to_csv().encode()
    with httpx.Client(base_url=served, timeout=60) as client:
        first, second = (client.post(f"{API}/upload", files={"files": ("mine.csv", bars)}).json()[0] for _ in range(2))
        assert first != second and Path(first).parents[1] == project / "uploads" # the same content is no way to a path
        assert client.get(f"{API}/file={first}").content == bars
        data = [{"path": first, "meta": META}, "UTC", False, "", 100, "rule"]
        said = everything_said(client, "call/levels_file", {"data": data}, "call/levels_file/{event_id}")
        assert "mine.csv" in said and "R1" in said
        foreign = [{"path": first, "url": f"{served}{API}/file={second}", "meta": META}, *data[1:]]
        assert client.post(f"{API}/call/levels_file", json={"data": foreign}).status_code == 403


def test_a_space_reads_no_file_either(project, canary, models):
    environment = {"OHLCV_TA_MODELS": str(models), "OHLCV_TA_UPLOADS": str(project / "space")}
    with process(LAUNCH, project, canary, "/config", **environment) as url, httpx.Client(base_url=url, timeout=60) as client:
        for place in ("/proc/self/environ", str(project / "secret.csv")):
            data = [{"path": place, "meta": META}, "UTC", False, "", 100, "rule"]
            answer = client.post("/gradio_api/call/levels_file", json={"data": data})
            assert answer.status_code == 403 and "Upload it first" in answer.json()["detail"]
            assert client.get(f"/gradio_api/file={place}").status_code == 404
        path = client.post("/gradio_api/upload", files={"files": ("mine.csv", b"time,open\n")}).json()[0]
        assert Path(path).parents[1] == project / "space"


def test_the_framework_checks_paths_even_without_the_middleware(project, canary, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    area = open_uploads(Settings(uploads=project / "framework"))
    with running(gr.mount_gradio_app(FastAPI(), create_ui({}), path="/app")) as url, httpx.Client(base_url=url) as client:
        data = [{"path": str(project / "secret.csv"), "meta": META}, "UTC", False, "", 100, "rule"]
        said = everything_said(client, "call/levels_file", {"data": data}, "call/levels_file/{event_id}")
    assert canary not in said and "event: error" in said and area.used() == 0


# The folder


async def nothing(request):
    return PlainTextResponse("reached")


@contextmanager
def guarded(area):
    "A server whose uploads go into an area; gives a client of it."
    app = AppAccessMiddleware(Starlette(routes=[Route("/{path:path}", nothing, methods=["GET", "POST"])]), area)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def send(client, size, name="bars.csv"):
    return client.post("/gradio_api/upload", files={"files": (name, bytes(size))})


def left(area):
    return sorted(path.name for path in area.folder.rglob("*") if path.name != ".ohlcv-ta-uploads")


def soon(done, wanted):
    for _ in range(200):
        if done(): return
        time.sleep(0.05)
    raise AssertionError(wanted)


def form(size):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="bars.csv"\r\n\r\n'
    return head + bytes(size) + b"\r\n--x--\r\n"


@contextmanager
def started_upload(client, body, length):
    "A connection that has sent the first part of an upload."
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                           b"Content-Length: %d\r\n\r\n" % length + body)
        yield connection


def test_a_sweep_deletes_what_is_old_whoever_put_it_there(tmp_path):
    now = time.time()
    area = UploadArea(tmp_path / "uploads", clock=lambda: now).open()
    (tmp_path / "outside.csv").write_text("stays")
    for name in ("hash", "deep_links/x"): (area.folder / name).mkdir(parents=True)
    (area.folder / "hash" / "copy.csv").write_text("as Gradio copies")
    (area.folder / "tmp1").touch()
    (area.folder / "link").symlink_to(tmp_path / "outside.csv")
    (area.folder / "loop").symlink_to(tmp_path)
    (area.folder / ".receiving-dead").mkdir()
    now += 2 * MAX_UPLOAD_SECONDS + 5
    area.sweep()
    assert left(area) == ["copy.csv", "deep_links", "hash", "link", "loop", "tmp1", "x"] # what a killed process left is gone
    now += 3600 - 2 * MAX_UPLOAD_SECONDS - 10
    area.sweep()
    assert "copy.csv" in left(area)
    (area.folder / "fresh").mkdir()
    os.utime(area.folder / "fresh", (now, now))
    now += 10
    area.sweep()
    assert left(area) == ["fresh"] and (tmp_path / "outside.csv").read_text() == "stays"
    assert UploadArea(area.folder).open().used() == BLOCK_SIZE # it is known again after a restart


def test_an_upload_beyond_the_quota_is_refused_until_there_is_room(tmp_path):
    area = UploadArea(tmp_path / "uploads", quota=2**20).open()
    with guarded(area) as client:
        answers = [send(client, 300_000) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 507, 507]
        assert "full at the moment" in answers[-1].text and answers[-1].headers["content-type"].startswith("text/plain")
        assert left(area).count("bars.csv") == 3 and area.used() <= area.quota
        area.clock = lambda: time.time() + area.age + 1
        assert send(client, 300_000).status_code == 200
        assert left(area).count("bars.csv") == 1


def test_small_files_are_counted_by_the_room_they_take(tmp_path):
    area = UploadArea(tmp_path / "uploads", quota=40 * BLOCK_SIZE).open()
    with guarded(area) as client:
        assert [send(client, 1).status_code for _ in range(30)].count(200) < 20


def test_uploads_that_come_at_the_same_time_share_the_quota(tmp_path):
    area = UploadArea(tmp_path / "uploads", quota=2**20).open()
    with guarded(area) as client:
        with started_upload(client, form(600_000)[:300_000], len(form(600_000))):
            soon(lambda: left(area), "the first upload has begun")
            assert send(client, 600_000).status_code == 507
        soon(lambda: not left(area), "what had come of it is gone")
        assert send(client, 600_000).status_code == 200


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path):
    area = UploadArea(tmp_path / "uploads").open()
    with guarded(area) as client:
        with started_upload(client, form(2**20)[:2**19], len(form(2**20))):
            soon(lambda: left(area), "it has begun")
        soon(lambda: not left(area), "nothing is left of it")
        headers = {"content-type": "multipart/form-data; boundary=x"}
        cut = client.post("/gradio_api/upload", content=form(1000)[:500], headers=headers)
        assert (cut.status_code, left(area)) == (400, [])
        for body in (b"", b"--x\r\n\r\n", form(10).replace(b'; filename="bars.csv"', b""),
                     form(10).replace(b"bars.csv", b"..")):
            assert client.post("/gradio_api/upload", content=body, headers=headers).status_code == 400, body
        assert client.post("/gradio_api/upload", json={}).status_code == 400
        assert left(area) == []


def test_what_is_too_large_is_not_taken(tmp_path):
    area = UploadArea(tmp_path / "uploads").open()
    with guarded(area) as client:
        assert send(client, MAX_FILE_SIZE).status_code == 200
        assert send(client, MAX_FILE_SIZE + 1).status_code == 413
        assert send(client, MAX_FILE_SIZE + 2**20).status_code == 413
        unknown = httpx.post(f"{client.base_url}/gradio_api/upload", content=iter([form(MAX_FILE_SIZE), bytes(2**20)]),
                             headers={"content-type": "multipart/form-data; boundary=x"})
        assert unknown.status_code == 413 and left(area).count("bars.csv") == 1
        assert client.post("/gradio_api/queue/join", json={"data": [MAX_JSON * "x"]}).status_code == 413
        assert client.post("/gradio_api/queue/join", content=50_000 * b"[").status_code == 400
        double = b'{"data": [{"path": null, "path": "/proc/self/environ"}]}'
        assert client.post("/gradio_api/queue/join", content=double).status_code == 403


def test_a_full_disk_is_said_and_nothing_stays(tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk, guarded(area := UploadArea(disk / "uploads").open()) as client:
        full = send(client, 3 * 2**20)
        assert (full.status_code, left(area)) == (507, []) and "disk for uploads is full" in full.text
        assert send(client, 100_000).status_code == 200
        assert [send(client, 500_000).status_code for _ in range(3)] == [200, 507, 507]
        assert json.loads(send(client, 1000).text)[0].endswith("bars.csv") and left(area).count("bars.csv") == 3


@pytest.mark.parametrize("make", [lambda folder: (folder / "thesis.csv").write_text("years of work"),
                                  lambda folder: (folder / "notes").mkdir()])
def test_a_folder_with_other_files_is_refused(tmp_path, make):
    make(tmp_path)
    with pytest.raises(ValueError, match="OHLCV_TA_UPLOADS"):
        UploadArea(tmp_path).open()
    assert len(list(tmp_path.iterdir())) == 1
