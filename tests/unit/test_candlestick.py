"Test candlestick figures: geometry of mplfinance charts, volume pane, open figures."

import warnings

import mplfinance as mpf
import numpy as np
import pandas as pd
import pytest
from matplotlib import _pylab_helpers

from ohlcv_ta.charts.candlestick import draw_candles, draw_mplfinance


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 80)))
    opened = np.r_[100, close[:-1]]
    bars = {"Open": opened, "High": np.maximum(opened, close) + 0.5, "Low": np.minimum(opened, close) - 0.5, "Close": close}
    return pd.DataFrame(bars | {"Volume": rng.random(80)}, pd.date_range("2024-01-01", periods=80, freq="h", tz="UTC"))


@pytest.mark.parametrize("style", mpf.available_styles())
@pytest.mark.parametrize("volume", [True, False])
def test_a_level_is_drawn_at_its_row_in_every_style(frame, style, volume):
    price = float(frame.Low.min()) + 0.3
    line = {"hlines": [price], "linewidths": 1.44} # two pixels, because Matplotlib shifts lines of odd width by half a pixel
    with_line, geometry = draw_mplfinance(frame, style, 600, 300, volume, hlines=line | {"colors": ["#ff00ff"]})
    without, same = draw_mplfinance(frame, style, 600, 300, volume, hlines=line | {"colors": ["#00000000"]})
    assert geometry == same and with_line.shape == (300, 600, 3)
    changed = np.abs(with_line.astype(int) - without).sum(2)
    rows, columns = np.flatnonzero(changed.sum(1)), np.flatnonzero(changed.sum(0))
    middle = np.average(rows + 0.5, weights=changed.sum(1)[rows])
    assert abs(middle - geometry.row(price)) <= 0.51
    assert geometry.left - 1 <= columns[0] and columns[-1] <= geometry.right + 1


@pytest.mark.parametrize("kind", ["candle", "ohlc", "line", "hollow_and_filled"])
def test_every_type_is_drawn_and_no_figure_stays_open(frame, kind):
    image, geometry = draw_mplfinance(frame, type=kind)
    assert image.shape == (575, 1150, 3) and image.std() > 1
    assert geometry.low < frame.Low.min() and geometry.high > frame.High.max()
    assert not _pylab_helpers.Gcf.get_num_fig_managers()


def test_bars_are_drawn_at_their_columns(frame):
    bars = frame.copy()
    bars.iloc[50, [1, 3]] = 1.3 * frame.High.max()
    image, geometry = draw_mplfinance(bars, "charles", volume=False)
    row = int(geometry.row(1.25 * frame.High.max()))
    left, right = geometry.column([49.2, 50.8])
    colored = np.flatnonzero(np.ptp(image[row].astype(int), axis=1) > 60)
    assert len(colored) and left <= colored[0] and colored[-1] <= right


def test_bars_without_volume_have_no_volume_pane(frame):
    assert [len(draw_candles(bars).axes) for bars in (frame, frame.drop(columns="Volume"))] == [2, 1]
    with pytest.raises(ValueError, match=r"assign\(Volume=0.0\)"):
        draw_candles(frame.drop(columns="Volume"), volume=True)


def test_zero_volume_gives_no_warning(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw_mplfinance(frame.assign(Volume=0.0))[0].shape == (575, 1150, 3)
