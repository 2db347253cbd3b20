"Stages of system E at small size: training, evaluation, controls, trading and a replayed day."

import pandas as pd
import pytest
from support.smoke import copied, dvc

from ohlcv_ta.data.io import read_json

LAST = ["indicator_evaluate", "indicator_controls", "trading", "running_live"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy with networks trained on a few days."
    there = copied(tmp_path_factory.mktemp("project"), "indicators", only=("indicator", "trading", "running_live"))
    dvc(there, "repro", *LAST)
    return there


def test_a_small_run_scores_both_labels(copy):
    for name in ("turning", "barriers"):
        metrics = read_json(copy / "results" / "indicators" / "metrics" / f"{name}.json")
        models = {"network", "always hold", "RSI", "moving averages", "candidates", "logistic", "trees"}
        assert set(metrics["models"]) == models
        assert all(0 <= one["value"] <= 1 for of in metrics["models"].values() for one in of.values())
        assert (copy / "models" / "indicators" / name / "model.onnx").exists()
    found = read_json(copy / "results" / "indicators" / "metrics" / "turning.json")["models"]
    assert found["candidates"]["balanced_accuracy"]["value"] > 0.8 > found["always hold"]["balanced_accuracy"]["value"]


def test_every_trial_is_on_record(copy):
    before = pd.read_csv("results/indicators/trials.csv")
    after = pd.read_csv(copy / "results" / "indicators" / "trials.csv")
    assert len(after) == 2 * len(before) # the committed ones, and those of the small run
    assert not after.duplicated(["name", "settings"]).any()


def test_a_day_was_followed(copy):
    assert read_json(copy / "results" / "indicators" / "metrics" / "live.json")["forecasts"] == 5


def test_a_second_run_has_nothing_to_do(copy):
    assert "Data and pipelines are up to date" in dvc(copy, "repro", *LAST)
