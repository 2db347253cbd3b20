"Matching of levels against brute force, scores against their definitions, and groups of synthetic copies."

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.data import random_walk
from ohlcv_ta.evaluation import duplicate_groups, level_scores, mask_scores, match_levels, mean_scores, pool_scores, ray_scores

prices = st.lists(st.integers(0, 30).map(lambda k: k / 2), max_size=6)
tolerances = st.sampled_from([0, 0.5, 1, 3, 100])


def brute_force(found, truth, tolerance):
    "Return the most pairs and their smallest total distance over all one-to-one matchings."
    few, many = sorted((found, truth), key=len)
    best = (0, 0.0)
    for order in permutations(many, len(few)):
        near = [abs(a - b) for a, b in zip(few, order, strict=True) if abs(a - b) <= tolerance]
        best = max(best, (len(near), -sum(near)))
    return best


@settings(deadline=None)
@given(prices, prices, tolerances)
def test_matching_is_optimal(found, truth, tolerance):
    pairs = match_levels(found, truth, tolerance)
    apart = [abs(found[i] - truth[j]) for i, j in pairs]
    assert (len(pairs), -sum(apart)) == pytest.approx(brute_force(found, truth, tolerance))


@settings(deadline=None)
@given(prices, prices, tolerances)
def test_matching_is_one_to_one_within_tolerance(found, truth, tolerance):
    pairs = match_levels(found, truth, tolerance)
    assert all(len(set(column)) == len(column) for column in pairs.T.tolist())
    assert all(abs(found[i] - truth[j]) <= tolerance for i, j in pairs)


@settings(deadline=None)
@given(prices, prices, tolerances)
def test_precision_and_recall_are_symmetric(found, truth, tolerance):
    one, other = level_scores(found, truth, tolerance), level_scores(truth, found, tolerance)
    for name, mirrored in {"f1": "f1", "precision": "recall", "error": "error", "matched": "matched"}.items():
        assert one[name] == pytest.approx(other[mirrored], nan_ok=True)


@settings(deadline=None)
@given(prices, st.randoms(use_true_random=False), tolerances)
def test_order_of_levels_does_not_matter(levels, random, tolerance):
    shuffled = random.sample(levels, len(levels))
    assert level_scores(shuffled, [1.0, 2.0], tolerance) == pytest.approx(
        level_scores(levels, [1.0, 2.0], tolerance), nan_ok=True)
    if levels:
        assert level_scores(levels, shuffled, tolerance)["f1"] == 1


@settings(deadline=None)
@given(prices, prices, tolerances)
def test_duplicates(found, truth, tolerance):
    scores = level_scores(found, truth, tolerance)
    assert 0 <= scores["duplicates"] <= scores["found"] - scores["matched"]
    assert level_scores(found + found, truth, tolerance)["found"] == 2 * scores["found"]


def test_pooled_scores_add_counts():
    charts = [level_scores([1.0], [1.0], 0), level_scores([5.0], [1, 2, 3, 4], 0)]
    assert pool_scores(charts)["f1"] == 2 / 7 and mean_scores(charts).value["f1"] == 0.5


def test_mean_leaves_out_charts_without_a_score():
    charts = [level_scores([1.0], [1.0], 0), level_scores([], [], 0)]
    table = mean_scores(charts)
    assert table.value["f1"] == 1 and table.undefined["f1"] > 200


rays = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(51, 99), st.integers(0, 20)), max_size=5)


@settings(deadline=None)
@given(rays, rays, st.sampled_from([0, 1, 5]))
def test_ray_matching_is_one_to_one(found, truth, tolerance):
    found, truth = (np.array(some, dtype=float).reshape(-1, 4) for some in (found, truth))
    scores = ray_scores(found, truth, tolerance, 100)
    fits = np.array([[ray_scores(f, t, tolerance, 100)["matched"] for t in truth] for f in found]).reshape(
        len(found), len(truth))
    few, many = sorted((fits.shape[0], fits.shape[1]))
    across = fits if fits.shape[0] <= fits.shape[1] else fits.T
    assert scores["matched"] == max(
        (sum(across[i, j] for i, j in enumerate(order)) for order in permutations(range(many), few)), default=0)
    assert ray_scores(truth, truth, 0, 100)["matched"] == len(truth)


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_mask_scores_match_set_definition(one, other):
    p, t = (np.array(list(f"{bits:016b}"), dtype=int).reshape(4, 4) for bits in (one, other))
    drawn, true = set(np.flatnonzero(p)), set(np.flatnonzero(t))
    scores = mask_scores(p, t)
    if drawn | true:
        assert scores["iou"] == len(drawn & true) / len(drawn | true)
        assert scores["dice"] == pytest.approx(2 * scores["iou"] / (1 + scores["iou"]))
    else:
        assert np.isnan(scores["iou"])


def test_independent_charts_are_not_duplicates():
    charts = [random_walk(n, seed=n) for n in (30, 60, 120, 250, 300, 301, 500)]
    assert duplicate_groups(charts).tolist() == list(range(7))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 240), st.sampled_from([-1.0, 1.0]), st.floats(0.3, 3), st.floats(0, 0.3))
def test_shifted_scaled_mirrored_and_perturbed_copies_are_found(shift, sign, stretch, noise):
    walk = random_walk(600, seed=11)
    original, copy = walk.iloc[:300], walk.iloc[shift:shift + 300].copy()
    scale = np.log(walk.Close).diff().std()
    shake = np.random.default_rng(shift).normal(0, noise * scale, 300)
    copy["Close"] = np.exp(stretch * sign * (np.log(copy.Close) + shake))
    assert duplicate_groups([original, random_walk(300, seed=12), copy]).tolist() == [0, 1, 0]
