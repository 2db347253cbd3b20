"Metrics against scikit-learn, and properties of the bootstrap."

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from ohlcv_ta.evaluation import (
    binary_metrics,
    block_bootstrap,
    block_length,
    calibration_curve,
    calibration_error,
    confusion_counts,
    confusion_metrics,
    metric_differences,
    metric_intervals,
)


@st.composite
def samples(draw):
    "Draw labels and probabilities, with or without ties, of one class or both."
    n, digits = draw(st.integers(2, 60)), draw(st.sampled_from([0, 1, 2, 9]))
    p = draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    return np.array(y), np.round(p, digits)


@given(samples(), st.sampled_from([0.3, 0.5, 0.9]))
def test_metrics_agree_with_scikit_learn(sample, threshold):
    y, p = sample
    mine, called = binary_metrics(y, p, threshold), p >= threshold
    both, calls, positives = len(set(y)) == 2, called.any(), y.any()
    np.testing.assert_allclose(mine["accuracy"], sk.accuracy_score(y, called))
    np.testing.assert_allclose(mine["brier"], ((y - p) ** 2).mean())
    np.testing.assert_allclose(mine["log_loss"], sk.log_loss(y, p, labels=[0, 1]), atol=1e-12)
    expected = {"roc_auc": sk.roc_auc_score(y, p) if both else np.nan,
                "precision": sk.precision_score(y, called) if calls else np.nan,
                "recall": sk.recall_score(y, called) if positives else np.nan,
                "f1": sk.f1_score(y, called) if calls or positives else np.nan}
    for name, value in expected.items():
        np.testing.assert_allclose(mine[name], value, atol=1e-12, err_msg=name)


@given(samples(), st.integers(0, 1000))
def test_vectorized_resamples_agree_with_a_loop(sample, seed):
    y, p = sample
    rows = block_bootstrap(len(y), block=min(3, len(y)), draws=4, seed=seed)
    together = binary_metrics(y[rows], p[rows])
    for i, row in enumerate(rows):
        for name, value in binary_metrics(y[row], p[row]).items():
            np.testing.assert_allclose(together[name][i], value, err_msg=name)


@given(samples())
def test_undefined_metrics_do_not_warn(sample):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        binary_metrics(*sample)
        metric_intervals(*sample, draws=20)


@given(samples(), st.sampled_from([0.2, 0.5]))
def test_confusion_counts_and_metrics_agree(sample, threshold):
    counts = confusion_counts(*sample, threshold)
    assert sum(counts.values()) == len(sample[0])
    whole = binary_metrics(*sample, threshold)
    for name, value in confusion_metrics(**counts).items():
        np.testing.assert_equal(value, whole[name])


@given(st.integers(1, 200), st.data())
def test_blocks_are_consecutive(n, data):
    block = data.draw(st.integers(1, n))
    rows = block_bootstrap(n, block, draws=5, seed=data.draw(st.integers(0, 1000)))
    assert rows.shape == (5, n) and rows.min() >= 0 and rows.max() < n
    steps = (np.diff(rows, axis=1) - 1) % n
    inside = (np.arange(1, n) % block) != 0
    assert (steps[:, inside] == 0).all()


def test_rows_are_drawn_with_equal_probability():
    times = np.bincount(block_bootstrap(50, 7, draws=20_000).ravel(), minlength=50) / 20_000
    np.testing.assert_allclose(times, 1, atol=0.06)


@pytest.mark.parametrize("block", [0, 11])
def test_invalid_block_raises(block):
    with pytest.raises(ValueError, match=f"a block of {block} rows"):
        block_bootstrap(10, block)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=150))
def test_block_length_is_valid(values):
    assert 1 <= block_length(values) <= max(1, np.ceil(len(values) / 3))


def test_undefined_draws_are_counted():
    table = metric_intervals([0] * 20, np.linspace(0.1, 0.9, 20), draws=50)
    assert table.undefined[["roc_auc", "recall"]].tolist() == [50, 50]
    assert table.loc["roc_auc", ["value", "low", "high"]].isna().all()
    assert table.undefined["log_loss"] == 0


def test_interval_depends_on_the_seed():
    rng = np.random.default_rng(0)
    y, p = rng.integers(2, size=80), rng.random(80)
    assert metric_intervals(y, p, seed=4).equals(metric_intervals(y, p, seed=4))
    assert not metric_intervals(y, p, seed=4).equals(metric_intervals(y, p, seed=5))


@given(samples())
def test_difference_is_antisymmetric(sample):
    y, p = sample
    ahead, behind = metric_differences(y, p, 1 - p, draws=20), metric_differences(y, 1 - p, p, draws=20)
    np.testing.assert_allclose(ahead.value, -behind.value, atol=1e-12)
    np.testing.assert_allclose(ahead.low, -behind.high, atol=1e-12)


@given(samples(), st.integers(1, 12), st.randoms(use_true_random=False))
def test_calibration_curve_counts_every_row(sample, bins, random):
    y, p = sample
    table = calibration_curve(y, p, bins)
    assert table["count"].sum() == len(y) and len(table) <= bins
    assert table.forecast.is_monotonic_increasing
    assert ((table.low <= table.observed + 1e-12) & (table.observed <= table.high + 1e-12)).all()
    order = random.sample(range(len(y)), len(y))
    np.testing.assert_allclose(calibration_curve(y[order], p[order], bins), table)
    assert 0 <= calibration_error(y, p, bins) <= 1


@pytest.mark.parametrize(("y", "p"), [([0, 2], [0.1, 0.2]), ([0, np.nan], [0.1, 0.2]), ([0, 1], [0.1, 1.2]),
                                      ([0, 1], [0.1, np.nan])])
def test_invalid_labels_and_probabilities_raise(y, p):
    with pytest.raises(ValueError, match="must"):
        binary_metrics(y, p)
