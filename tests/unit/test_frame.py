"Validation, repair, resampling and sessions of frames, on generated frames."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcv_ta.data.frame import bar_length, check, clean, infer_timeframe, resample, session_dates
from ohlcv_ta.data.raw_tables import COLUMNS, FrameError, normalize_table

ZONES = ["UTC", "America/New_York", "Europe/London", "Asia/Shanghai", "Australia/Lord_Howe", "America/Santiago",
         "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia"]
clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
zones = st.sampled_from(ZONES)


@st.composite
def frames(draw, low=1, high=120):
    "Valid frames with gaps, around nights on which clocks change."
    n = draw(st.integers(low, high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    start = pd.Timestamp(draw(st.sampled_from(["2024-03-09", "2024-11-02", "2011-12-28", "2024-04-05", "1999-12-31"])))
    step = draw(st.sampled_from([1, 5, 30, 60, 240]))
    minutes = np.cumsum(rng.integers(1, draw(st.integers(2, 6)), n)) * step
    index = pd.DatetimeIndex(start + pd.to_timedelta(minutes, unit="min"), name="time").tz_localize("UTC")
    price = np.round(np.exp(rng.normal(3, 1, (n, 4))), 2)
    prices = {"Open": price[:, 0], "High": price.max(1), "Low": price.min(1), "Close": price[:, 1]}
    return pd.DataFrame({**prices, "Volume": rng.integers(0, 1000, n).astype(float)}, index)


@given(frames())
def test_a_valid_frame_passes_unchanged(frame):
    before = frame.copy()
    assert check(frame) is frame
    cleaned, report = clean(frame)
    pd.testing.assert_frame_equal(cleaned, before, check_index_type=False)
    assert report.empty


def spoil(frame, kind, row):
    "One fault in one row, and the column that the error must name."
    frame = frame.copy()
    times = frame.index.to_list()
    if kind == "duplicate":
        times[row] = times[row - 1]
    elif kind == "unsorted":
        times[row] = times[row - 1] - pd.Timedelta(seconds=1)
    if kind in ("duplicate", "unsorted"):
        return frame.set_axis(pd.DatetimeIndex(times, name="time")), "time"
    low = pd.to_numeric(frame.Low, errors="coerce").iloc[row]
    body = frame[["Open", "Close"]].apply(pd.to_numeric, errors="coerce").min(axis=1).iloc[row]
    column, value = {"nan": ("Close", np.nan), "inf": ("Open", np.inf), "negative volume": ("Volume", -1.0),
                     "high below low": ("High", low - 1),
                     "low above": ("Low", body + 0.001),
                     "text": ("Close", "n/a")}[kind]
    frame = frame.astype({column: object}) if kind == "text" else frame
    frame.iloc[row, frame.columns.get_loc(column)] = value
    return frame, "High" if kind == "low above" and frame.High.iloc[row] < frame.Low.iloc[row] else column


@given(frames(low=2), st.data(), st.sampled_from(
    ["duplicate", "unsorted", "nan", "inf", "negative volume", "high below low", "low above", "text"]))
def test_each_fault_is_found_at_its_row(frame, data, kind):
    row = data.draw(st.integers(1, len(frame) - 1))
    spoiled, column = spoil(frame, kind, row)
    with pytest.raises(FrameError) as caught:
        check(spoiled, "bars.csv")
    assert (caught.value.row, caught.value.column) == (row, column)
    assert str(caught.value).startswith(f"bars.csv, row {row}, column {column}: ")
    assert caught.value.remedy in str(caught.value)


def test_the_first_of_several_faults_is_reported():
    frame = pd.DataFrame(10.0, pd.date_range("2024", periods=9, tz="UTC", name="time"), COLUMNS)
    frame.iloc[7, 0], frame.iloc[4, 4], frame.iloc[6, 1] = np.nan, -1, 5
    with pytest.raises(FrameError) as caught:
        check(frame)
    assert caught.value.row == 4


@given(frames(low=3), st.data())
def test_clean_is_idempotent_and_its_counts_agree(frame, data):
    kinds = ["nan", "inf", "negative volume", "high below low", "duplicate", "unsorted", "text"]
    count = data.draw(st.integers(1, min(4, len(frame) - 2)))
    rows = data.draw(st.lists(st.integers(1, len(frame) - 1), min_size=count, max_size=count, unique=True))
    spoiled = frame
    for row in rows:
        spoiled, _ = spoil(spoiled, data.draw(st.sampled_from(kinds)), row)
    cleaned, report = clean(spoiled)
    assert check(cleaned) is cleaned
    again, nothing = clean(cleaned)
    assert again.equals(cleaned) and nothing.empty
    assert len(report) and (report["count"] > 0).all()
    dropped = report["count"][report.repair.str.startswith("bar dropped")].sum()
    assert len(cleaned) == len(spoiled) - dropped
    assert list(report.columns) == ["repair", "column", "count", "first"]


@given(frames(low=2), st.sampled_from(["240m", "1d", "1w", "7h", "3d"]), zones, clock)
def test_resampling_conserves_volume_and_extremes(frame, timeframe, tz, start):
    if bar_length(timeframe) < (frame.index[1:] - frame.index[:-1]).min():
        return
    longer = resample(frame, timeframe, tz=tz, start=start, end=start)
    assert check(longer) is longer
    assert longer.Volume.sum() == frame.Volume.sum()
    assert (longer.High.max(), longer.Low.min()) == (frame.High.max(), frame.Low.min())
    assert (longer.Open.iloc[0], longer.Close.iloc[-1]) == (frame.Open.iloc[0], frame.Close.iloc[-1])
    if bar_length(timeframe).days == 0 and (np.diff(longer.index) <= bar_length(timeframe)).any():
        assert resample(longer, timeframe, tz=tz, start=start, end=start).equals(longer)


@given(frames(), zones, clock, clock)
def test_sessions_partition_the_bars(frame, tz, start, end):
    day = session_dates(frame, tz, start, end)
    assert day.index.equals(frame.index)
    inside = day.dropna()
    assert inside.is_monotonic_increasing
    if start == end:
        assert day.notna().all()
    wall = frame.index.tz_convert(tz).tz_localize(None)
    midnight = day.dropna().to_numpy()
    opened = pd.DatetimeIndex(midnight) + pd.Timedelta(start + ":00")
    if end <= start and end != "00:00":
        opened -= pd.Timedelta(days=1)
    elapsed = wall[day.notna().to_numpy()] - opened
    slack = pd.Timedelta(days=1) if tz == "Pacific/Apia" else pd.Timedelta(hours=1) # clocks change, Apia lost a day
    assert (elapsed >= -slack).all() and (elapsed < pd.Timedelta(days=1) + slack).all()


@given(frames(low=2), zones, clock, clock)
def test_daily_bars_are_the_sessions(frame, tz, start, end):
    if (frame.index[1:] - frame.index[:-1]).min() > pd.Timedelta(days=1):
        return
    day = session_dates(frame, tz, start, end)
    daily = resample(frame, "1d", tz, start, end)
    assert list(daily.index.tz_localize(None)) == list(day.dropna().unique())
    assert daily.Volume.to_list() == frame.Volume.groupby(day).sum().to_list()


@pytest.mark.parametrize(("date", "bars"), [("2024-03-10", 23), ("2024-07-01", 24), ("2024-11-03", 25)])
def test_a_day_when_clocks_change(date, bars):
    start = pd.Timestamp(date) - pd.Timedelta(days=2)
    frame = pd.DataFrame(1.0, pd.date_range(start, periods=120, freq="h", tz="UTC", name="time"), COLUMNS)
    for hours, name in [(("00:00", "00:00"), date), (("17:00", "17:00"), date)]:
        assert (session_dates(frame, "America/New_York", *hours) == name).sum() == bars


def test_a_session_is_named_by_its_last_instant():
    index = pd.DatetimeIndex(["2024-05-01 21:30", "2024-05-02 03:00", "2024-05-02 15:00"], name="time")
    frame = pd.DataFrame(1.0, index.tz_localize("Asia/Shanghai").tz_convert("UTC"), COLUMNS)
    named = session_dates(frame, "Asia/Shanghai", "21:00", "15:00")
    assert named.tolist()[:2] == [pd.Timestamp("2024-05-02")] * 2 and pd.isna(named.iloc[2])


@pytest.mark.parametrize("stamps", [
    ["2024-05-01 10:00:00+00:00", "2024-05-01 11:00:00+00:00"], ["2024-05-01T10:00Z", "2024-05-01T11:00Z"],
    [1714557600, 1714561200], [1714557600000, 1714561200000], ["1714557600000", "1714561200000"],
    ["05/01/2024 10:00+00:00", "05/31/2024 10:00+00:00"], ["2024-05-01 06:00-0400", "2024-05-01 07:00-0400"]])
@pytest.mark.parametrize("names", [["time", *COLUMNS], ["Date", "open", "high", "low", "close", "volume"],
                                   ["TIMESTAMP", "O", "H", "L", "C", "V"], ["<DATE>", "<OPEN>", "<HIGH>", "<LOW>",
                                    "<CLOSE>", "<VOL>"], ["datetime", *(f"BTC.{c.lower()}" for c in COLUMNS)]])
def test_usual_names_and_times_are_recognized(names, stamps):
    raw = pd.DataFrame([[stamp, 2, 3, 1, 2, 10] for stamp in stamps], columns=names)
    frame = check(normalize_table(raw))
    assert list(frame.columns) == COLUMNS
    assert frame.index[0] == pd.Timestamp("2024-05-01 10:00", tz="UTC")


def test_date_and_time_in_two_columns():
    raw = pd.DataFrame({"<DATE>": ["2024.05.01"] * 2, "<TIME>": ["10:00", "11:00"], "o": 2, "h": 3, "l": 1, "c": 2,
                        "v": 5})
    assert str(check(normalize_table(raw, tz="Europe/London")).index[0]) == "2024-05-01 09:00:00+00:00"


def test_ambiguous_input_is_an_error():
    frame = pd.DataFrame(1.0, pd.date_range("2024-05-01 10:00", periods=3, freq="h", name="time"), COLUMNS)
    for raw, words in [(frame, "no time zone"), (frame.tz_localize("UTC").drop(columns="Low"), "missing"),
                       (frame.tz_localize("UTC").iloc[:0], "no bars"),
                       (frame.tz_localize("UTC").assign(close=1.0), "2 columns could be Close")]:
        with pytest.raises(FrameError, match=words):
            clean(raw)
    with pytest.raises(FrameError, match="is not a time zone"):
        clean(frame, tz="New York")


def test_timeframes():
    frame = pd.DataFrame(1.0, pd.date_range("2024", periods=9, freq="30min", tz="UTC", name="time"), COLUMNS)
    assert infer_timeframe(frame) == "30m" and bar_length("30min") == bar_length("30m") == pd.Timedelta(minutes=30)
    for wrong in ("1M", "h", "0m", "1.5h", "", None):
        with pytest.raises(ValueError, match="is not a timeframe"):
            bar_length(wrong)
