"Stages of the mask networks at small size: rendering, training, evaluation, and a second run."

import pytest
from support.smoke import copied, dvc, faults, prints

from ohlcv_ta.data.io import read_json


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A copy with networks trained on a few small images."
    there = copied(tmp_path_factory.mktemp("project"), only=("masks_", "digitizer_"))
    dvc(there, "repro", "masks_read", "masks_evaluate", "digitizer_evaluate")
    return there


def test_a_small_run_scores_what_a_whole_one_does(copy):
    network = read_json(copy / "results" / "masks" / "metrics" / "network.json")
    assert set(network) == {"synthetic", "rule"} and "mplfinance" in network["synthetic"]
    scores = [one["f1"]["value"] for conditions in network.values() for one in conditions.values()]
    assert all(0 <= score <= 1 for score in scores)


def test_a_small_run_reads_screenshots(copy):
    read = read_json(copy / "results" / "digitizer" / "metrics" / "evaluate.json")
    assert set(read["shares"]) == {"compiled", "mplfinance"} and "rule, true bars" in read["lines"]
    assert all(share["chart found"]["value"] > 0.5 for share in read["shares"].values())


def test_a_second_run_has_nothing_to_do(copy):
    assert "Data and pipelines are up to date" in dvc(copy, "repro", "masks_read", "masks_evaluate", "digitizer_evaluate")


def test_the_same_training_gives_the_same_weights(copy):
    watched = ["models/masks/horizontal/*", "results/masks/metrics/train-*", "book/chapters/masks_train-horizontal*"]
    before = [prints(copy, pattern) for pattern in watched]
    assert all(before)
    dvc(copy, "repro", "--force", "--single-item", "masks_train@horizontal")
    assert [prints(copy, pattern) for pattern in watched] == before


def test_pages_name_no_machine_and_carry_no_warnings(copy):
    pages = [page for part in ("masks", "digitizer") for page in copy.glob(f"book/chapters/{part}_*.ipynb")]
    assert len(pages) == 7 and not faults(copy, pages)
