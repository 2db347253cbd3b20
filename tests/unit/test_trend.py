"Images of bars, their labels, and factors that are never half written."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_models import save_small_trend
from typer.testing import CliRunner

from ohlcv_ta.charts.price_images import PRICE_IMAGE_STYLES, PriceImageStyle, decode_price_image, draw_price_images
from ohlcv_ta.cli import app
from ohlcv_ta.data import load_series
from ohlcv_ta.data.synthetic import random_walk
from ohlcv_ta.features.labels import SIDES, trend_labels
from ohlcv_ta.market.factor import open_array, write_array, write_factor
from ohlcv_ta.market.screening import find_sources
from ohlcv_ta.models.trend.dataset import TrendTask, load_shards, write_shards
from ohlcv_ta.models.trend.inference import TrendPredictor

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
    look = PRICE_IMAGE_STYLES[name]
    image = draw_price_images(frame, look, [len(frame) - 1])[0]
    window = frame[PRICES].to_numpy()[-look.lookback:]
    true = (window - window.min()) / (window.max() - window.min())
    assert np.abs(decode_price_image(image, look)[:, :4] - true).max() <= 1 / (look.price_rows - 1)


@given(frame=frames(least=130, most=160), name=st.sampled_from(list(PRICE_IMAGE_STYLES)), more=st.integers(1, 60))
def test_an_image_knows_nothing_of_what_comes_after(frame, name, more):
    look, last = PRICE_IMAGE_STYLES[name], len(frame) - 1 - more
    shorter = draw_price_images(frame.iloc[:last + 1], look, [last])
    np.testing.assert_array_equal(draw_price_images(frame, look, [last]), shorter)


@given(frame=frames(least=130, most=140), name=st.sampled_from(list(PRICE_IMAGE_STYLES)))
def test_neither_the_level_nor_the_unit_of_a_price_is_in_an_image(frame, name):
    "A power of two changes no digit of a price."
    other = frame.assign(**{column: 1024 * frame[column] for column in PRICES})
    style = PRICE_IMAGE_STYLES[name]
    np.testing.assert_array_equal(draw_price_images(frame, style), draw_price_images(other, style))


@given(frame=frames(), holes=st.lists(st.tuples(st.integers(0, 8), st.sampled_from([*PRICES, "Volume"])), max_size=12))
def test_holes_are_black_and_nothing_else_breaks(frame, holes):
    frame, look = frame.copy(), PriceImageStyle(9, 32, volume=True)
    for back, column in holes: frame.iloc[-1 - back, frame.columns.get_loc(column)] = np.nan
    image = draw_price_images(frame, look, [len(frame) - 1])[0]
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
    image = draw_price_images(frame, PriceImageStyle(5, 21, True, average), [4])[0]
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
    task, series = TrendTask(PRICE_IMAGE_STYLES["CNN9u"], 9), {name: random_walk(300, seed) for seed, name in enumerate("abc")}
    write_shards(tmp_path / "whole", series, task, jobs=1)
    write_shards(tmp_path / "part", {"a": series["a"]}, task, jobs=1)
    (tmp_path / "part" / "b.npy").write_bytes(b"half of an array")
    assert write_shards(tmp_path / "part", series, task, jobs=2) == 2
    for one, other in zip(load_shards(tmp_path / "whole"), load_shards(tmp_path / "part"), strict=True):
        np.testing.assert_array_equal(np.asarray(one[:]), np.asarray(other[:]))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_small_trend(tmp_path_factory.mktemp("models") / "trend") / "crypto"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name in ("BTC-USD", "ETH-USD"): load_series(name, "30m", "bitfinex").tail(400).to_csv(folder / f"{name}.csv")
    load_series("LTC-USD", "1h", "bitfinex").tail(100).to_csv(folder / "hourly.csv")
    (folder / "broken.csv").write_text("time,open\nyesterday,1\n")
    return folder


def test_a_factor_is_known_when_it_says(network, files, tmp_path):
    skipped = write_factor(tmp_path / "factor", find_sources(files), network, jobs=1)
    assert set(skipped.symbol) == {"hourly.csv", "broken.csv"}
    table, reader = open_array(tmp_path / "factor").table(), TrendPredictor(network)
    frame = load_series("ETH-USD", "30m", "bitfinex").tail(400)
    for at in (8, 100, 399):
        known = frame.index[at] + pd.Timedelta("30m")
        assert table.loc[known, "ETH-USD"] == pytest.approx(reader.explain(frame.iloc[:at + 1]).probability, abs=1e-6)
    assert table.index[0] == frame.index[8] + pd.Timedelta("30m")


def test_a_factor_is_never_half_written(network, tmp_path, monkeypatch):
    scores = {"one": TrendPredictor(network).predict(random_walk(60, timeframe="30m"))}
    folder = write_array(tmp_path / "factor", scores, {})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    def full(*_): raise OSError("No space left on device")
    monkeypatch.setattr("ohlcv_ta.market.factor.write_atomic", full)
    with pytest.raises(OSError, match="No space"): write_array(folder, {"two": scores["one"].iloc[:20]}, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["factor"]


def test_the_command_writes_a_factor(network, files, tmp_path):
    asked = ["factor", files, "--network", network, "-o", tmp_path / "factor", "--jobs", "1"]
    done = CliRunner().invoke(app, list(map(str, asked)))
    assert done.exit_code == 0, done.output
    assert "2 symbols, 48 times of day" in done.output
    assert len(pd.read_csv(tmp_path / "factor" / "factors.csv")) == 2 * 392
