"""The pipeline end to end, small: built, up to date, selective, deterministic, and whole again after it was killed.

It runs in a copy of the project, so that nothing here is touched.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml
from support.smoke import DVC, ENVIRONMENT, ROOT, copied, dvc, faults, kernels, prints

from ohlcv_ta.data.io import read_json
from ohlcv_ta.pipeline import StageError, load_config, load_params, run_stage
from ohlcv_ta.reproduction import compare_metrics, flatten_metrics


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A small run, with the book of it.

    Pages of the library are kept as stored, since nbdev_test runs its notebooks; so are those of the mask networks and of price
    images, of indicators and of screenshots, whose small runs are in test_pipeline_masks.py, test_pipeline_trend.py and
    test_pipeline_indicators.py. So is the tour, which shows the models that are served.
    """
    kept = "reference_", "masks_", "digitizer_", "trend_", "indicator_", "trading", "running_live", "tour"
    there = copied(tmp_path_factory.mktemp("project"), *kept)
    dvc(there, "repro", "--allow-missing")
    return there


def told(said):
    "The stages that ran."
    return [line for line in said.split("\n") if line.startswith("Running stage")]


def test_a_small_run_builds_the_whole_book(copy):
    html = copy / "book" / "_build" / "html"
    assert (html / "index.html").exists()
    toc = yaml.safe_load((copy / "book" / "_toc.yml").read_text())
    pages = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert not [page for page in pages if not (html / f"{page}.html").exists()]


def test_the_book_as_one_page_holds_every_picture(copy):
    subprocess.run([Path(sys.executable).with_name("ohlcv-ta"), "book", "--single"], cwd=copy, env=ENVIRONMENT, check=True)
    single = copy / "book" / "_build" / "singlehtml"
    page = (single / "index.html").read_text()
    pictures = re.findall(r'src="(_images/[^"]+)"', page)
    assert len(pictures) > 50 and not [name for name in pictures if not (single / name).is_file()]
    assert page.count("<h3") > 100, "every chapter is in it"
    assert (copy / "book" / "_build" / "html" / "index.html").exists(), "the site stays"


def test_a_small_run_has_small_results(copy):
    metrics = read_json(copy / "results" / "breakout" / "metrics" / "chosen.json")
    assert set(metrics) == {"BTC-USD@bitfinex", "SPY@nyse", "pooled"}
    assert all(0 <= value <= 1 for name, value in flatten_metrics(metrics).items() if name.endswith("roc_auc"))


def test_a_second_run_has_nothing_to_do(copy):
    assert "Data and pipelines are up to date" in dvc(copy, "repro", "--allow-missing")


def test_pages_name_no_machine_and_carry_no_warnings(copy):
    pages = [*copy.glob("book/chapters/*.ipynb"), *copy.glob("book/reference/**/*.ipynb")]
    assert pages and not faults(copy, pages)


def test_results_show_in_dvc(copy):
    shown = dvc(copy, "metrics", "show", "--md")
    assert "results/breakout/metrics/xgboost.json" in shown and "BTC-USD@bitfinex" in shown
    dvc(copy, "plots", "show")
    assert (copy / "dvc_plots" / "index.html").exists()


def test_one_models_parameter_reruns_that_model_only_and_back_again_all_is_the_same_to_the_last_digit(copy):
    watched = "results/breakout/answers/*", "results/breakout/metrics/*", "book/chapters/breakout_*"
    path, again = copy / "params.yaml", ("repro", "--no-run-cache", "breakout_evaluate") # computed, not remembered
    before = path.read_text()
    params, made = yaml.safe_load(before), [prints(copy, pattern) for pattern in watched]
    params["breakout"]["train"]["xgboost"]["max_depth"] = [3]
    only = ["Running stage 'breakout_train@xgboost':", "Running stage 'breakout_evaluate':"]
    try:
        path.write_text(yaml.safe_dump(params, sort_keys=False))
        assert told(dvc(copy, *again)) == only
        assert [prints(copy, pattern) for pattern in watched] != made
    finally:
        path.write_text(before)
    assert told(dvc(copy, *again)) == only
    assert [prints(copy, pattern) for pattern in watched] == made


def test_served_models_are_the_same_to_the_last_byte_when_made_again(copy):
    made = prints(copy, "models/breakout/*/*")
    dvc(copy, "repro", "--force", "--single-item", "breakout_model")
    assert prints(copy, "models/breakout/*/*") == made


def test_a_killed_stage_leaves_nothing_half_done(copy):
    before = prints(copy, "results/breakout/answers/*")
    work = subprocess.Popen([*DVC, "repro", "--force", "--single-item", "breakout_train@logistic"], cwd=copy, env=ENVIRONMENT,
                            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not kernels(work) and time.monotonic() < until:
        time.sleep(0.05)
    assert kernels(work), "the stage never started"
    os.killpg(work.pid, signal.SIGKILL)
    work.wait()
    assert not (copy / "results/breakout/answers/logistic.parquet").exists(), "DVC removes an output before it is made again"
    dvc(copy, "repro", "breakout_evaluate")
    assert prints(copy, "results/breakout/answers/*") == before


def test_a_failing_cell_shows_itself_and_leaves_no_page(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "nbs" / "pipeline").mkdir(parents=True)
    shutil.copy(ROOT / "nbs" / "pipeline" / "claims.ipynb", tmp_path / "nbs" / "pipeline")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageError, match="read_claims"):
        run_stage("claims")
    assert not list(tmp_path.glob("book/chapters/*"))


def test_a_stage_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(StageError, match="no stage notebook 'divination"):
        run_stage("divination")


@pytest.fixture
def library(tmp_path, monkeypatch):
    "A project with one library notebook and its module."
    code = '#| export\ndef add(\n    x: int, # dollars\n): # twice\n    "Return a sum."\n    return x + x'
    cells = [nbformat.v4.new_markdown_cell("# Sums\n> Sums of numbers"),
             *map(nbformat.v4.new_code_cell, ["#| default_exp sums", code, "add(21)"])]
    kernel = {"name": "python3", "language": "python", "display_name": "python3"}
    (tmp_path / "nbs").mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "nbs" / "sums.ipynb")
    for name, text in {"params.yaml": "seed: 0\n", "book/_toc.yml": "- file: reference/symbols\n- file: reference/sums\n",
                       "ohlcv_ta/sums.py": f'"""Sums of numbers"""\n{code}\n'}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_of_a_library_notebook_documents_what_it_exports(library):
    page = nbformat.read(run_stage("reference/sums"), 4)
    text = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    assert "(ohlcv_ta.sums.add)=\n## `add`\n\n{source}`ohlcv_ta/sums.py#L3`" in text
    assert "| `x` | `int` | dollars |" in text and "def add(x: int)" in text
    folded = [cell for cell in page.cells if "hide-input" in cell.metadata.get("tags", [])]
    assert [cell.metadata["mystnb"]["code_prompt_show"] for cell in folded] == ["Source of add"]
    assert page.cells[-1].outputs[0]["data"]["text/plain"] == "42"


def test_the_index_of_symbols_is_a_stage_without_a_notebook(library):
    assert run_stage("reference/symbols") == library / "book" / "reference" / "symbols.md"
    assert "| [`add`](#ohlcv_ta.sums.add) | Return a sum. |" in (library / "book" / "reference" / "symbols.md").read_text()


@pytest.mark.parametrize("config", sorted(path.stem for path in (ROOT / "configs").glob("*.yaml")))
def test_a_configuration_only_changes_what_is_there(config):
    assert load_config(config, ROOT) != load_params("", ROOT)


def test_a_metric_that_moved_is_told():
    table = compare_metrics({"a.roc_auc": 0.7, "b.rows": 3.0}, {"a.roc_auc": 0.75, "b.rows": 3.0}, {"default": 0.02, "rows": 0})
    assert table.within.tolist() == [False, True]
