"Test that lines drawn as masks are read back with sub-pixel positions."

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.charts.geometry import ChartGeometry, axis_from_points
from ohlcv_ta.charts.line_masks import draw_masks, read_levels, read_rays

NONE = np.empty((0, 4))
SIZES = [(512, 256), (1150, 575), (300, 200), (800, 1200)]


def chart(width, height, log=False):
    return ChartGeometry(width, height, 0.05 * width, 0.08 * height, 0.9 * width, 0.85 * height, -0.5, 299.5, 80, 125, log)


def with_gap(rows, gap):
    "Return rows at least a gap apart."
    selected = []
    for row in sorted(rows):
        if not selected or row - selected[-1] >= gap: selected.append(row)
    return np.array(selected)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(SIZES), st.booleans(), st.sampled_from([None, 1.2]),
       st.lists(st.floats(0.02, 0.98), max_size=20))
def test_levels_come_back_within_half_a_pixel(size, log, soft, shares):
    geometry = chart(*size, log)
    rows = with_gap([geometry.top + s * (geometry.bottom - geometry.top) for s in shares], 4.5)
    horizontal, ray = draw_masks(geometry.price(rows), NONE, geometry, sigma=soft)
    found = read_levels(horizontal, geometry)
    assert len(found) == len(rows) and not ray.any()
    assert (np.abs(found.row - rows) < 0.5).all()
    assert (np.abs(geometry.row(found.price) - rows) < 0.5).all()


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(SIZES), st.sampled_from([None, 1.2]), st.floats(0, 200), st.floats(40, 99),
       st.floats(85, 120), st.floats(85, 120))
def test_a_ray_comes_back_with_its_ends(size, soft, start, length, first, last):
    geometry = chart(*size)
    _, mask = draw_masks([], [[start, first, start + length, last]], geometry, sigma=soft)
    found = read_rays(mask)
    (x0, x1), (y0, y1) = geometry.column([start, start + length]), geometry.row([first, last])
    assert len(found) == 1 and found.confidence[0] > 0.6
    error = np.abs(found[["x0", "x1"]].to_numpy()[0] - [x0, x1]), np.abs(found[["y0", "y1"]].to_numpy()[0] - [y0, y1])
    assert error[0].max() < 3 and error[1].max() < 3 * max(1, abs(y1 - y0) / (x1 - x0)) # ends are exact to some columns


@pytest.mark.parametrize("soft", [None, 1.2])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_crossing_rays_stay_separate_and_gaps_are_closed(size, soft):
    geometry = chart(*size)
    crossing = np.array([[20, 90, 280, 118], [40, 120, 260, 88]])
    _, mask = draw_masks([], crossing, geometry, sigma=soft)
    mask[:, int(geometry.column(80)):int(geometry.column(88))] = 0
    found = read_rays(mask).sort_values("x0")
    assert len(found) == 2
    np.testing.assert_allclose(geometry.bar(found[["x0", "x1"]]), crossing[:, [0, 2]], atol=4)
    np.testing.assert_allclose(geometry.price(found[["y0", "y1"]]), crossing[:, [1, 3]], atol=1)


@pytest.mark.parametrize("mask", [np.zeros((1, 1)), np.ones((9, 9)), np.zeros((5, 400), bool), np.full((40, 40), np.nan),
                                  np.full((64, 64), 255, np.uint8), np.random.default_rng(0).random((128, 256))],
                         ids=["a pixel", "ones", "booleans", "NaN", "bytes", "noise"])
def test_any_mask_can_be_read(mask):
    assert read_levels(mask).row.between(0, len(mask)).all()
    assert read_rays(mask).confidence.between(0, 1).all()


def test_lines_outside_the_plot_are_not_drawn():
    geometry = chart(512, 256)
    horizontal, ray = draw_masks([10.0, 500.0], [[-50, 100, -20, 101], [0, 300, 100, 400]], geometry, sigma=1.2)
    assert not horizontal.any() and not ray.any()


def test_bytes_are_read_as_probabilities():
    geometry = chart(512, 256)
    horizontal, _ = draw_masks([100.0], NONE, geometry)
    np.testing.assert_allclose(read_levels((255 * horizontal).astype(np.uint8), geometry).price, 100, atol=0.1)


@given(st.floats(0, 500), st.floats(1, 500), st.floats(1, 1e5), st.floats(1.01, 10), st.booleans())
def test_an_axis_passes_through_its_points(row, further, price, times, log):
    axis = axis_from_points((row, price), (row + further, price * times), log)
    np.testing.assert_allclose(axis([row, row + further]), [price, price * times])
