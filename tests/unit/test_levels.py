"Properties of levels and rays for any bars."

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import theilslopes

from ohlcv_ta.data import random_walk
from ohlcv_ta.data.raw_tables import FrameError
from ohlcv_ta.evaluation import LookAheadError, check_causality
from ohlcv_ta.features.indicators import atr
from ohlcv_ta.features.support_resistance import levels as module
from ohlcv_ta.features.support_resistance import rays, touches
from ohlcv_ta.features.support_resistance.levels import (
    LEVEL_COLUMNS,
    SCORERS,
    LevelSettings,
    chart_as_of,
    cluster_settings,
    clustered_levels,
    find_levels,
    level_history,
    nearest_levels,
    price_row_features,
    rule_levels,
)
from ohlcv_ta.features.support_resistance.rays import RAY_COLUMNS, RaySettings, extend_rays, find_rays
from ohlcv_ta.features.support_resistance.swings import find_swings

PRICES = ["Open", "High", "Low", "Close"]
seeds, scorers = st.integers(0, 10_000), pytest.mark.parametrize("scorer", sorted(SCORERS))


def times(frame, factor):
    return frame.assign(**{c: frame[c] * factor for c in PRICES})


@st.composite
def bars(draw, least=1, most=80):
    "Draw valid bars on a coarse grid, so that ties, flat periods and bars without a body are common."
    n = draw(st.integers(least, most))
    steps = np.array(draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)))
    close = 100.0 + steps.cumsum()
    opens = np.r_[100.0, close[:-1]]
    up, down = (np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))) for _ in range(2))
    index = pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC", name="time")
    return pd.DataFrame({"Open": opens, "High": np.maximum(opens, close) + up, "Low": np.minimum(opens, close) - down,
                         "Close": close, "Volume": np.ones(n)}, index)


# Swings


@given(bars(), st.integers(1, 6), st.integers(1, 6))
def test_swings_match_their_definition(frame, left, right):
    high, low = frame.High.to_numpy(), frame.Low.to_numpy()
    def turned(x, i): return (x[i - left:i] < x[i]).all() and (x[i:i + right + 1] <= x[i]).all()
    inside = range(left, len(frame) - right)
    expected = sorted([(i, "high", high[i]) for i in inside if turned(high, i)]
                      + [(i, "low", low[i]) for i in inside if turned(-low, i)])
    found = find_swings(frame, left, right)
    assert [*zip(found.bar, found.side, found.price, strict=True)] == expected
    assert (found.known_bar == found.bar + right).all()


def test_swings_are_known_at_known_bar():
    frame = random_walk(400, seed=2)
    assert check_causality(find_swings, frame)
    for bar in (60, 200, 399):
        pd.testing.assert_frame_equal(find_swings(frame).query("known_bar <= @bar"), find_swings(frame.iloc[:bar + 1]))


# Nothing repaints


@scorers
def test_levels_are_causal(scorer):
    frame = random_walk(260, seed=3)
    def history(frame): return level_history(frame, 120, scorer)
    assert check_causality(history, frame, prefix_lengths=[2, 30, 100, 180, 259])


def strongest_ray(frame):
    rays = [find_rays(chart_as_of(frame, bar, 150), top=1) for bar in range(0, len(frame), 10)]
    return pd.DataFrame([ray.iloc[0] if len(ray) else {} for ray in rays], index=frame.index[::10], columns=RAY_COLUMNS[:6])


def test_rays_are_causal():
    frame = random_walk(300, seed=4)
    assert strongest_ray(frame).notna().any(axis=None)
    assert check_causality(strongest_ray, frame, prefix_lengths=[1, 101, 201, 291])


def test_check_causality_finds_look_ahead_levels():
    def peeking(frame):
        return pd.DataFrame({"above": [find_levels(frame).price.max()] * len(frame)}, index=frame.index)
    with pytest.raises(LookAheadError):
        check_causality(peeking, random_walk(300, seed=3), prefix_lengths=[150])


@given(seeds, st.integers(0, 299))
def test_chart_as_of_ends_at_the_bar(seed, bar):
    frame = random_walk(300, seed=seed)
    chart = chart_as_of(frame, bar, 100)
    assert chart.index[-1] == frame.index[bar] and len(chart) == min(100, bar + 1)


# Units


@scorers
@given(seeds, st.floats(-9, 9))
def test_levels_scale_with_price(scorer, seed, power):
    frame = random_walk(120, seed=seed)
    here, there = find_levels(frame, scorer), find_levels(times(frame, 10.0**power), scorer)
    np.testing.assert_allclose(there.price / 10.0**power, here.price, rtol=1e-9)
    pd.testing.assert_frame_equal(there.drop(columns="price"), here.drop(columns="price"), rtol=1e-6)


@given(bars(least=30), st.integers(-40, 40))
def test_levels_on_a_price_grid_scale_with_price(frame, power):
    here, there = find_levels(frame), find_levels(times(frame, 2.0**power))
    pd.testing.assert_frame_equal(there.assign(price=there.price / 2.0**power), here, check_exact=True)


@given(seeds, st.floats(-9, 9))
def test_rays_scale_with_price(seed, power):
    frame = random_walk(200, seed=seed)
    here, there = find_rays(frame, least=0.0), find_rays(times(frame, 10.0**power), least=0.0)
    money = ["start_price", "end_price", "slope"]
    np.testing.assert_allclose(there[money] / 10.0**power, here[money], rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(there.drop(columns=money), here.drop(columns=money), rtol=1e-5, atol=1e-8)


@given(seeds)
def test_mirrored_chart_has_mirrored_levels(seed):
    frame = random_walk(200, seed=seed)
    top = frame.High.max() + frame.Low.min()
    mirror = frame.assign(Open=top - frame.Open, High=top - frame.Low, Low=top - frame.High, Close=top - frame.Close)
    np.testing.assert_allclose(np.sort(top - rule_levels(mirror)[0]), rule_levels(frame)[0], rtol=1e-9)


@given(seeds)
def test_levels_are_deterministic(seed):
    frame = random_walk(150, seed=seed)
    for find in (find_levels, find_rays):
        pd.testing.assert_frame_equal(find(frame), find(frame.copy()), check_exact=True)


# Frames that are short, still or incomplete


@scorers
@given(bars())
def test_levels_of_any_frame(scorer, frame):
    levels = find_levels(frame, scorer)
    assert list(levels) == LEVEL_COLUMNS
    assert levels.strength.is_monotonic_decreasing
    assert (levels.bounces + levels.breaks <= levels.touches).all()
    assert levels.price.between(frame.Low.min(), frame.High.max()).all()
    assert (levels.first_touch.isna() == (levels.touches == 0)).all()
    assert (levels.dropna().first_touch <= levels.dropna().last_touch).all()
    assert ((levels.kind == "resistance") == (levels.price > frame.Close.iloc[-1])).all()


@given(bars())
def test_rays_of_any_frame(frame):
    assert list(find_rays(frame)) == RAY_COLUMNS


@pytest.mark.parametrize("n", [1, 2, 13])
def test_short_and_constant_frames_have_no_levels(n):
    frame = random_walk(13, seed=1).iloc[:n]
    still = frame.assign(Open=7.0, High=7.0, Low=7.0, Close=7.0)
    for some in (frame.iloc[:12], still):
        assert len(find_levels(some)) == len(find_rays(some)) == len(price_row_features(still)) == 0
    assert len(level_history(frame)) == n


@scorers
def test_volume_may_be_missing(scorer):
    frame = random_walk(200, seed=5)
    for known in (frame.assign(Volume=np.nan), frame[PRICES], frame.assign(Volume=0.0)):
        assert len(find_levels(known, scorer))


@pytest.mark.parametrize("broken, said", [
    (lambda frame: frame.rename(columns=str.lower), "Name the columns Open High Low Close"),
    (lambda frame: pd.concat({"SPY": frame}, axis=1), "Name the columns Open High Low Close"),
    (lambda frame: frame[::-1], "goes back behind that of the bar before"),
    (lambda frame: frame.iloc[[0, 1, 1, 2]], "repeats that of the bar before"),
    (lambda frame: frame.tz_localize(None), "the times name no time zone"),
    (lambda frame: frame.iloc[:0], "there are no bars"),
], ids=["names", "two rows of names", "reversed", "repeated", "naive", "empty"])
@pytest.mark.parametrize("find", [find_levels, find_rays, level_history, price_row_features, find_swings])
def test_invalid_frame_raises(find, broken, said):
    with pytest.raises(FrameError, match=said):
        find(broken(random_walk(40, seed=2)))


def test_missing_price_error_names_the_bar():
    frame = random_walk(50, seed=1)
    frame.iloc[17, frame.columns.get_loc("Low")] = np.nan
    for find in (find_levels, find_rays, find_swings):
        with pytest.raises(ValueError, match="row 17, column Low"):
            find(frame)


def test_unknown_names_raise():
    with pytest.raises(ValueError, match="'clustered'"):
        find_levels(random_walk(50), "best")
    with pytest.raises(ValueError, match="no widnows; its constants are rows, windows"):
        find_levels(random_walk(50), widnows=(3,))


# The rule


@given(st.lists(st.integers(0, 20), min_size=1, max_size=9), st.integers(0, 20), st.integers(1, 4))
def test_select_rows_is_optimal(strength, cost, spacing):
    chosen = module.select_rows(np.array(strength, float), float(cost), spacing)
    def worth(rows): return sum(strength[r] - cost for r in rows)
    sets = (rows for k in range(len(strength) + 1) for rows in combinations(range(len(strength)), k))
    best = max(worth(rows) for rows in sets if all(b - a >= spacing for a, b in pairwise(rows)))
    assert worth(chosen) == best
    assert (np.diff(chosen) >= spacing).all()


@given(bars(least=20))
def test_every_swing_point_and_body_is_counted(frame):
    rows = price_row_features(frame)
    if len(rows):
        height = np.diff(rows.index[:2])[0]
        np.testing.assert_allclose(rows.bodies.sum() * height, (frame.Close - frame.Open).abs().sum(), rtol=1e-6, atol=1e-9)
        assert rows.strength.between(0, 1).all()
        np.testing.assert_allclose(rows.turns.sum() % 1, 0, atol=1e-6)


@given(seeds, st.integers(5, 60))
def test_least_distance_of_levels(seed, spacing):
    frame = random_walk(200, seed=seed)
    price, strength = rule_levels(frame, spacing=spacing)
    assert (np.diff(price) >= spacing / LevelSettings().rows * (frame.High.max() - frame.Low.min()) * (1 - 1e-9)).all()
    assert (strength > LevelSettings().cost).all()


def test_price_with_bounces_from_both_sides_is_a_level():
    close = 100 + np.r_[np.abs(np.arange(-40, 40)) % 40 / 4, -(np.abs(np.arange(-40, 40)) % 40) / 4, np.linspace(0, 8, 30)]
    opens = np.r_[close[0], close[:-1]]
    frame = pd.DataFrame({"Open": opens, "High": np.maximum(opens, close), "Low": np.minimum(opens, close), "Close": close,
                          "Volume": 1.0}, pd.date_range("2024-01-01", periods=len(close), freq="1h", tz="UTC"))
    strongest = find_levels(frame).iloc[0]
    assert abs(strongest.price - 100) < 0.2 and strongest.kind == "support"


# Treatment


def visits_by_hand(frame, price, band):
    "Count touches, bounces and breaks by their definition."
    close, before = frame.Close.to_numpy(), frame.Close.shift().fillna(frame.Close.iloc[0]).to_numpy()
    reach = ((np.minimum(frame.Low, before) <= price + band) & (np.maximum(frame.High, before) >= price - band)).to_numpy()
    edges = np.flatnonzero(np.diff(np.r_[False, reach, False]))
    runs = edges.reshape(-1, 2)
    whole = [(close[a - 1] > price, close[b] > price) for a, b in runs if a > 0 and b < len(close)]
    return len(runs), sum(a == b for a, b in whole), sum(a != b for a, b in whole)


@given(bars(), st.floats(90, 110), st.floats(0.1, 2))
def test_touches_bounces_and_breaks(frame, price, band):
    high, low, close = (frame[c].to_numpy() for c in ("High", "Low", "Close"))
    assert touches._visits(high, low, close, 0, price, 0.0, band)[:3] == visits_by_hand(frame, price, band)


@given(seeds, st.integers(14, 200))
def test_average_ranges_agree_with_atr(seed, n):
    frame = random_walk(n, seed=seed)
    sizes = touches.average_ranges(*(frame[c].to_numpy() for c in ("High", "Low", "Close")), 14)
    np.testing.assert_allclose(sizes[1], atr(frame).iloc[-1], rtol=1e-12)


@given(st.lists(st.floats(1, 1000), max_size=8, unique=True), st.floats(1, 1000), st.floats(0.1, 10))
def test_nearest_levels(prices, close, unit):
    found = nearest_levels(np.array(prices), close, unit)
    assert np.isnan(found.above) == all(p <= close for p in prices)
    assert np.isnan(found.below) == all(p > close for p in prices)
    assert not any(found.below < p < found.above for p in prices)
    if not np.isnan([found.above, found.below]).any():
        np.testing.assert_allclose(found.long, (found.above - close) / (close - found.below + 0.25 * unit))


# Clusters


@given(st.lists(st.floats(1e-8, 1e8), min_size=1, max_size=40).map(sorted), st.floats(0.001, 0.05))
def test_bounded_cluster_width(prices, share):
    prices = np.array(prices)
    cluster = module._cluster_numbers(prices, share, True)
    assert (np.diff(cluster) >= 0).all()
    groups = pd.Series(prices).groupby(cluster)
    assert (groups.max() - groups.min() <= share * groups.max() * (1 + 1e-12)).all()


def test_unbounded_clusters_chain():
    frame = random_walk(300, seed=6)
    assert len(clustered_levels(frame, bounded=False)[0]) < len(clustered_levels(frame)[0])


@pytest.mark.parametrize(("timeframe", "lookback"), [("1m", 5), ("30m", 5), ("1h", 8), ("12h", 8), ("1d", 12), ("1w", 12)])
def test_cluster_settings_by_bar_length(timeframe, lookback):
    assert cluster_settings(random_walk(5, timeframe=timeframe)).lookback == lookback
    assert cluster_settings(random_walk(5, timeframe=timeframe)[:1]).lookback == 12


# Rays


@given(seeds)
def test_ray_conditions(seed):
    frame, rule = random_walk(200, seed=seed), RaySettings()
    rays, span = find_rays(frame, top=5, least=0.0), frame.High.max() - frame.Low.min()
    for ray in rays.itertuples():
        t = np.arange(int(ray.start_bar), int(ray.end_bar) + 1)
        side = 1 if (frame.Close.iloc[t] - ray.start_price - ray.slope * (t - t[0])).mean() < 0 else -1
        beyond = side * (frame.Close.iloc[t] - ray.start_price - ray.slope * (t - t[0])).iloc[1:].max()
        assert ray.touches >= 3 and ray.end_bar - ray.start_bar >= rule.span
        assert ray.start_bar <= ray.first_touch < ray.last_touch <= ray.end_bar
        assert side < 0 or beyond <= rule.breach * span * (1 + 1e-9)
        np.testing.assert_allclose(ray.end_price, ray.start_price + ray.slope * (ray.end_bar - ray.start_bar))
    assert rays.strength.is_monotonic_decreasing


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=12))
def test_robust_line_agrees_with_theil_sen(heights):
    x, y = np.arange(len(heights)) * 3.0, np.array(heights)
    slope, height = rays._robust_line(x, y)
    np.testing.assert_allclose(slope, theilslopes(y, x)[0], atol=1e-9)
    np.testing.assert_allclose(height, np.median(y - slope * x), atol=1e-9)


@pytest.mark.parametrize("slope", [-0.1, 0.07])
def test_synthetic_ray_is_found(slope):
    t = np.arange(240)
    line = 100 + slope * t
    close = line + 5 * np.abs(np.sin(np.pi * t / 48)) + 0.3
    frame = pd.DataFrame({"Open": close + 0.1, "High": close + 0.3, "Low": close - 0.2, "Close": close, "Volume": 1.0},
                         pd.date_range("2024-01-01", periods=240, freq="1h", tz="UTC", name="time"))
    support = find_rays(frame).query("kind == 'support'").iloc[0]
    assert abs(support.slope - slope) < 0.01
    assert abs(support.end_price - line[int(support.end_bar)]) < 0.5


def test_extended_rays_keep_their_slope():
    rays = find_rays(random_walk(300, seed=4), least=0.0)
    on = extend_rays(rays, 350)
    assert (on.end_bar == 350).all()
    np.testing.assert_allclose((on.end_price - rays.end_price) / (350 - rays.end_bar), rays.slope)
