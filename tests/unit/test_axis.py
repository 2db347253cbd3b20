"Price axes read from pictures: numbers in the formats of charts, our own renderers at several sizes, and noise."

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcv_ta.charts.axis import SURE, parse_price, read_axis
from ohlcv_ta.charts.candlestick import draw_mplfinance
from ohlcv_ta.charts.geometry import ChartGeometry
from ohlcv_ta.charts.rasterizer import draw_chart
from ohlcv_ta.charts.style import STYLES
from ohlcv_ta.data import load_series

pytestmark = pytest.mark.skipif(find_spec("rapidocr_onnxruntime") is None, reason="the text recognizer is not installed")
SIZES = [(720, 400), (1000, 480), (1600, 900)]


@pytest.fixture(scope="module")
def bars():
    return load_series("BTC-USD", "1h", "bitfinex").iloc[:120]


def error(axis, geometry: ChartGeometry) -> float:
    "Return how far an axis is off, as a share of the height of the plot."
    prices = np.linspace(geometry.low, geometry.high, 9)
    return float(np.abs(axis.row(prices) - geometry.row(prices)).max() / (geometry.bottom - geometry.top))


@given(st.integers(0, 10**9), st.integers(0, 6), st.sampled_from(["", "$", "€", "US$"]), st.booleans())
def test_numbers_are_parsed_as_they_were_written(whole, decimals, sign, grouped):
    price = whole / 10**decimals
    text = f"{sign}{price:,.{decimals}f}" if grouped else f"{sign}{price:.{decimals}f}"
    parsed = parse_price(text)
    assert parsed is not None
    assert parsed.value == pytest.approx(price)
    assert parsed.unit == pytest.approx(10.0**-decimals)


@given(st.integers(1, 10**9), st.integers(1, 4))
def test_decimal_commas_are_parsed(whole, decimals):
    price = whole / 10**decimals
    text = f"{price:,.{decimals}f}".translate(str.maketrans(",.", ".,"))
    parsed = parse_price(text, ",")
    assert parsed is not None
    assert parsed.value == pytest.approx(price)


@given(st.floats(-99, 99).map(lambda x: round(x, 2)), st.sampled_from(["-", "−"]))
def test_percent_and_minus_are_parsed(value, minus):
    parsed = parse_price(f"{value:.2f}%".replace("-", minus))
    assert parsed is not None
    assert parsed.percent
    assert parsed.value == pytest.approx(value)


@pytest.mark.parametrize(("suffix", "factor"), [("k", 1e3), ("K", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12), ("e-5", 1e-5)])
def test_units_and_exponents_are_parsed(suffix, factor):
    parsed = parse_price(f"12.5{suffix}")
    assert parsed is not None
    assert parsed.value == pytest.approx(12.5 * factor)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("style", ["light", "dark"])
def test_axis_of_our_renderer_is_right(bars, style, width, height):
    image, geometry = draw_chart(bars, STYLES[style], width, height)
    axis = read_axis(image)
    assert axis is not None
    assert error(axis, geometry) < 0.005


@pytest.mark.parametrize("size", SIZES)
def test_axis_of_mplfinance_is_right(bars, size):
    image, geometry = draw_mplfinance(bars, width=size[0], height=size[1])
    axis = read_axis(image)
    assert axis is not None
    assert error(axis, geometry) < 0.005


@pytest.mark.parametrize("seed", range(4))
def test_noise_has_no_confident_axis(seed):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for image in (random.integers(0, 256, (240, 320, 3), dtype=np.uint8), coarse.repeat(8, 0).repeat(8, 1)):
        axis = read_axis(image)
        assert axis is None or axis.confidence < SURE
