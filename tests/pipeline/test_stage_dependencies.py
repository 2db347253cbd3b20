"Dependencies of stages as DVC sees them, and true when a stage runs."

import ast
import json
import random
from hashlib import md5
from pathlib import Path

import pytest
import yaml
from support.smoke import ENVIRONMENT, ROOT, copied, dvc, prints

from ohlcv_ta.dependencies import Module, Package, closure, code_paths, stage_dependencies


@pytest.fixture(scope="module")
def wanted():
    return stage_dependencies(ROOT)



def modules_of(paths):
    "The modules that a list of dependencies covers."
    inside = [[ROOT / path, *(ROOT / path).rglob("*.py")] for path in paths]
    return {path for group in inside for path in group if path.suffix == ".py"}


def lock_code(there):
    "Write into dvc.lock that every stage ran with the code as it is."
    lock, pipeline = (yaml.safe_load((there / name).read_text()) for name in ("dvc.lock", "dvc.yaml"))
    for name, stage in lock["stages"].items():
        code = [path for path in pipeline["stages"][name.split("@")[0]]["deps"] if path.endswith(".py")]
        kept = [one for one in stage["deps"] if not one["path"].startswith("ohlcv_ta/")]
        stage["deps"] = kept + [{"path": path, "hash": "md5", "md5": md5((there / path).read_bytes()).hexdigest(),
                                 "size": (there / path).stat().st_size} for path in code]
    (there / "dvc.lock").write_text(yaml.safe_dump(lock))


def changed_code(there):
    "Stage -> modules that DVC says have changed since it ran; stages that never ran are left out."
    ran = yaml.safe_load((there / "dvc.lock").read_text())["stages"]
    told = {name: why for name, why in json.loads(dvc(there, "status", "--json").split("\n")[0]).items() if name in ran}
    found = {name: {path for one in reasons if isinstance(one, dict) for path, how in one.get("changed deps", {}).items()
                    if path.endswith(".py")} for name, reasons in told.items()}
    return {name.split("@")[0]: paths for name, paths in found.items() if paths}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("mutated"))


def test_a_changed_module_makes_those_stages_stale_that_use_it(copy, wanted):
    lock_code(copy)
    assert not changed_code(copy)
    files = sorted(path for path in (ROOT / "ohlcv_ta").rglob("*.py") if path.name != "_modidx.py")
    for path in random.Random(0).sample(files, 4):
        name = path.relative_to(ROOT).as_posix()
        before = (copy / name).read_text()
        (copy / name).write_text(f"{before}\nCHANGED = 1\n")
        stale = changed_code(copy)
        (copy / name).write_text(before)
        assert stale == {stage: {name} for stage, paths in wanted.items() if name in paths}


class Hollow(ast.NodeTransformer):
    "Functions that fail when they are called, and other numbers at the top level of a module."
    def __init__(self, spared):
        self.spared = spared

    def visit_ClassDef(self, node):
        return node if node.name in self.spared else self.generic_visit(node)

    def visit_FunctionDef(self, node):
        if node.name not in self.spared:
            node.body = ast.parse(f"raise AssertionError('{node.name} is not among the dependencies')").body
        return node


def called_on_import(path):
    "Names that a module uses outside the bodies of its functions."
    names = set()
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef): # bodies of classes run, those of methods count as well
            names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        else:
            around = [*node.decorator_list, *node.args.defaults]
            names |= {one.id for part in around for one in ast.walk(part) if isinstance(one, ast.Name)}
    return names


def hollow_out(there, kept):
    "Make the functions of all modules but these fail, in a copy of the project."
    files = [path for path in (there / "ohlcv_ta").rglob("*.py") if path.name not in ("_modidx.py", "__init__.py")]
    spared = {name for path in files for name in called_on_import(path)}
    hollow = [path for path in files if path.relative_to(there) not in kept]
    for path in hollow: path.write_text(ast.unparse(Hollow(spared).visit(ast.parse(path.read_text()))))
    return hollow


def runner():
    "The modules that run a notebook, whatever is in it."
    package = Package(ROOT / "ohlcv_ta")
    start = Module("notebook", Path(), "from ohlcv_ta.pipeline import run_stage, load_params\nrun_stage('a')")
    return {path.relative_to(ROOT) for path in modules_of(code_paths(package, [closure(package, start)]))} | {
        package.files[name].relative_to(ROOT) for name in package.files if name.split(".")[1:2] in (["cli"], ["pipeline"])}


@pytest.fixture
def only(tmp_path, monkeypatch):
    "A copy of the project with one stage, whose own code is what runs there."
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    return lambda stage: copied(tmp_path, only=stage)


@pytest.mark.parametrize("stage", ["data_card", "trend_networks", "claims"])
def test_a_stage_gives_the_same_when_all_that_it_does_not_depend_on_is_broken(only, wanted, stage):
    there = only(stage)
    outputs = "book/chapters/*", "results/**/*.json"
    dvc(there, "repro", "--force", "--single-item", "--no-run-cache", stage)
    made = [prints(there, pattern) for pattern in outputs]
    kept = {path.relative_to(ROOT) for path in modules_of(wanted[stage])}
    assert len(hollow_out(there, kept | runner())) > 20
    dvc(there, "repro", "--force", "--single-item", "--no-run-cache", stage)
    assert [prints(there, pattern) for pattern in outputs] == made


def test_a_stage_fails_when_what_it_depends_on_is_broken(only):
    there = only("trend_networks")
    hollow_out(there, runner())
    with pytest.raises(AssertionError, match="not among the dependencies"):
        dvc(there, "repro", "--force", "--single-item", "--no-run-cache", "trend_networks")
