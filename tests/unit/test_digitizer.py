"""Bars read from pictures: exact counts on charts of the compiled renderer, and nothing on pictures without a chart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.charts import STYLES, draw_chart
from ohlcv_ta.data import random_walk
from ohlcv_ta.data.raw_tables import PRICES
from ohlcv_ta.models.digitizer.dataset import pictures_without_chart
from ohlcv_ta.models.digitizer.inference import BAR_COLUMNS, read_bars

CHARTS = [("light", "candles", 60, 800, 500), ("dark", "candles", 150, 1200, 640), ("light", "hollow", 80, 900, 500),
          ("dark", "bars", 90, 1200, 640), ("light", "candles", 250, 1600, 900)]


@pytest.mark.parametrize(("theme", "kind", "count", "width", "height"), CHARTS)
def test_bars_are_read_exactly(theme, kind, count, width, height):
    walk = random_walk(count, seed=11)
    image, geometry = draw_chart(walk, replace(STYLES[theme], kind=kind), width, height)
    reading = read_bars(image)
    assert reading.kind == kind
    assert len(reading.bars) == count
    assert list(reading.bars.columns) == BAR_COLUMNS
    rows, columns = geometry.row(walk[PRICES].to_numpy()), geometry.column(np.arange(count))
    assert np.abs(reading.bars.column - columns).max() < 0.5 * reading.pitch
    error = np.median(np.abs(reading.bars[["open", "high", "low", "close"]] - rows), axis=0) / np.ptp(rows)
    assert (error < 0.004).all()
    rising = walk.Close.to_numpy() > walk.Open.to_numpy()
    assert ((reading.bars.close < reading.bars.open).to_numpy() == rising).mean() > 0.93


def test_bars_lie_within_the_plot_and_in_order():
    image, _ = draw_chart(random_walk(120, seed=3), STYLES["dark"], 1200, 640)
    reading = read_bars(image)
    bars, (left, top, right, bottom) = reading.bars, reading.plot
    assert (np.diff(bars.column) > 0).all()
    assert ((bars.high <= bars[["open", "close"]].min(axis=1)) & (bars.low >= bars[["open", "close"]].max(axis=1))).all()
    assert left <= bars.column.min() <= bars.column.max() <= right
    assert top <= bars.high.min() + 1
    assert bars.low.max() <= bottom + 1
    assert bars.confidence.between(0, 1).all()
    assert 0 <= reading.confidence <= 1


def test_volume_follows_the_bars():
    walk = random_walk(100, seed=5)
    image, _ = draw_chart(walk, replace(STYLES["dark"], volume="pane"), 1200, 640)
    volume = read_bars(image).bars.volume
    assert np.corrcoef(volume, walk.Volume)[0, 1] > 0.98


def test_pictures_without_a_chart_have_no_bars():
    found = [kind for kind, image in pictures_without_chart(20, seed=2) if read_bars(image) is not None]
    assert found == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (5, 7), (60, 80), (300, 500)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_and_tiny_pictures_have_no_bars(shape, value):
    assert read_bars(np.full((*shape, 3), value, np.uint8)) is None


def test_a_gray_chart_does_not_fail():
    image, _ = draw_chart(random_walk(80, seed=1), STYLES["light"], 800, 500)
    gray = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    reading = read_bars(gray)
    assert reading is None or len(reading.bars) >= 10


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 160), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_noise_of_any_size_has_no_bars(height, width, seed):
    assert read_bars(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)) is None
