"Properties of splits for any labels, windows and embargo."

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ohlcv_ta.evaluation import Split, find_leakage, split_periods, stratified_split, walk_forward


@st.composite
def histories(draw):
    "Draw irregular times, some shared by several rows, with label horizons and windows of any length."
    n = draw(st.integers(60, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    times = np.cumsum(rng.integers(0, 4, n))
    horizon, window = draw(st.integers(0, 15)), draw(st.integers(0, 15))
    ends = times + (rng.integers(0, horizon + 1, n) if draw(st.booleans()) else horizon)
    starts = times - (rng.integers(0, window + 1, n) if draw(st.booleans()) else window)
    order = rng.permutation(n) if draw(st.booleans()) else np.arange(n)
    return times[order], ends[order], starts[order]


@given(histories(), st.integers(1, 5), st.sampled_from([0, 0.15, 0.3]), st.integers(0, 4))
def test_walk_forward_has_no_leaks_and_covers_the_history(history, folds, valid, embargo):
    times, ends, starts = history
    try:
        splits = walk_forward(times, ends, folds, valid=valid, embargo=embargo, window_starts=starts)
    except ValueError as refused:
        assume("rows left" not in str(refused))
        raise
    for split in splits:
        assert find_leakage(split, times, ends, starts).empty
        later = np.concatenate([split.valid, split.test])
        assert ends[split.train].max() < starts[later].min()
        assert all((np.diff(part) > 0).all() for part in split)
    tests = np.concatenate([split.test for split in splits])
    assert len(np.unique(tests)) == len(tests)
    assert set(tests) == set(np.flatnonzero(times >= times[splits[0].test].min()))


@given(histories(), st.integers(0, 4))
def test_embargo_removes_times_after_the_purge(history, embargo):
    times, ends, _ = history
    try:
        with_it, without = (walk_forward(times, ends, folds=2, embargo=e) for e in (embargo, 0))
    except ValueError:
        assume(False)
    for one, other in zip(with_it, without, strict=True):
        for kept, purged in [(one.train, other.train), (one.valid, other.valid)]:
            assert set(kept) <= set(purged)
            assert len(np.unique(times[purged])) - len(np.unique(times[kept])) == embargo
        assert np.array_equal(one.test, other.test)


@given(st.integers(30, 300), st.integers(2, 4), st.integers(0, 1000))
def test_stratified_split_is_a_partition(n, classes, seed):
    y = np.random.default_rng(seed).integers(classes, size=n)
    split = stratified_split(y, seed=seed)
    assert np.array_equal(np.sort(np.concatenate(split)), np.arange(n))
    for label in np.unique(y):
        for rows, share in zip(split, (0.6, 0.2, 0.2), strict=True):
            assert abs((y[rows] == label).sum() - share * (y == label).sum()) <= 1


def test_times_of_any_sortable_type():
    days = pd.date_range("2019-03-25", periods=120, tz="Europe/Berlin")
    by_day = walk_forward(days, days + pd.Timedelta(days=2), folds=3)
    by_series = walk_forward(days.to_series(), (days + pd.Timedelta(days=2)).to_series(), folds=3)
    by_number = walk_forward(range(120), np.arange(120) + 2, folds=3)
    for one, two, three in zip(by_day, by_series, by_number, strict=True):
        assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(one, two, three, strict=True))


def test_split_periods_leave_out_empty_parts():
    splits = walk_forward(range(100), range(100), folds=2, valid=0)
    assert split_periods(splits, range(100)).index.get_level_values("part").unique().tolist() == ["train", "test"]


@pytest.mark.parametrize("ends", [[1, 2, np.nan], [1, 2, 1]])
def test_invalid_label_end_raises(ends):
    with pytest.raises(ValueError, match="row 2 must have"):
        find_leakage(Split(*map(np.array, ([0], [1], [2]))), [0, 1, 2], ends)
