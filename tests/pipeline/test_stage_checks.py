"Stages stop where an input of a model or a level contains a later bar, and where a score is higher than chance allows."

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support.smoke import ENVIRONMENT, ROOT, copied

STAGES = ("breakout_features", "levels", "trend_panel", "indicator_")
MODULES = {"breakout": "features/breakout.py", "levels": "features/support_resistance/levels.py",
           "images": "charts/price_images.py"}

NEXT_HIGH = """
_honest = relative_features


def relative_features(days, *arguments, **settings): # the next session's high, in units of price
    following = days.High.shift(-1).fillna(days.High)
    return _honest(days, *arguments, **settings).assign(va_width=(following - days.vah) / days.vah)
"""
LATER_CHART = """
def chart_as_of(frame, bar, bars=300): # with one bar after the last closed one
    return frame.iloc[max(0, bar + 1 - bars):bar + 2]
"""
REPAINTING_LEVELS = """
_honest, _seen = find_levels, []


def find_levels(frame, *arguments, **settings): # moved to the highest price of all charts that were drawn
    _seen.append(frame.High.max())
    levels = _honest(frame, *arguments, **settings)
    return levels.assign(price=levels.price * (1 + 1e-4 * (max(_seen) > frame.High.max())))
"""
NEXT_VOLUME = """
_honest = _columns


def _columns(frame, style): # the volume of the next bar
    return _honest(frame.assign(Volume=frame.Volume.shift(-1).fillna(frame.Volume)), style)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "A small copy; stored predictions of networks keep the bars from which they were made."
    there = copied(tmp_path_factory.mktemp("project"), only=STAGES)
    params, whole = (yaml.safe_load((folder / "params.yaml").read_text()) for folder in (there, ROOT))
    small = {"evaluate": {"level": 0.95, "draws": 20}, "checks": whole["indicator_images"]["checks"] | {"replayed": 1}}
    params |= {"trend": whole["trend"], "indicator_images": whole["indicator_images"] | small}
    (there / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return there


@pytest.fixture
def changed(copy):
    "Add code to the end of a module of the copy; afterwards it is as before."
    before = {}

    def add(module, code):
        path = copy / "ohlcv_ta" / MODULES[module]
        before[path] = path.read_text()
        path.write_text(f"{before[path]}\n{code}")
    yield add
    for path, text in before.items(): path.write_text(text)


def ran(copy, stage):
    "Run a stage with the code of the copy."
    return subprocess.run([Path(sys.executable).with_name("ohlcv-ta"), "run", stage], cwd=copy, text=True, capture_output=True,
                          env=ENVIRONMENT | {"PYTHONPATH": str(copy)})


@pytest.mark.parametrize(("stage", "module", "code", "said"), [
    ("breakout_features", "breakout", NEXT_HIGH, r"breakout_features looks ahead: 'va_width' at"),
    ("levels", "levels", LATER_CHART, "level (rule, BTC-USD 1h) looks ahead"),
    ("levels", "levels", REPAINTING_LEVELS, "levels of the test are not known at the end of their chart"),
    ("trend_panel", "images", NEXT_VOLUME, "looks ahead: 'value' at"),
])
def test_a_stage_stops_at_a_later_bar(copy, changed, stage, module, code, said):
    changed(module, code)
    found = ran(copy, stage)
    assert found.returncode and said in found.stdout + found.stderr, found.stdout + found.stderr


@pytest.fixture
def known_outcomes(copy):
    "Let the gradient-boosted trees predict turning points from their labels."
    path = copy / "results" / "indicators" / "answers" / "turning.parquet"
    stored = path.read_bytes()
    table = pd.read_parquet(path)
    columns = [f"trees_{name}" for name in ("sell", "hold", "buy")]
    path.unlink() # it may be a link into the cache
    table.assign(**dict(zip(columns, 0.1 + 0.7 * np.eye(3)[table.label].T, strict=True))).to_parquet(path)
    yield
    path.write_bytes(stored)


def test_a_score_above_its_limit_stops_the_stage_until_params_name_it_with_a_reason(copy, known_outcomes):
    found = ran(copy, "indicator_evaluate")
    assert found.returncode
    assert "candidates/trees has an AUC of 1.000, where no-signal data allow 0.5" in found.stdout + found.stderr
    assert "indicator_images.checks.exceptions in params.yaml" in found.stdout + found.stderr

    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["indicator_images"]["checks"]["exceptions"] = {"candidates/trees": "the labels are known in this test"}
    (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    found = ran(copy, "indicator_evaluate")
    assert found.returncode == 0, found.stdout + found.stderr
    page = json.loads((copy / "book" / "chapters" / "indicator_evaluate.ipynb").read_text())
    shown = [output for cell in page["cells"] for output in cell.get("outputs", [])]
    assert "`candidates/trees` (the labels are known in this test)" in json.dumps(shown)
