"The stages of the breakout part stop where a feature contains a part of the next session."

from functools import partial

import numpy as np
import pandas as pd
import pytest

from ohlcv_ta.data.synthetic import random_walk
from ohlcv_ta.evaluation import LookAheadError
from ohlcv_ta.evaluation.score_limits import SuspiciousScoreError
from ohlcv_ta.models.breakout import dataset
from ohlcv_ta.models.breakout.experiment import add_references, run_experiment, score_predictions
from ohlcv_ta.models.breakout.leakage import (
    check_scores,
    replayed_breakout_table,
    score_limits,
    surrogate_scores,
)

GRIDS = {"lightgbm": {"n_estimators": [40], "num_leaves": [4]}}
honest = dataset.relative_features


def leaking(days, threshold, column="va_width"):
    "Return the relative features with the next session's high, in units of price, in one of them."
    following = days.High.shift(-1).fillna(days.High)
    return honest(days, threshold).assign(**{column: (following - days.vah) / days.vah})


@pytest.fixture(scope="module")
def bars():
    return random_walk(24 * 260, seed=3)


def scores_of(bars):
    "The scores of the stage breakout_evaluate, for one market and one estimator."
    table = dataset.breakout_table(bars, market="walk").dropna(subset="breaks_above_vah")
    runs = [run_experiment(table, "walk", name, "walk_forward", "relative", grid=grid, folds=2)
            for name, grid in {**GRIDS, "base_rate": {}}.items()]
    return score_predictions(add_references(pd.concat(runs), {"walk": table}), draws=2)


def limits_of(bars):
    runs = [surrogate_scores({"walk": bars}, {"walk": {"market": "walk"}}, GRIDS, seed, folds=2) for seed in range(4)]
    return score_limits(pd.concat(runs))


def test_honest_features_pass_both_checks(bars):
    assert len(replayed_breakout_table(bars, sessions=4)) > 200
    assert len(check_scores(scores_of(bars), limits_of(bars))) == 4


@pytest.mark.parametrize("column", ["va_width", "target_distance", "volume_ratio"])
def test_the_replay_names_a_feature_with_the_next_high(bars, monkeypatch, column):
    monkeypatch.setattr(dataset, "relative_features", partial(leaking, column=column))
    with pytest.raises(LookAheadError, match=column):
        replayed_breakout_table(bars, sessions=2)


def test_the_replay_finds_a_leak_of_a_millionth(bars, monkeypatch):
    def slightly(days, threshold):
        following = days.High.shift(-1).fillna(days.High)
        return honest(days, threshold).assign(volume_ratio=lambda table: table.volume_ratio + 1e-8 * following)
    monkeypatch.setattr(dataset, "relative_features", slightly)
    with pytest.raises(LookAheadError, match="volume_ratio"):
        replayed_breakout_table(bars, sessions=2)


def test_scores_with_the_next_high_exceed_limits_that_have_the_leak_too(bars, monkeypatch):
    monkeypatch.setattr(dataset, "relative_features", leaking)
    scores, limits = scores_of(bars), limits_of(bars)
    with pytest.raises(SuspiciousScoreError, match=r"walk/walk_forward/relative/lightgbm.*breakout\.checks\.exceptions"):
        check_scores(scores, limits)
    assert len(check_scores(scores, limits, {"walk/walk_forward/relative/lightgbm": "the leak is part of the test"})) == 4


def test_limits_do_not_rise_with_the_mean_of_the_surrogates():
    keys = {"trained_on": "walk", "protocol": "walk_forward", "features": "relative"}
    null = pd.DataFrame([{**keys, "kind": kind, "score": score} for kind, mean in (("model", 0.2), ("raw number", 0.99))
                         for score in mean + np.array([-0.01, 0.0, 0.01])])
    limits = score_limits(null, deviations=5).limit.droplevel([0, 1, 2])
    assert limits["model"] == pytest.approx(0.05) and limits["raw number"] == 0.97
