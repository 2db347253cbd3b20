"Probabilities of a rise over real HTTP: what is answered, and what is refused."

import httpx
import pandas as pd
import pytest
from support.server import running
from support.small_models import small_models

from ohlcv_ta.data.synthetic import random_walk
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.ui.app import mount_ui


@pytest.fixture(scope="module")
def url():
    with running(mount_ui(create_app(small_models()))) as url:
        yield url


def bars(count=30, **more):
    frame = random_walk(count, seed=7, timeframe="30m")
    rows = frame.rename(columns=str.lower).to_dict("records")
    return [{"time": time.isoformat(), **row, **more} for time, row in zip(frame.index, rows, strict=True)]


def test_bars_are_answered_over_http(url):
    answer = httpx.post(f"{url}/api/v1/trend", json={"bars": bars()}).json()
    assert 0 <= answer["probability"] <= 1 and answer["model"] == "crypto" and answer["lookback"] == 9
    assert pd.Timestamp(answer["known"]) - pd.Timestamp(answer["time"]) == pd.Timedelta("30m")
    named = {"symbol": "BTC-USD", "venue": "bitfinex", "time": "2018-06-01T12:10:00Z"}
    same = httpx.post(f"{url}/api/v1/trend", json=named).json()
    assert same["time"] == "2018-06-01T12:00:00Z"


@pytest.mark.parametrize(("asked", "says"), [
    ({}, "either bars or a symbol"), ({"bars": []}, "at least 1"), ({"bars": bars(5)}, "sees 9 bars; there are 5"),
    ({"bars": bars()[::2]}, "bars of 1h"), ({"bars": bars(), "model": "gold"}, "there are crypto"),
    ({"symbol": "GOLD"}, "GOLD"),
    ({"bars": bars(high=1e-9)}, "below"), ({"bars": bars(close=-1)}, "greater than 0"), ({"bars": [{"time": "now"}]}, "time")])
def test_what_cannot_be_answered_is_refused_in_a_sentence(url, asked, says):
    refused = httpx.post(f"{url}/api/v1/trend", json=asked)
    assert refused.status_code == 422, refused.text
    assert says in refused.text
