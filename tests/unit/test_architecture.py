"The layers of the package, the borders between its modules, and their sizes."

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from ohlcv_ta.dependencies import read_module

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "ohlcv_ta").rglob("*.py") if path.name != "_modidx.py")
STAGES = sorted((ROOT / "nbs" / "pipeline").glob("*.ipynb"))
LAYERS = {"data": 1, "kernel_environment": 1, "features": 2, "evaluation": 2, "charts": 3, "models": 4, "market": 5,
          "serving": 6, "pipeline": 6, "reproduction": 6, "dependencies": 6, "documentation": 6, "cli": 7}
FROM_ABOVE = {"ohlcv_ta.charts": {"ohlcv_ta.models.digitizer.chart_data"}} # users look for `read_chart` there; imported on use
TUPLE_METHODS = {"_asdict", "_fields", "_field_defaults", "_make", "_replace"} # of named tuples; public, and so written
MOST_LINES, FEWEST_LINES = 450, 50
# Modules below the fewest lines that one other module or stage uses, and why they stand alone.
THIN = {
    "ohlcv_ta.evaluation.cross_validation": "in splits, which every training uses, a change would make all networks stale",
    "ohlcv_ta.serving.analysis_worker": "forked for each analysis, so that it imports nothing that a worker does not need",
    "ohlcv_ta.models.masks.reference_detectors": "needs libraries that only the comparison needs; no training depends on it",
}


def module_of(path):
    "The dotted name of a file of the package."
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def source_of(path):
    "The code of a module or of a stage notebook."
    if path.suffix == ".py": return path.read_text(encoding="utf-8")
    return read_module("notebook", path).source


def imports(path):
    "Yield module, name and local name of every import at any depth of the code; the name of a plain import is empty."
    inside = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.ImportFrom):
            base = inside[:len(inside) - node.level] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from ((module, one.name, one.asname or one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "", one.asname or one.name) for one in node.names)


def imported_modules(path):
    "The modules that a module imports; `from package import module` names the module."
    return {f"{module}.{name}" if f"{module}.{name}" in MODULES else module for module, name, _ in imports(path)}


def layer(module):
    parts = module.split(".")
    return LAYERS.get(parts[1]) if parts[0] == "ohlcv_ta" and len(parts) > 1 else None


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_from_its_own_layer_or_below(name):
    own = layer(name)
    used = imported_modules(MODULES[name]) - FROM_ABOVE.get(name, set())
    assert not [module for module in used if own is not None and (layer(module) or 0) > own]


def test_every_part_of_the_package_has_a_layer():
    assert {name.split(".")[1] for name in MODULES if "." in name} == set(LAYERS)


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in TUPLE_METHODS


def private_names(path):
    "Yield private names of other modules of the package that a module or a stage uses."
    bound = {}
    for module, name, local in imports(path):
        if module.split(".")[0] != "ohlcv_ta": continue
        bound[local] = module
        if is_private(name) or any(map(is_private, module.split("."))): yield f"{module}.{name}"
    for node in ast.walk(ast.parse(source_of(path))):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            first = ast.unparse(node.value)
            if first in bound: yield f"{bound[first]}: {first}.{node.attr}"


@pytest.mark.parametrize("path", [*FILES, *STAGES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_uses_a_private_name_of_another(path):
    assert not [*private_names(path)]


def test_private_names_are_found(tmp_path, monkeypatch):
    "The check sees each way to use a private name."
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "ohlcv_ta").mkdir()
    path = tmp_path / "ohlcv_ta" / "new.py"
    for code in ("from .data.io import _open", "def f():\n    from ohlcv_ta.data.io import _open", "from ._modidx import d",
                 "from .data import io\nio._open", "import ohlcv_ta.data.io\nohlcv_ta.data.io._open()"):
        path.write_text(code)
        assert [*private_names(path)], code
    path.write_text("from .data.io import read_json\nimport re\nre._casefix\nread_json.__name__")
    assert not [*private_names(path)]


def test_no_module_is_long():
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}, "split it along its headings"


def test_a_thin_module_with_one_caller_has_a_reason():
    callers = defaultdict(set)
    for path in [*FILES, *STAGES]:
        for module in imported_modules(path) - {"ohlcv_ta"}: callers[module].add(path)
    short = {name for name, path in MODULES.items() if path.name != "__init__.py"
             and len(path.read_text(encoding="utf-8").splitlines()) < FEWEST_LINES}
    assert {name for name in short if len(callers[name]) < 2} == set(THIN), "merge it into its caller, or name it with a reason"
    assert all(len(reason) > 30 for reason in THIN.values())


def test_mplfinance_is_called_in_one_place():
    assert [name for name, path in MODULES.items() if "mplfinance" in imported_modules(path)] == ["ohlcv_ta.charts.candlestick"]


def test_no_pickle_is_ever_loaded():
    forbidden = {"pickle", "joblib.load", "dill"}
    named = {name: {*imported_modules(path), *(f"{m}.{n}" for m, n, _ in imports(path))} for name, path in MODULES.items()}
    assert not [name for name, modules in named.items() if forbidden & modules]


def test_a_plain_import_brings_no_heavy_or_optional_package():
    heavy = "torch fastapi gradio yfinance ccxt sklearn xgboost lightgbm shap matplotlib dvc"
    code = f"import sys; import ohlcv_ta.data, ohlcv_ta.features; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
