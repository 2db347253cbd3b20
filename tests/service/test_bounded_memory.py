"Whatever is sent, the service stays within the memory that its manifest grants, and answers others meanwhile."

import base64
import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from attacks import Observer, memory_limit
from PIL import Image
from service import save_small_models, started

ROOT = Path(__file__).parents[2]
LIMIT = 1536 * 2**20 # as the manifests say
MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
FEATURES = json.loads((ROOT / "examples" / "sample_prediction_request.json").read_text())
FEATURES = FEATURES.get("features", FEATURES)


def chunk(name, content=b""):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height):
    "A valid picture of black pixels, packed as well as PNG can."
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + 3 * width)) for _ in range(height)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND")


def promised(width, height):
    "Only the header of such a picture, and a few bytes."
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND")


def photograph(width=3264, height=2448):
    grain = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    Image.fromarray(grain).resize((width, height)).save(file := io.BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def as_json(picture):
    return json.dumps({"image_base64": base64.b64encode(picture).decode()}).encode()


def batch(row, size):
    text = json.dumps(row).encode()
    return b"[" + b",".join([text] * (size // (len(text) + 1))) + b"]"


UNKNOWN = {f"key{k}": k for k in range(20)}
ONE = {
    "1,000,000 x 16 pixels": ("/predict", lambda: as_json(png(1_000_000, 16)), {413}),
    "16 x 1,000,000 pixels": ("/predict", lambda: as_json(png(16, 1_000_000)), {413}),
    "30,000 x 30,000 pixels": ("/predict", lambda: as_json(promised(30_000, 30_000)), {413}),
    "4,000 x 4,000 pixels": ("/predict", lambda: as_json(png(4000, 4000)), {200}),
    "a batch of 31 MB": ("/batch-predict", lambda: batch(FEATURES, 31_000_000), {413}),
    "unknown keys, 31 MB": ("/batch-predict", lambda: batch(UNKNOWN, 31_000_000), {413}),
    "unknown keys, 2 MB": ("/batch-predict", lambda: batch(UNKNOWN, 2_000_000), {413, 422}),
    "empty lists, 2 MB": ("/batch-predict", lambda: b"[" + b",".join([b"[]"] * 699_000) + b"]", {413, 422}),
    "features of 20 MB": ("/predict", lambda: batch(FEATURES, 20_000_000), {413}),
    "100,000 deep": ("/predict", lambda: b"[" * 100_000 + b"]" * 100_000, {413, 422}),
    "100,000 deep, batch": ("/batch-predict", lambda: b"[" * 100_000 + b"]" * 100_000, {413, 422}),
    "deep in a form": ("/api/v1/levels", "form", {413, 422}),
    "a large analysis": ("/api/v1/analyze", lambda: b'{"pair": "' + b"x" * 1_000_000 + b'"}', {413}),
    "bars of 31 MB": ("/api/v1/trend", lambda: b'{"bars": ' + batch({"time": 0}, 31_000_000) + b"}", {413}),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = ROOT / "models"
    if not (folder / "masks").is_dir(): folder = save_small_models(tmp_path_factory.mktemp("models"))
    group = memory_limit(LIMIT)
    with started(folder, warm_up=True, prefix=group.prefix() if group else (), LOG_LEVEL="WARNING",
                 OHLCV_TA_CACHE=str(tmp_path_factory.mktemp("cache")), **MALLOC) as (url, process):
        yield url, process, group
    if group: group.close()


def checked(observer, what):
    worst = max(observer.times, default=0)
    print(f"{what:25} peak {observer.peak / 2**20:6.0f} MiB, worst /health {1000 * worst:5.0f} ms of {len(observer.times)}")
    assert not observer.failures
    assert observer.peak < LIMIT and not (observer.group and observer.group.killed())
    assert worst < 3 # on a busy machine; before, the event loop stood still for up to 105 seconds


def post(url, path, body):
    if body == "form":
        return httpx.post(url + path, files={"image": promised(100, 100)}, data={"axis": "[" * 100_000}, timeout=120)
    return httpx.post(url + path, content=body(), headers={"Content-Type": "application/json"}, timeout=120)


@pytest.mark.parametrize("what", ONE)
def test_one_request(service, what):
    url, process, group = service
    path, body, allowed = ONE[what]
    with Observer(url, process, group) as observer:
        answers = [post(url, path, body) for _ in range(2)]
    assert {answer.status_code for answer in answers} <= allowed, answers[0].text[:300]
    assert all(len(answer.text) < 1000 for answer in answers if answer.status_code >= 400)
    checked(observer, what)


def test_two_hundred_pictures_of_eight_megapixels(service):
    url, process, group = service
    body = as_json(photograph())

    def ask(_):
        answer = httpx.post(f"{url}/predict", content=body, headers={"Content-Type": "application/json"}, timeout=300)
        assert answer.status_code == 200 or answer.headers["Retry-After"]
        return answer.status_code

    with Observer(url, process, group) as observer, ThreadPoolExecutor(200) as clients:
        codes = list(clients.map(ask, range(200)))
    assert set(codes) <= {200, 503} and codes.count(200) >= 20, codes
    checked(observer, f"200 pictures, {codes.count(200)} answered")


def test_it_is_as_small_as_before_and_answers(service):
    url, process, group = service
    assert httpx.post(f"{url}/predict", json=FEATURES, timeout=60).status_code == 200
    assert httpx.post(f"{url}/api/v1/analyze", json={"pair": "btc_usdt"}, timeout=120).status_code == 200
    print(f"after all of it {Observer(url, process, group).held() / 2**20:.0f} MiB")
