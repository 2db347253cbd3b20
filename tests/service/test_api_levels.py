"Pictures over real HTTP: masks as system A describes them, lines with prices, and every kind of bad file."

import base64
import io
import json
import struct
import zlib

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from support.server import running
from support.small_models import small_masks, small_models

from ohlcv_ta.charts.image_io import MAX_BYTES
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.http.request_body import max_body_size
from ohlcv_ta.serving.ui.levels_of_picture import propose_axis
from ohlcv_ta.serving.ui.picture_controls import PictureHandlers, draw_example

AXIS = [[0, 200.0], [256, 72.0]] # half a unit of price a row


@pytest.fixture(scope="module")
def client():
    with running(create_app(small_models())) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def without_networks():
    models = {name: model for name, model in small_models().items() if name != "masks"}
    with running(create_app(models)) as url, httpx.Client(base_url=url) as client:
        yield client


def chart(width=512, height=256, row=100):
    "White, with a dark line three pixels high around a row, and one that falls by a pixel a column."
    image = np.full((height, width, 3), 255, np.uint8)
    image[row - 1: row + 2] = 20
    falling = np.arange(height // 2 + 10, height - 20)
    for shift in range(5):
        image[falling, falling + shift] = 0
    return image


def as_file(image, kind="PNG", mode="RGB", **settings):
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, kind, **settings)
    return file.getvalue()


def in_base64(content):
    return base64.b64encode(content).decode()


def mask_in(answer, name):
    picture = Image.open(io.BytesIO(base64.b64decode(answer.json()[name])))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.asarray(picture)


# System A


@pytest.mark.parametrize("size", [(512, 256), (733, 401), (200, 90)], ids=str)
def test_masks_come_back_in_the_size_of_the_picture_with_the_line_at_its_row(client, size):
    image = chart(*size, row=size[1] // 3)
    answer = client.post("/predict", json={"image_base64": in_base64(as_file(image))})
    assert answer.status_code == 200 and list(answer.json()) == ["horizontal_mask", "ray_mask"]
    horizontal, ray = mask_in(answer, "horizontal_mask"), mask_in(answer, "ray_mask")
    assert horizontal.shape == ray.shape == image.shape[:2]
    assert abs(horizontal.mean(axis=1).argmax() - size[1] // 3) <= 2


def test_a_data_url_is_the_same_picture(client):
    text = in_base64(as_file(chart()))
    asked = [client.post("/predict", json={"image_base64": prefix + text}) for prefix in ("", "data:image/png;base64,")]
    assert asked[0].json() == asked[1].json()


def test_the_kind_of_request_is_told_by_its_keys(client):
    wrong = client.post("/predict", json={"image_base64": "aGVsbG8=", "rsi_14": 50.0})
    assert wrong.status_code == 422 and wrong.json()["detail"][0]["loc"] == ["body", "rsi_14"]
    assert client.post("/predict", json={"image_base64": None}).json()["detail"][0]["loc"] == ["body", "image_base64"]


def test_without_networks_only_pictures_are_refused(without_networks):
    assert without_networks.post("/predict", json={"image_base64": "aGVsbG8="}).status_code == 503
    asked = {"image_base64": in_base64(as_file(chart())), "reader": "networks"}
    assert without_networks.post("/api/v1/levels", json=asked).status_code == 503
    assert without_networks.post("/predict", json={}).status_code == 422
    assert without_networks.get("/ready").status_code == 200


# Lines


def test_lines_with_prices(client):
    asked = {"image_base64": in_base64(as_file(chart())), "axis": AXIS, "reader": "networks"}
    found = client.post("/api/v1/levels", json=asked).json()
    assert (found["width"], found["height"], len(found["horizontal"])) == (512, 256, 1)
    line = found["horizontal"][0]
    assert line["row"] == pytest.approx(100.5, abs=0.6)
    assert line["price"] == pytest.approx(200 - line["row"] / 2)
    assert len(found["rays"]) == 1
    ray = found["rays"][0]
    assert (ray["y1"] - ray["y0"]) / (ray["x1"] - ray["x0"]) == pytest.approx(1, abs=0.05)
    assert ray["price0"] == pytest.approx(200 - ray["y0"] / 2)


def test_a_form_says_the_same_as_json(client):
    content = as_file(chart())
    fields = {"threshold": "0.4", "axis": json.dumps(AXIS), "log": "true", "reader": "networks"}
    form = client.post("/api/v1/levels", files={"image": ("chart.png", content)}, data=fields)
    body = {"image_base64": in_base64(content), "threshold": 0.4, "axis": AXIS, "log": True, "reader": "networks"}
    assert form.status_code == 200 and form.json() == client.post("/api/v1/levels", json=body).json()


def test_without_an_axis_there_are_no_prices(client):
    found = client.post("/api/v1/levels", files={"image": as_file(chart())}, data={"reader": "networks"}).json()
    assert found["horizontal"][0]["price"] is None and found["rays"][0]["price1"] is None


def test_a_high_threshold_finds_fewer_lines(client):
    def count(threshold):
        found = client.post("/api/v1/levels", files={"image": as_file(chart())},
                            data={"threshold": threshold, "reader": "networks"}).json()
        return len(found["horizontal"]) + len(found["rays"])
    assert count("0.9999999") < count("0.5")


@pytest.mark.parametrize("field, value, says", [
    ("threshold", 0, "greater than 0"), ("threshold", 2, "less than 1"), ("threshold", "0.5", "number"),
    ("axis", [[1, 2]], "missing"), ("axis", [[1, 2], [1, 3]], "two rows"), ("axis", [[1, 2], [3, -4]], "logarithmic"),
    ("reader", "people", "'auto', 'bars' or 'networks'"), ("note", 1, "Extra"),
])
def test_wrong_options_are_named(client, field, value, says):
    body = {"image_base64": in_base64(as_file(chart())), "log": True, field: value}
    answer = client.post("/api/v1/levels", json=body)
    assert answer.status_code == 422 and says.lower() in answer.text.lower()


def test_bodies_that_are_not_requests(client):
    post, json_type = client.post, {"Content-Type": "application/json"}
    assert post("/api/v1/levels", content=b"{", headers=json_type).status_code == 422
    assert post("/api/v1/levels", content=b"x", headers={"Content-Type": "image/png"}).status_code == 415
    assert post("/api/v1/levels", content=b"x").status_code == 415
    assert post("/api/v1/levels", data={"image": "text"}, files={"other": b"x"}).status_code == 422
    assert post("/api/v1/levels", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code in (400, 422)
    form = post("/api/v1/levels", files={"image": as_file(chart())}, data={"axis": "10,20"})
    assert form.status_code == 422 and form.json()["detail"][0]["loc"] == ["body", "axis"]


# Pictures of every kind


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def promise(width, height):
    "A PNG of a few bytes that says it is large."
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(bytes(100)))


def moving(image):
    file = io.BytesIO()
    Image.fromarray(image).convert("P").save(file, "GIF", save_all=True, append_images=[Image.new("P", (512, 256))] * 3)
    return file.getvalue()


def sideways(image):
    exif = Image.Exif()
    exif[0x0112] = 6
    return as_file(np.rot90(image), "JPEG", exif=exif, quality=95)


def see_through(image):
    alpha = np.where(image.mean(axis=2) > 200, 0, 255).astype(np.uint8) # the page shines through
    return as_file(np.dstack([np.minimum(image, 20), alpha]), mode="RGBA")


def deep(image):
    file = io.BytesIO()
    Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


GOOD = {
    "jpeg": lambda image: as_file(image, "JPEG", quality=95),
    "cmyk jpeg": lambda image: as_file(image, "JPEG", "CMYK", quality=95),
    "webp": lambda image: as_file(image, "WEBP"),
    "bmp": lambda image: as_file(image, "BMP"),
    "palette": lambda image: as_file(image, mode="P"),
    "grey": lambda image: as_file(image, mode="L"),
    "bilevel": lambda image: as_file(image, mode="1"),
    "moving gif": moving, "rotated": sideways, "transparent": see_through, "16 bits": deep,
}


@pytest.mark.parametrize("kind", GOOD)
def test_pictures_of_every_kind(client, kind):
    answer = client.post("/api/v1/levels", files={"image": GOOD[kind](chart())}, data={"reader": "networks"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["width"], found["height"]) == (512, 256)
    assert [line["row"] for line in found["horizontal"]] == [pytest.approx(100.5, abs=0.7)]


BAD = {
    "900 million pixels": (promise(30_000, 30_000), 413, "more than 16 million"),
    "24 million pixels": (promise(6000, 4000), 413, "6,000 x 4,000"),
    "many bytes": (as_file(chart()) + bytes(MAX_BYTES), 413, "16 MiB"),
    "cut off": (as_file(chart())[:600], 422, "cut off"),
    "cut off jpeg": (as_file(chart(), "JPEG")[:900], 422, "cut off"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", 422, "damaged"),
    "text": (b"time,Open,High,Low,Close\n", 415, "This is text"),
    "pdf": (b"%PDF-1.7\n...", 415, "a PDF"),
    "noise": (bytes(range(256)) * 9, 415, "no PNG, JPEG"),
    "nothing": (b"", 422, "empty"),
    "one pixel": (as_file(np.zeros((1, 1, 3), np.uint8)), 422, "1 x 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_gets_a_sentence(client, kind):
    content, status, says = BAD[kind]
    form = client.post("/api/v1/levels", files={"image": ("chart.png", content)})
    body = {"image_base64": in_base64(content)}
    for answer in (form, client.post("/api/v1/levels", json=body), client.post("/predict", json=body)):
        assert (answer.status_code, says in answer.text) == (status, True), answer.text
        assert len(answer.text) < 400


@pytest.mark.parametrize("text", ["not base64!", "aGVsbG8*", "a", "ä"])
def test_what_is_not_base64(client, text):
    answer = client.post("/predict", json={"image_base64": text})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "image_base64"]


def test_a_body_beyond_the_limit_is_not_kept(client):
    before = psutil.Process().memory_info().rss
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        parts = (bytes(2**20) for _ in range(50))
        assert client.post("/api/v1/levels", content=parts, headers={"Content-Type": kind}).status_code in (400, 413)
    assert client.post("/predict", content=bytes(max_body_size("/api/v1/levels") + 1)).status_code == 413
    assert psutil.Process().memory_info().rss - before < 150e6


def test_refusals_do_not_grow_the_process(client):
    bad = [content for content, *_ in BAD.values() if len(content) < 1e6]
    for content in bad:
        client.post("/api/v1/levels", files={"image": content})
    before = psutil.Process().memory_info().rss
    for content in bad * 10:
        client.post("/api/v1/levels", files={"image": content})
    assert psutil.Process().memory_info().rss - before < 60e6


# The app


@pytest.mark.parametrize("reader", ["bars", "networks"])
@pytest.mark.parametrize("example", [None, "Candles and volume", "Hollow, log axis"])
def test_the_app_finds_the_same_lines(client, reader, example):
    picture, handlers = draw_example(example) if example else as_file(chart()), PictureHandlers(small_masks())
    found = client.post("/api/v1/levels", files={"image": picture}, data={"reader": reader}).json()
    lines = handlers.lines(picture, "chart", reader, 0.5, propose_axis(handlers.reading(picture).axis))
    assert lines is not None or (found["horizontal"], found["rays"]) == ([], [])
    kinds = ("horizontal", "rays")
    if lines: assert lines.found.model_dump(include=set(kinds)) == {kind: found[kind] for kind in kinds}
    assert example is None or found["horizontal"]
