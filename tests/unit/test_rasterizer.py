"Test the rasterizer with any style, size and bars."

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.charts.rasterizer import draw_chart, draw_charts
from ohlcv_ta.charts.style import STYLES, Style


def walk(n, seed=0):
    "Bars of a random walk."
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    opened = np.r_[100, close[:-1]][:n]
    high, low = np.maximum(opened, close) * 1.004, np.minimum(opened, close) * 0.996
    return np.column_stack([opened, high, low, close, rng.random(n)])


EDGE_CASES = {"one bar": walk(1), "none": walk(0), "flat": np.full((30, 5), 7.0), "zeros": np.zeros((9, 5)),
              "no volume": walk(60) * [1, 1, 1, 1, np.nan],
              "a missing bar": np.where(np.arange(60)[:, None] == 30, np.nan, walk(60)),
              "all NaN": np.full((20, 5), np.nan), "crowded": walk(3000), "negative": walk(60) - 100.5,
              "infinite volume": walk(60) * [1, 1, 1, 1, np.inf], "millionths": walk(60) * 1e-8, "trillions": walk(60) * 1e12}


@pytest.mark.parametrize("bars", EDGE_CASES.values(), ids=EDGE_CASES)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (64, 64), (512, 256)], ids=str)
def test_edge_cases_are_drawn_in_every_style_and_size(bars, size):
    for style in [*STYLES.values(), replace(STYLES["platform"], log=True, tags=(0.0, 1.0), sidebar=60.0, toolbar=90.0)]:
        image, geometry = draw_chart(bars, style, *size)
        assert image.shape == (size[1], size[0], 3) and image.dtype == np.uint8
        assert geometry.low < geometry.high and geometry.left < geometry.right and geometry.top < geometry.bottom


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 400), st.integers(8, 300), st.integers(1, 400))
def test_the_geometry_describes_a_chart_in_any_random_style(seed, width, height, n):
    style, bars = Style.sample(np.random.default_rng(seed)), walk(n, seed)
    assert style == Style.sample(np.random.default_rng(seed))
    image, geometry = draw_chart(bars, style, width, height)
    again, _ = draw_charts(np.stack([bars, bars]), [style, style], width, height, [geometry, geometry])
    assert (again == image).all()
    prices = bars[:, 3] if style.kind in ("line", "area") else bars[:, 1:3]
    assert ((geometry.row(prices) >= geometry.top) & (geometry.row(prices) <= geometry.bottom)).all()
    np.testing.assert_allclose(geometry.price(geometry.row(prices)), prices)


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("size", [(512, 256), (1150, 575)], ids=str)
def test_the_highest_high_is_drawn_at_its_row(name, size):
    bars = walk(120, 3)
    bars[60, [1, 3]] = 1.2 * bars[:, 1].max() # an isolated spike
    style = replace(STYLES[name], grid_x=False, grid_y=False, averages=(), watermark="", title="", tag_last=False)
    image, geometry = draw_chart(bars, style, *size)
    flat, _ = draw_chart(bars[:0], style, *size, geometry=geometry)
    column, row = int(geometry.column(60)), geometry.row(bars[60, 1])
    changed = (image.astype(int) - flat)[:, column - 1:column + 2]
    assert abs(np.flatnonzero(np.abs(changed).max((1, 2)) > 12)[0] - row) <= 1.5 * size[1] / 256


def test_decorations_do_not_depend_on_bars():
    style = Style.sample(np.random.default_rng(5))
    geometry = draw_chart(walk(100, 1), style)[1]
    one, two = (draw_chart(walk(100, seed)[:0], style, geometry=geometry)[0] for seed in (1, 2))
    assert (one == two).all()
