"Bars, axis and levels of pictures of charts over HTTP: what is read, what is said in doubt, and what is refused."

import base64
import io

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from ohlcv_ta.charts import STYLES, draw_chart
from ohlcv_ta.charts.image_io import read_image, to_png
from ohlcv_ta.data import load_series
from ohlcv_ta.serving.http.app import create_app


@pytest.fixture(scope="module")
def client():
    with TestClient(create_app({"other": Described()})) as opened: yield opened


class Described:
    "A loaded model of another kind: reading bars needs none."
    def describe(self): return {"estimator": "none"}
    def warm_up(self): pass


@pytest.fixture(scope="module")
def bars():
    return load_series("BTC-USD", "4h", end="2018-06-30").tail(120)


@pytest.fixture(scope="module")
def chart(bars):
    return draw_chart(bars, STYLES["light"], 1200, 640)


@pytest.fixture(scope="module")
def content(chart): return to_png(chart[0])


def without_labels(chart):
    "The chart without the labels of its price axis."
    image, geometry = chart[0].copy(), chart[1]
    image[:, int(geometry.right) + 2:] = image[5, 5]
    return to_png(image)


def axis_of(chart):
    return [[row, float(chart[1].price(row))] for row in (100, 500)]


def post(client, path, content, **options):
    answer = client.post(f"/api/v1/{path}", files={"image": ("chart.png", content)}, data=options)
    assert answer.status_code == 200, answer.text
    return answer


def test_levels_have_prices_without_an_axis_in_the_request(client, chart, content):
    found = post(client, "levels", content).json()
    assert found["reader"] == "bars" and found["axis"]["source"] == "read" and found["axis"]["sure"]
    assert found["chart"]["bars"] == 120 and found["chart"]["kind"] == "candles" and found["message"] == ""
    span = chart[1].high - chart[1].low
    assert len(found["horizontal"]) >= 3
    for line in found["horizontal"]:
        assert abs(line["price"] - chart[1].price(line["row"])) < 0.003 * span
        assert line["touches"] >= 1 and line["last_touch"] >= 0 and line["kind"] in ("support", "resistance")
    rows = [line["row"] for line in found["horizontal"]]
    assert rows == sorted(rows)


def test_bars_come_as_json_with_a_picture_to_check(client, bars, chart, content):
    found = post(client, "digitize", content, overlay="true").json()
    table = pd.DataFrame(found["bars"])
    assert found["unit"] == "price" and len(table) == 120 and (table.high >= table.low).all()
    error = np.abs(table.close.to_numpy() - bars.Close.to_numpy()) / (bars.High.max() - bars.Low.min())
    assert np.median(error) < 0.003
    overlay = read_image(base64.b64decode(found["overlay"]))
    assert overlay.shape == chart[0].shape and (overlay != chart[0]).any()


def test_bars_come_as_csv(client, content):
    answer = post(client, "digitize", content, format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    table = pd.read_csv(io.StringIO(answer.text))
    assert len(table) == 120 and {"open", "high", "low", "close", "confidence"} <= set(table)


def test_json_says_the_same_as_a_form(client, content):
    body = {"image_base64": base64.b64encode(content).decode(), "overlay": False}
    assert client.post("/api/v1/digitize", json=body).json() == post(client, "digitize", content).json()


def test_without_labels_there_are_no_prices_until_an_axis_is_given(client, chart):
    content = without_labels(chart)
    found = post(client, "digitize", content).json()
    assert found["unit"] == "row" and "axis" in found["message"]
    levels = post(client, "levels", content).json()
    assert {line["price"] for line in levels["horizontal"]} == {None} and "axis" in levels["message"]
    body = {"image_base64": base64.b64encode(content).decode(), "axis": axis_of(chart)}
    priced = client.post("/api/v1/digitize", json=body).json()
    assert priced["unit"] == "price" and priced["axis"]["source"] == "given"
    with_prices = client.post("/api/v1/levels", json=body).json()
    for line in with_prices["horizontal"]: assert line["price"] == pytest.approx(float(chart[1].price(line["row"])))


@pytest.mark.parametrize("kind", ["blank", "noise", "stripes"])
def test_a_picture_without_a_chart_has_no_bars_and_no_price(client, kind):
    rng = np.random.default_rng(0)
    image = {"blank": np.full((300, 500, 3), 255, np.uint8), "noise": rng.integers(0, 256, (300, 500, 3), np.uint8),
             "stripes": np.repeat(np.arange(300) % 20 < 10, 1500).reshape(300, 500, 3).astype(np.uint8) * 255}[kind]
    found, bars = post(client, "levels", to_png(image)).json(), post(client, "digitize", to_png(image)).json()
    assert found["reader"] == "none" and found["horizontal"] == [] and found["axis"] is None
    assert bars["bars"] == [] and bars["chart"] is None
    assert found["message"] == bars["message"] == "No chart was found in this picture."


@pytest.mark.parametrize("field, value, says", [("format", "xlsx", "'json' or 'csv'"), ("threshold", "0.5", "Extra"),
                                                ("overlay", "perhaps", "boolean"), ("axis", "[[1, 2], [1, 3]]", "two rows")])
def test_wrong_options_are_named(client, content, field, value, says):
    answer = client.post("/api/v1/digitize", files={"image": content}, data={field: value})
    assert answer.status_code == 422 and says in answer.text


def test_both_routes_are_documented(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/api/v1/levels", "/api/v1/digitize"} <= set(paths)
    assert set(paths["/api/v1/digitize"]["post"]["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
