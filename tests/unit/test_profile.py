"Properties of market profiles for any bars."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcv_ta.features.market_profile import (
    VALUE_AREA_RULES,
    initial_balance,
    market_profile,
    published_profile,
    session_profiles,
    value_area_steps,
)

TICK = 0.25


@st.composite
def bars(draw, least=1, most=60, days=1):
    "Draw valid bars on a grid of a sixteenth, so that scaling by a power of two is exact."
    n = draw(st.integers(least, most))
    middle = np.array(draw(st.lists(st.integers(1_000, 2_000), min_size=n, max_size=n))) / 16
    up, down = (np.array(draw(st.lists(st.integers(0, 160), min_size=n, max_size=n))) / 16 for _ in range(2))
    at = np.array(draw(st.lists(st.floats(0, 1), min_size=2 * n, max_size=2 * n))).reshape(2, n)
    low, high = middle - down, middle + up
    volume = np.array(draw(st.lists(st.integers(0, 10_000), min_size=n, max_size=n)), float)
    volume[draw(st.integers(0, n - 1))] += 1
    index = pd.date_range("2024-01-01", periods=n, freq=f"{24 * 60 * days // most}min", tz="UTC", name="time")
    prices = low + at * (high - low)
    return pd.DataFrame({"Open": prices[0], "High": high, "Low": low, "Close": prices[1], "Volume": volume}, index)


rules, kinds = st.sampled_from(sorted(VALUE_AREA_RULES)), st.sampled_from(["volume", "time"])


@given(bars(), rules, kinds, st.floats(0.05, 1))
def test_profile_properties(frame, rule, by, share):
    profile = market_profile(frame, tick=TICK, by=by, rule=rule, share=share)
    if by == "volume":
        np.testing.assert_allclose(profile.weight.sum(), frame.Volume.sum(), rtol=1e-9)
    assert (profile.weight >= 0).all()
    assert profile.val <= profile.poc <= profile.vah
    assert profile.share >= share * (1 - 1e-9)
    assert profile.prices[0] - TICK / 2 <= frame.Low.min() + 1e-6
    assert frame.High.max() <= profile.prices[-1] + TICK / 2 + 1e-6


@given(bars(), rules, kinds)
def test_point_of_control_is_the_heaviest_row(frame, rule, by):
    profile = market_profile(frame, tick=TICK, by=by, rule=rule)
    assert profile.weight[profile.prices == profile.poc][0] == profile.weight.max()


@given(bars(), rules, kinds, st.integers(-4, 4))
def test_profile_scales_with_price(frame, rule, by, power):
    scale = 2.0**power
    scaled = frame.assign(**{c: frame[c] * scale for c in ("Open", "High", "Low", "Close")})
    one = market_profile(frame, tick=TICK, by=by, rule=rule)
    other = market_profile(scaled, tick=TICK * scale, by=by, rule=rule)
    np.testing.assert_allclose([other.poc, other.vah, other.val], np.array([one.poc, one.vah, one.val]) * scale, atol=1e-9)
    np.testing.assert_allclose(other.weight, one.weight)


@given(bars(), rules, st.floats(0.1, 1000))
def test_profile_prices_do_not_depend_on_volume_scale(frame, rule, scale):
    one = market_profile(frame, tick=TICK, rule=rule)
    heavier = market_profile(frame.assign(Volume=frame.Volume * 2), tick=TICK, rule=rule)
    assert (one.poc, one.vah, one.val) == (heavier.poc, heavier.vah, heavier.val)


@given(bars(least=2, most=120, days=5), rules, kinds)
def test_session_profiles_agree_with_market_profile(frame, rule, by):
    table = session_profiles(frame, rule=rule, by=by, tick=TICK)
    assert table.bars.sum() == len(frame)
    np.testing.assert_allclose(table.Volume.sum(), frame.Volume.sum())
    for date, part in frame.groupby(frame.index.tz_localize(None).normalize()):
        if part.Volume.sum() == 0:
            continue
        alone = market_profile(part, rule=rule, by=by, tick=TICK)
        row = table.loc[date]
        assert (row.poc, row.vah, row.val) == (alone.poc, alone.vah, alone.val)
        assert row.known_at == part.index[-1]


@given(bars(least=2), st.sampled_from(["one_row", "two_rows"]))
def test_value_area_steps_grow(frame, rule):
    steps = value_area_steps(market_profile(frame, tick=TICK), rule)
    assert (steps.val.diff().dropna() <= 0).all()
    assert (steps.vah.diff().dropna() >= 0).all()
    assert (steps.inside.iloc[:-1] < 0.70).all()


@given(bars(least=2))
def test_published_profile_agrees_up_to_its_bins(frame):
    "Check the heaviest bin of system D, whose bins have other edges than ours, against the rows around it."
    poc, vah, val = published_profile(frame.Low, frame.High, frame.Volume, bin_size=TICK)
    assert frame.Low.min() - TICK <= val <= vah <= frame.High.max() + TICK
    assert frame.Low.min() - TICK <= poc <= frame.High.max() + TICK


def day(hours, start="2024-03-08", tz="America/New_York"):
    index = pd.date_range(start, periods=hours, freq="h", tz=tz).tz_convert("UTC").rename("time")
    flat = np.linspace(100, 110, hours)
    return pd.DataFrame({"Open": flat, "High": flat + 1, "Low": flat - 1, "Close": flat, "Volume": 1.0}, index)


def test_sessions_follow_daylight_saving_time():
    table = session_profiles(day(24 * 5), tz="America/New_York", start="09:00", end="16:00")
    assert table.bars.tolist() == [7] * 5


def test_overnight_sessions_have_the_date_of_their_end():
    table = session_profiles(day(48), tz="America/New_York", start="18:00", end="17:00")
    assert table.index[0] == pd.Timestamp("2024-03-08")
    assert table.bars.max() == 23


@pytest.mark.parametrize("wrong, says", [
    ({"rule": "widest"}, "heaviest"), ({"share": 0}, "between 0 and 1"), ({"by": "price"}, "'volume' or 'time'"),
    ({"tick": -1}, "above 0"), ({"tick": 1e-9}, "use a larger one")])
def test_invalid_arguments_raise(wrong, says):
    with pytest.raises(ValueError, match=says):
        market_profile(day(5), **wrong)


def test_hours_without_bars_raise():
    with pytest.raises(ValueError, match="check the session's hours"):
        session_profiles(day(3, "2024-03-08 10:00"), tz="America/New_York", start="01:00", end="02:00")


def test_initial_balance_uses_the_first_hour_only():
    table = initial_balance(day(24), tz="America/New_York", start="09:00", end="16:00")
    bars = day(24).iloc[9]
    assert (table.high.iloc[0], table.low.iloc[0]) == (bars.High, bars.Low)


def test_bars_without_volume_have_only_a_time_profile():
    frame = day(6).assign(Volume=0.0)
    with pytest.raises(ValueError, match="by='time'"):
        market_profile(frame)
    assert market_profile(frame, by="time").weight.sum() > 0
