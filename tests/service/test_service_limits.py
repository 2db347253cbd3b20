"The service as a process of its own: what it brings into memory, and that no request makes it slow, large or deaf."

import base64
import io
import json
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from support.server import started
from support.small_models import save_small_masks, small_model

from ohlcv_ta.charts.image_io import MAX_SCANS
from ohlcv_ta.models.breakout.artifact import save_model

ROOT = Path(__file__).parents[2]
SESSION = json.loads((ROOT / "examples" / "sample_prediction_request.json").read_text())
MEMORY = dict(re.findall(r"(MALLOC_\w+)=(\d+)", (ROOT / "deploy" / "Dockerfile").read_text())) # as an image sets it


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_model(small_model("levels", "lightgbm"), folder / "breakout" / "levels", "# A small model for tests\n")
    save_small_masks(folder / "masks")
    with started(folder, "--no-ui", **MEMORY) as (url, process), httpx.Client(base_url=url, timeout=120) as client:
        yield client, process


def as_file(picture, kind="PNG", **settings):
    picture.save(file := io.BytesIO(), kind, **settings)
    return file.getvalue()


def lines(width=1150, height=575, mode="RGB"):
    image = np.full((height, width, 3), 255, np.uint8)
    image[height // 3] = 20
    return Image.fromarray(image).convert(mode)


def chunk(name, content=b""):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, *chunks):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + b"".join(chunks)


def scans(count):
    "A JPEG that goes over its picture so many times."
    content = as_file(Image.new("L", (1150, 575), 128), "JPEG", progressive=True)
    more = count - content.count(b"\xff\xda")
    return content[:-2] + content[content.rindex(b"\xff\xc4"):-2] * more + content[-2:]


def runs():
    "A BMP in runs of one pixel."
    data, side = b"\x01\x00" * 3_000_000, 4000
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(data), 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, 14 + len(head)) + head + data


HOSTILE = {
    "truncated": (lambda: as_file(lines())[:900], 422, "cut off"),
    "900 million pixels": (lambda: png(30_000, 30_000, chunk(b"IDAT", zlib.compress(bytes(100)))), 413, "million"),
    "text": (lambda: b"time,Open,High,Low,Close\n" * 1000, 415, "text"),
    "empty parts": (lambda: png(1150, 575, chunk(b"IDAT") * 500_000), 422, "too many small parts"),
    "unknown parts": (lambda: png(1150, 575, chunk(b"juNk") * 500_000), 422, "too many small parts"),
    "comments": (lambda: b"GIF89a" + struct.pack("<HHBBB", 1150, 575, 0, 0, 0) + b"\x21\xfe\x01a\0" * 1_000_000, 422, "parts"),
    "markers": (lambda: b"\xff\xd8" + b"\xff\xfe\0\x02" * 1_500_000, 422, "too many small parts"),
    "runs": (runs, 422, "too many small parts"),
    "scans": (lambda: scans(50_000), 422, f"at most {MAX_SCANS}"),
}
FINE = {
    "moving gif": lambda: as_file(lines(mode="P"), "GIF", save_all=True, append_images=[Image.new("P", (1150, 575))] * 20),
    "cmyk jpeg": lambda: as_file(lines(mode="CMYK"), "JPEG"),
    "alpha png": lambda: as_file(lines(mode="RGBA")),
    "progressive jpeg": lambda: as_file(lines(), "JPEG", progressive=True),
    "most scans": lambda: scans(MAX_SCANS),
    "16 million pixels": lambda: as_file(lines(4000, 4000)),
}


def ask(client, content):
    return client.post("/predict", json={"image_base64": base64.b64encode(content).decode()})


def megabytes(process):
    return process.memory_info().rss / 2**20


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pictures_get_a_sentence(service, kind):
    client, _ = service
    make, status, says = HOSTILE[kind]
    content = make()
    form = client.post("/api/v1/levels", files={"image": content})
    assert (form.status_code, says in form.text) == (status, True), form.text[:500]
    answer = ask(client, content)
    assert (answer.status_code, answer.text) == (status, form.text.replace('"image"]', '"image_base64"]'))


@pytest.mark.parametrize("kind", FINE)
def test_unusual_pictures_are_answered(service, kind):
    client, _ = service
    content = FINE[kind]()
    answer = ask(client, content)
    assert answer.status_code == 200, answer.text[:500]
    size = Image.open(io.BytesIO(content)).size
    for mask in answer.json().values():
        assert Image.open(io.BytesIO(base64.b64decode(mask))).size == size


@pytest.mark.parametrize("text", ["nonsense!", "a" * 30_000_000 + "!", "*" * 20_000_000, " " * 20_000_000], ids=range(4))
def test_wrong_base64_gets_a_sentence(service, text):
    answer = service[0].post("/predict", json={"image_base64": text})
    assert answer.status_code in (413, 422) and len(answer.text) < 300


def test_nothing_of_it_stays_in_memory(service):
    client, process = service
    contents = [make() for make, *_ in HOSTILE.values()] + [make() for make in FINE.values()]

    def once():
        for content in contents:
            ask(client, content)
        client.post("/predict", content=bytes(50 * 2**20))

    once()
    before = megabytes(process)
    for _ in range(2):
        once()
    assert megabytes(process) - before < 60


def test_a_hundred_mixed_requests_leave_it_small(service):
    client, process = service
    picture = as_file(lines())
    for _ in range(30):
        assert ask(client, picture).status_code == 200
        assert client.post("/api/v1/levels", files={"image": picture}).status_code == 200
        assert client.post("/predict", json=SESSION).status_code == 200
    assert megabytes(process) < 700


def test_health_answers_while_every_thread_waits_for_a_picture(service):
    client, _ = service
    picture = as_file(lines())
    with ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(ask, client, picture) for _ in range(60)]
        answers = 0
        while not all(one.done() for one in waiting):
            assert client.get("/health").json()["status"] == "healthy"
            answers += 1
    assert answers > 1 and all(one.result().status_code == 200 for one in waiting)


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="libraries of a process are read from /proc")
def test_no_training_package_is_in_memory(service):
    client, process = service
    assert ask(client, as_file(lines())).status_code == 200
    assert client.post("/predict", json=SESSION).status_code == 200
    held = {part for mapped in process.memory_maps() for part in Path(mapped.path).parts}
    assert {"onnxruntime", "numpy"} <= held
    assert sorted(held & {"torch", "fastai", "matplotlib", "tensorboard", "gradio", "onnx"}) == []
