"Stages of system C at small size: rendering, training, evaluation, controls, and a resumed training."

import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from support.smoke import DVC, ENVIRONMENT, copied, dvc, faults, kernels, prints

from ohlcv_ta.data.io import read_json
from ohlcv_ta.market.factor import open_array

LAST = ["trend_evaluate", "trend_controls", "trend_factor", "trend_panel"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy with networks trained on a few images."
    there = copied(tmp_path_factory.mktemp("project"), only="trend_")
    dvc(there, "repro", *LAST)
    return there


INTRADAY = ["nyse", "sse and szse"]
MODELS = {"network", "majority", "momentum", "reversal", "logistic", "trees"}


def test_a_small_run_scores_every_market(copy):
    for name, market in [("crypto", None), *(("intraday", one) for one in INTRADAY), ("cross_section", None), ("daily", None)]:
        metrics = read_json(copy / "results" / "trend" / "metrics" / f"{name}.json")
        of = metrics[market] if market else {model: metrics[model] for model in MODELS}
        assert set(of) == MODELS
        assert all(0 <= one["roc_auc"]["low"] <= one["roc_auc"]["high"] <= 1 for one in of.values())
        assert (copy / "models" / "trend" / name / "model.onnx").exists()
    within = read_json(copy / "results" / "trend" / "metrics" / "cross_section.json")["within_dates"]
    assert all(0 <= of["within_auc"]["low"] <= of["within_auc"]["high"] <= 1 for of in within.values())
    assert not list((copy / ".cache" / "training").glob("*/*"))


def test_the_panel_is_scored_day_by_day(copy):
    metrics = read_json(copy / "results" / "trend_panel" / "metrics" / "panel.json")["I5"]
    models = {"network", "logistic regression", "gradient-boosted trees"}
    signals = {"reversal, 1 week", "reversal, 1 month", "momentum, 12-1 months", "trend"}
    assert set(metrics["rank_ic"]) == set(metrics["equal"]) == set(metrics["weighed"]) == models | signals
    assert set(metrics["beside"]) == signals
    assert all(one["low"] <= one["value"] <= one["high"] and one["count"] > 300 for one in metrics["rank_ic"].values())
    assert all(one["net"] < one["gross"] for one in metrics["equal"].values())
    answers = pd.read_parquet(copy / "results" / "trend_panel" / "answers" / "I5.parquet")
    assert answers.time.min() >= pd.Timestamp("2011-01-01", tz="UTC") and not answers.duplicated(["time", "symbol"]).any()
    assert np.allclose(answers.network, answers.network_0)


def test_every_market_is_trained_and_tested(copy):
    about = read_json(copy / "models" / "trend" / "intraday" / "config.json")
    markets = sorted(about["markets"], key=lambda one: one["tested_from"])
    assert [market["symbols"] for market in markets] == [["SPY"], ["600000.SH", "000001.SZ"]]
    assert all(market["until"] < market["tested_from"] for market in about["markets"])


def test_the_factor_holds_probabilities(copy):
    values = open_array(copy / "results" / "trend" / "factor" / "cross_section").values
    known = values[np.isfinite(values)]
    assert len(known) and ((known >= 0) & (known <= 1)).all()


def test_a_second_run_has_nothing_to_do(copy):
    assert "Data and pipelines are up to date" in dvc(copy, "repro", *LAST)


def test_training_that_was_killed_ends_with_the_same_answers(copy):
    watched = ["results/trend/answers/crypto*", "models/trend/crypto/*", "results/trend/metrics/train-crypto*"]
    before = [prints(copy, pattern) for pattern in watched]
    assert all(before)
    work = subprocess.Popen([*DVC, "repro", "--force", "--single-item", "trend_train@crypto"], cwd=copy, env=ENVIRONMENT,
                            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until, state = time.monotonic() + 120, copy / ".cache" / "training" / "trend_train-crypto"
    while not list(state.glob("*.checkpoint")) and time.monotonic() < until:
        time.sleep(0.02)
    left = kernels(work)
    os.killpg(work.pid, signal.SIGKILL)
    for kernel in left: kernel.kill()
    work.wait()
    assert list(state.glob("*.checkpoint")), "it was over before it could be killed"
    assert not prints(copy, watched[0])
    dvc(copy, "repro", "trend_train@crypto")
    assert [prints(copy, pattern) for pattern in watched] == before


def test_a_replay_repeats_the_first_losses_and_takes_the_stored_weights(copy, tmp_path):
    watched = ["results/trend/answers/crypto*", "models/trend/crypto/*", "results/trainings/trend/crypto/*"]
    before = [prints(copy, pattern) for pattern in watched]
    assert all(before)
    subprocess.run([*DVC, "repro", "--force", "--single-item", "trend_train@crypto"], cwd=copy, check=True,
                   env=ENVIRONMENT | {"OHLCV_TA_REPLAY": str(tmp_path)}, capture_output=True)
    reports = [read_json(path) for path in tmp_path.glob("*.json")]
    assert reports and all(one["difference"] == 0 for one in reports)
    assert [prints(copy, pattern) for pattern in watched] == before


def test_trainings_are_listed_with_their_times(copy):
    found = subprocess.run(["ohlcv-ta", "retrain", "--dry-run"], cwd=copy, env=ENVIRONMENT, text=True, capture_output=True)
    assert "trend/crypto/0" in found.stdout and "hours in all" in found.stdout


def test_a_replay_of_other_settings_is_refused(copy, tmp_path):
    path = copy / "params.yaml"
    before = path.read_text()
    path.write_text(before.replace("precision: float32", "precision: bf16"))
    try:
        found = subprocess.run([*DVC, "repro", "--force", "--single-item", "trend_train@crypto"], cwd=copy, text=True,
                               env=ENVIRONMENT | {"OHLCV_TA_REPLAY": str(tmp_path)}, capture_output=True)
    finally: path.write_text(before)
    assert found.returncode and "other settings, data or first weights" in found.stdout + found.stderr
    dvc(copy, "repro", "trend_train@crypto")


def test_pages_name_no_machine_and_carry_no_warnings(copy):
    pages = list(copy.glob("book/chapters/trend_*.ipynb"))
    assert len(pages) == 12 and not faults(copy, pages)
