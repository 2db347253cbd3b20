"The service over real HTTP: every request of system D's description, and what happens when one is wrong."

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from support.server import running
from support.small_models import small_models

from ohlcv_ta.data.synthetic import synthetic_levels
from ohlcv_ta.features.breakout import LEVEL_FEATURES
from ohlcv_ta.models.levels.estimator import fit_scorer
from ohlcv_ta.models.levels.inference import LevelPredictor
from ohlcv_ta.serving.http.app import MAX_BATCH, create_app
from ohlcv_ta.serving.http.request_body import max_body_size
from ohlcv_ta.serving.http.schemas import EXAMPLE_FEATURES

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def client():
    with running(create_app(small_models())) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def without_models():
    with running(create_app({})) as url, httpx.Client(base_url=url) as client:
        yield client


def post_raw(client, path, content, kind="application/json"):
    return client.post(path, content=content, headers={"Content-Type": kind})


def faults(response):
    assert response.status_code == 422, response.text
    return response.json()["detail"]


# What system D describes


def test_health_names_the_models(client):
    body = client.get("/health").json()
    assert body["status"] == "healthy"
    assert set(body["models"]) == {"breakout/levels", "breakout/relative", "masks", "trend"}
    size = {"width": 256, "height": 128} # of these small networks
    assert body["models"]["masks"]["networks"] == {"horizontal": size, "ray": size}


def test_a_scorer_of_bars_beside_the_others():
    learned = fit_scorer([synthetic_levels(120, seed)[:2] for seed in range(3)])
    with running(create_app({"level_scorer": LevelPredictor.from_scorer(learned)})) as url:
        body = httpx.get(f"{url}/health", timeout=30).json()
    assert body["models"]["level_scorer"]["charts"] == 3


@pytest.mark.parametrize("wrap", [False, True], ids=["bare", "wrapped"])
def test_predict(client, wrap):
    features = json.loads((EXAMPLES / "sample_prediction_request.json").read_text())
    answer = client.post("/predict", json={"features": features} if wrap else features)
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["prediction", "probability", "confidence"]
    assert body["prediction"] == int(body["probability"] >= 0.5)
    assert body["confidence"] == max(body["probability"], 1 - body["probability"])


def test_the_example_file_sent_as_curl_sends_it(client):
    content = (EXAMPLES / "sample_prediction_request.json").read_bytes()
    assert post_raw(client, "/predict", content).status_code == 200


def test_batch_answers_in_order(client):
    rows = json.loads((EXAMPLES / "batch_request.json").read_text())
    mixed = [rows[0], {"features": rows[1]}, rows[1], rows[0]]
    answers = client.post("/batch-predict", json=mixed).json()
    single = [client.post("/predict", json=row).json() for row in rows]
    assert answers == [single[0], single[1], single[1], single[0]]
    assert single[0] != single[1]


def test_missing_field_is_named_as_described(client):
    for body in ({}, {"features": {}}):
        found = faults(client.post("/predict", json=body))
        assert [f["loc"] for f in found] == [["body", "features", name] for name in LEVEL_FEATURES[:10]] # no more are told
        assert set(found[0]) == {"loc", "msg", "type"}


def test_without_a_model(without_models):
    for path, body in (("/predict", EXAMPLE_FEATURES), ("/batch-predict", [EXAMPLE_FEATURES]), ("/predict", {})):
        answer = without_models.post(path, json=body)
        assert (answer.status_code, answer.json()) == (503, {"detail": "Prediction service not available"})
    assert without_models.get("/ready").status_code == 503
    health = without_models.get("/health")
    assert health.status_code == 200 and health.json()["status"].startswith("no model")


def test_docs_open_without_a_network(client):
    page = client.get("/docs").text
    assert "https://" not in page.replace("https://fastapi.tiangolo.com", "")
    assert client.get("/docs-assets/swagger-ui-bundle.js").status_code == 200
    examples = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]
    assert set(examples["content"]["application/json"]["examples"]) == {"wrapped", "bare", "picture"}


# The front door


def test_root_greets_programs_and_sends_browsers_on(client):
    body = client.get("/").json()
    assert body["status"] == "healthy" and body["docs"] == "/docs"
    sent = client.get("/", headers={"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"})
    assert sent.status_code == 307 and sent.headers["location"] == "/docs" # no app is mounted here


def test_ready(client):
    assert client.get("/ready").json() == {"ready": True}


# What can't be right

WRONG = {
    "text": ("atr_14", "350"),
    "null": ("atr_14", None),
    "list": ("atr_14", [350]),
    "true": ("atr_14", True),
    "huge integer": ("atr_14", 10**400),
    "negative price": ("session_poc", -1.0),
    "zero price": ("session_poc", 0.0),
    "negative volume": ("session_volume", -1.0),
    "rsi": ("rsi_14", 100.5),
    "imbalance": ("volume_imbalance", 1.2),
    "flag": ("balance_flag", 2),
    "flag as truth": ("balance_flag", False),
    "flag as text": ("balance_flag", "1"),
    "lost everything": ("one_day_return", -1.0),
    "val above vah": ("session_val", 43000.0),
    "width": ("va_range_width", 5.0),
    "typo": ("atr14", 350.0),
    "nothing but a name": ("", 1.0),
}


@pytest.mark.parametrize("field, value", WRONG.values(), ids=WRONG)
def test_wrong_values_are_refused_by_name(client, field, value):
    for body in (EXAMPLE_FEATURES | {field: value}, {"features": EXAMPLE_FEATURES | {field: value}}):
        found = faults(client.post("/predict", json=body))
        assert ["body", "features", field] in [f["loc"] for f in found]
        assert all(f["msg"] and len(f["msg"]) < 300 for f in found)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_json(client, number):
    content = json.dumps(EXAMPLE_FEATURES).replace("350.0", number)
    assert faults(post_raw(client, "/predict", content))[0]["loc"] == ["body", "features", "atr_14"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000,
                                     b'{"features": null}', b"1" * 5000], ids=range(10))
def test_bodies_that_are_not_requests(client, content):
    answer = post_raw(client, "/predict", content)
    assert answer.status_code in (413, 422) and answer.json()["detail"]


def test_another_content_type(client):
    assert post_raw(client, "/predict", json.dumps(EXAMPLE_FEATURES), "text/plain").status_code == 415
    assert client.post("/predict", data=EXAMPLE_FEATURES).status_code == 415
    assert client.get("/predict").status_code == 405


def test_a_field_beside_the_wrapper(client):
    found = faults(client.post("/predict", json={"features": EXAMPLE_FEATURES, "note": "x"}))
    assert found[0]["loc"] == ["body", "note"]


def test_batch_names_the_row(client):
    assert client.post("/batch-predict", json=[]).json() == []
    found = faults(client.post("/batch-predict", json=[EXAMPLE_FEATURES, EXAMPLE_FEATURES | {"rsi_14": 101}]))
    assert found[0]["loc"] == ["body", 1, "features", "rsi_14"]


def test_batch_has_a_maximum(client):
    full = client.post("/batch-predict", json=[EXAMPLE_FEATURES] * MAX_BATCH)
    assert full.status_code == 200 and len(full.json()) == MAX_BATCH
    assert faults(client.post("/batch-predict", json=[EXAMPLE_FEATURES] * (MAX_BATCH + 1)))[0]["type"] == "too_long"


def test_the_first_bad_row_answers_with_its_number(client):
    found = faults(client.post("/batch-predict", json=[EXAMPLE_FEATURES, *[{}] * 1000]))
    assert len(found) == 10 and {fault["loc"][1] for fault in found} == {1}


def test_a_body_beyond_the_limit(client):
    assert post_raw(client, "/predict", b" " * (max_body_size("/predict") + 1)).status_code == 413
    assert post_raw(client, "/predict", (b" " * 2**20 for _ in range(40))).status_code == 413 # its length not announced
    assert client.get("/health").status_code == 200


# What an answer says about itself


def test_header_names_what_was_never_seen(client):
    said = client.post("/predict", json=EXAMPLE_FEATURES).headers["X-Outside-Training-Range"].split(",")
    assert "session_poc" in said and set(said) <= set(LEVEL_FEATURES)
    model = small_models()["breakout/levels"]
    inside = dict(zip(LEVEL_FEATURES, (model.lowest + model.highest) / 2, strict=True))
    inside |= {"balance_flag": 1, "va_range_width": inside["session_vah"] - inside["session_val"]}
    answer = client.post("/predict", json=inside)
    assert answer.status_code == 200 and "session_poc" not in answer.headers.get("X-Outside-Training-Range", "")


def test_many_clients_at_once_get_their_own_answers(client):
    rows = [EXAMPLE_FEATURES | {"rsi_14": float(rsi)} for rsi in range(20, 84)]
    expected = client.post("/batch-predict", json=rows).json()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: client.post("/predict", json=row).json(), rows))
    assert [a["probability"] for a in answers] == pytest.approx([e["probability"] for e in expected], rel=1e-12)
    assert len({a["probability"] for a in answers}) == len(rows)
