"Images of bars, their labels, training that is killed, factors that are never half written, and the tab that shows it all."

import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pandas as pd
import pytest
from browsing import choose, click, needs_browser, nothing_wrong, press, type_into, until, visible, visit, wait_for
from hypothesis import given
from hypothesis import strategies as st
from joblib import parallel_config
from safetensors.numpy import load_file
from service import running, save_small_trend, small_models
from typer.testing import CliRunner

from ohlcv_ta.charts.bar_images import LOOKS, BarLook, bar_images, read_bars
from ohlcv_ta.cli import app
from ohlcv_ta.data import load
from ohlcv_ta.data.synthetic import random_walk
from ohlcv_ta.features.labels import SIDES, trend_labels
from ohlcv_ta.market.factor import open_array, write_array, write_factor
from ohlcv_ta.market.screen import find_sources
from ohlcv_ta.models.trend_reader import TrendReader
from ohlcv_ta.models.trend_sets import Task, open_shards, write_shards
from ohlcv_ta.serving.api import create_app
from ohlcv_ta.serving.app import mount

PRICES = ["Open", "High", "Low", "Close"]

@st.composite
def frames(draw, least=9, most=60):
    "Sound bars of any volatility and level."
    n, seed = draw(st.integers(least, most)), draw(st.integers(0, 2**31))
    level, wild = draw(st.sampled_from([1e-6, 0.3, 1.0, 250.0, 60_000.0, 1e9])), draw(st.sampled_from([1e-5, 0.01, 0.3]))
    return random_walk(n, seed, volatility=wild, price=level)


@pytest.mark.parametrize("name", ["CNN9u", "CNN49u"])
@given(frame=frames(least=60, most=120))
def test_every_image_gives_its_bars_back_within_a_pixel(name, frame):
    look = LOOKS[name]
    image = bar_images(frame, look, [len(frame) - 1])[0]
    window = frame[PRICES].to_numpy()[-look.lookback:]
    true = (window - window.min()) / (window.max() - window.min())
    assert np.abs(read_bars(image, look)[:, :4] - true).max() <= 1 / (look.price_rows - 1)


@given(frame=frames(least=130, most=160), name=st.sampled_from(list(LOOKS)), more=st.integers(1, 60))
def test_an_image_knows_nothing_of_what_comes_after(frame, name, more):
    look, last = LOOKS[name], len(frame) - 1 - more
    np.testing.assert_array_equal(bar_images(frame, look, [last]), bar_images(frame.iloc[:last + 1], look, [last]))


@given(frame=frames(least=130, most=140), name=st.sampled_from(list(LOOKS)))
def test_neither_the_level_nor_the_unit_of_a_price_is_in_an_image(frame, name):
    "A power of two changes no digit of a price."
    other = frame.assign(**{column: 1024 * frame[column] for column in PRICES})
    np.testing.assert_array_equal(bar_images(frame, LOOKS[name]), bar_images(other, LOOKS[name]))


@given(frame=frames(), holes=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([*PRICES, "Volume"])), max_size=12))
def test_holes_are_black_and_nothing_else_breaks(frame, holes):
    frame, look = frame.copy(), BarLook(9, 32, volume=True)
    for back, column in holes: frame.iloc[-1 - back, frame.columns.get_loc(column)] = np.nan
    image = bar_images(frame, look, [len(frame) - 1])[0]
    for k, bar in enumerate(frame[PRICES].to_numpy()[-9:]):
        if np.isnan(bar[[1, 2]]).any(): assert not image[:, 3 * k:3 * k + 3].any()
        elif np.isnan(bar[0]): assert not image[:look.price_rows, 3 * k].any()


GOLDEN = {0: """
.......#.......
.......#.......
.......#.......
.......#..#....
.......#.###...
......##..#....
....#..#..#....
....#.....#....
.#..##..#.#....
#####..........
.#..........##.
.#...........#.
.#...........#.
.............#.
.............##
.............#.
...............
.......#.......
.......#.......
.#..#..#..#....
.#..#..#..#..#.
""", 2: """
.......#.......
.......#.......
.......#.......
.......#..#....
.......#.###...
......##..#....
....#..#.##....
....#...#.##...
.#..#####.#.#..
#####........#.
.#..........##.
.#...........#.
.#...........#.
.............#.
.............##
.............#.
...............
.......#.......
.......#.......
.#..#..#..#....
.#..#..#..#..#.
"""}


@pytest.mark.parametrize("average", GOLDEN)
def test_a_golden_image_pixel_by_pixel(average):
    "Five bars with volume, without and with an average of two closes: 14 units of price on 16 rows."
    bars = [[6, 7, 3, 6, 2], [6, 8, 6, 7, 3], [9, 14, 8, 7, 5], [10, 11, 7, 10, 2], [5, 5, 0, 1, 1]]
    frame = pd.DataFrame(bars, pd.date_range("2024", periods=5, tz="UTC"), [*PRICES, "Volume"], float)
    image = bar_images(frame, BarLook(5, 21, True, average), [4])[0]
    assert set(np.unique(image)) == {0, 255}
    assert ["".join(".#"[int(pixel > 0)] for pixel in row) for row in image] == GOLDEN[average].split()


@pytest.mark.parametrize("horizon", [1, 3, 9])
@pytest.mark.parametrize("side", SIDES)
def test_labels_are_those_that_are_counted_one_by_one(side, horizon):
    frame, shift = random_walk(50, seed=4), 2
    labels, close = trend_labels(frame, horizon, shift, side), frame.Close.tolist()
    for t in range(50):
        if t + shift + horizon >= 50:
            assert np.isnan(labels.label.iloc[t]) and labels.end_bar.iloc[t] == -1
            continue
        gain = close[t + shift + horizon] / close[t + shift] - 1
        assert labels.label.iloc[t] == float(gain > 0 if side == "RET_LONG" else gain < 0)
        assert labels.end_bar.iloc[t] == t + shift + horizon


def test_a_set_that_was_interrupted_is_finished(tmp_path):
    task, series = Task(LOOKS["CNN9u"], 9), {name: random_walk(300, seed) for seed, name in enumerate("abc")}
    write_shards(tmp_path / "whole", series, task, jobs=1)
    write_shards(tmp_path / "part", {"a": series["a"]}, task, jobs=1)
    (tmp_path / "part" / "b.npy").write_bytes(b"half of an array")
    assert write_shards(tmp_path / "part", series, task, jobs=2) == 2
    for one, other in zip(open_shards(tmp_path / "whole"), open_shards(tmp_path / "part"), strict=True):
        np.testing.assert_array_equal(np.asarray(one[:]), np.asarray(other[:]))


TRAINING = """
import sys, numpy as np, torch
from safetensors.torch import save_file
from ohlcv_ta.models.trend_cnn import NETWORKS, teach_trend
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 2, (600, 27, 27)).astype(np.uint8) * 255, rng.integers(0, 2, 600)
small, rows = NETWORKS["CNN9u"] | {"channels": (8, 16)}, np.arange(600)
network, _ = teach_trend(small, images, labels, rows[:500], rows[500:], batch=20, epochs=6,
                          checks=5, rate=1e-3, schedule="cosine", warmup=1, threads=1, resume=sys.argv[1])
save_file({name: value.contiguous() for name, value in network.state_dict().items()}, sys.argv[2])
"""


def train(*arguments):
    return subprocess.Popen([sys.executable, "-c", TRAINING, *map(str, arguments)])


def test_training_that_was_killed_ends_with_the_same_weights(tmp_path):
    state = tmp_path / "state.safetensors"
    first = train(state, tmp_path / "killed.safetensors")
    until = time.monotonic() + 120
    while not state.exists() and time.monotonic() < until: time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL and state.exists(), "it was over before it could be killed"
    assert not (tmp_path / "killed.safetensors").exists()
    assert train(state, tmp_path / "resumed.safetensors").wait() == 0
    assert train(tmp_path / "other", tmp_path / "whole.safetensors").wait() == 0
    resumed, whole = (load_file(tmp_path / f"{name}.safetensors") for name in ("resumed", "whole"))
    for name, value in whole.items(): np.testing.assert_array_equal(resumed[name], value)
    assert not state.exists()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_small_trend(tmp_path_factory.mktemp("models") / "trend") / "crypto"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name in ("BTC-USD", "ETH-USD"): load(name, "30m", "bitfinex").tail(400).to_csv(folder / f"{name}.csv")
    load("LTC-USD", "1h", "bitfinex").tail(100).to_csv(folder / "hourly.csv")
    (folder / "broken.csv").write_text("time,open\nyesterday,1\n")
    return folder


def test_a_factor_is_known_when_it_says(network, files, tmp_path):
    skipped = write_factor(tmp_path / "factor", find_sources(files), network, jobs=1)
    assert set(skipped.symbol) == {"hourly.csv", "broken.csv"}
    table, reader = open_array(tmp_path / "factor").table(), TrendReader(network)
    frame = load("ETH-USD", "30m", "bitfinex").tail(400)
    for at in (8, 100, 399):
        known = frame.index[at] + pd.Timedelta("30m")
        assert table.loc[known, "ETH-USD"] == pytest.approx(reader.read(frame.iloc[:at + 1]).probability, abs=1e-6)
    assert table.index[0] == frame.index[8] + pd.Timedelta("30m")


def test_a_dask_cluster_writes_the_same_factor(network, files, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'ohlcv-ta[cluster]'")
    write_factor(tmp_path / "here", find_sources(files), network, jobs=1)
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
          parallel_config("dask", scheduler_host=cluster.scheduler_address)):
        write_factor(tmp_path / "there", find_sources(files), network)
    for name in ("factor.npy", "axes.json", "factors.csv"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_a_factor_is_never_half_written(network, tmp_path, monkeypatch):
    scores = {"one": TrendReader(network).scores(random_walk(60, timeframe="30m"))}
    folder = write_array(tmp_path / "factor", scores, {})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    def full(*_): raise OSError("No space left on device")
    monkeypatch.setattr("ohlcv_ta.market.factor.write_whole", full)
    with pytest.raises(OSError, match="No space"): write_array(folder, {"two": scores["one"].iloc[:20]}, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["factor"]


def test_the_command_writes_a_factor(network, files, tmp_path):
    asked = ["factor", files, "--network", network, "-o", tmp_path / "factor", "--jobs", "1"]
    done = CliRunner().invoke(app, list(map(str, asked)))
    assert done.exit_code == 0, done.output
    assert "2 symbols, 48 times of day" in done.output
    assert len(pd.read_csv(tmp_path / "factor" / "factors.csv")) == 2 * 392


@pytest.fixture(scope="module")
def url():
    with running(mount(create_app(small_models()))) as url:
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


@pytest.fixture
def tab(browser, url):
    visit(browser, f"{url}/app/")
    wait_for(browser, "button[role=tab]", "Breakout")
    click(browser, "Trend")
    wait_for(browser, ".ta-pixels", "What the network sees")
    yield browser
    nothing_wrong(browser)


@needs_browser
def test_the_tab_shows_the_image_and_steps_through_time(tab):
    assert "not known yet" in visible(tab)
    type_into(tab, "Up to, in UTC", "2018-06-01 12:10")
    wait_until_visible(tab, "up to 2018-06-01 12:00 UTC")
    assert "What followed" in visible(tab) and "ROC AUC" in visible(tab)
    press(tab, "Earlier")
    wait_until_visible(tab, "up to 2018-06-01 11:30 UTC")
    choose(tab, "Market", "ETH-USD, bitfinex")
    wait_until_visible(tab, "ETH-USD, bitfinex")
    type_into(tab, "Up to, in UTC", "soon")
    wait_for(tab, ".ta-message", "is no time")


def wait_until_visible(browser, says):
    until(browser, lambda: says in visible(browser), says)
