"Dependencies of stages: found through every way of importing, written in dvc.yaml, and true when a stage runs."

import ast
import json
import random
import re
from hashlib import md5
from pathlib import Path

import pytest
import yaml
from smoke import ENVIRONMENT, ROOT, copied, dvc, prints

from ohlcv_ta.dependencies import (
    PLUMBING,
    Module,
    Package,
    Reference,
    acting,
    closure,
    code_paths,
    differences,
    read_module,
    rewritten,
    stage_dependencies,
    stage_notebooks,
)


@pytest.fixture(scope="module")
def wanted():
    return stage_dependencies(ROOT)


def test_dvc_yaml_names_what_the_code_uses(wanted):
    assert not differences(ROOT, wanted), "run: ohlcv-ta deps --write"


def test_what_is_left_out_exists_and_has_a_reason():
    package = Package(ROOT / "ohlcv_ta")
    for name, reason in PLUMBING.items():
        module, _, inner = name.partition(":")
        assert len(reason) > 20
        assert (ROOT / name).exists() or (module in package and (not inner or inner in package[module].names))


# Made-up packages: code of a notebook -> the modules that it uses.
FILES = {
    "p/__init__.py": "",
    "p/low.py": "A = 1\ndef f(): return A\ndef g(): return 2\n",
    "p/mid.py": "from .low import f\ndef h(): return f()\ndef lonely(): return 3\n",
    "p/late.py": "def k():\n    from .low import g\n    return g()\n",
    "p/alias.py": "from .low import f as renamed\nfrom . import low as module\ndef m(): return module.g()\n",
    "p/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING: from .mid import h\ndef t(x: 'h'): return x\n",
    "p/twice.py": "try:\n    from .low import f\nexcept ImportError:\n    from .mid import h as f\n",
    "p/star.py": "from .low import *\n",
    "p/act.py": "import os\nfrom .low import f\nos.environ['P'] = str(f())\n",
    "p/imports_act.py": "from . import act\nQUIET = 1\n",
    "p/registry.py": "KNOWN = {}\ndef register(f):\n    KNOWN[f.__name__] = f\n    return f\n"
                     "def look(name): return KNOWN[name]\n",
    "p/plugin.py": "from .registry import register\n@register\ndef one(): return 1\n",
    "p/sub/__init__.py": "from .a import va\nfrom .b import vb\nfrom .c import vc as vd\n",
    "p/sub/a.py": "va = 1\n",
    "p/sub/b.py": "from p.low import f\nvb = lambda: f()\n",
    "p/sub/c.py": "vc = 3\n",
    "p/lazy/__init__.py": "from importlib import import_module\ndef __getattr__(name):\n"
                          "    return getattr(import_module('.deep', __name__), name)\n",
    "p/lazy/deep.py": "def d(): return 1\n",
    "p/lazy/other.py": "def o(): return 1\n",
    "p/base.py": "class B:\n    def __init_subclass__(cls): pass\n",
    "p/child.py": "from .base import B\nclass C(B): pass\n",
    "p/files.py": "from importlib import resources\ndef words(): return resources.files('p') / 'words.txt'\n",
    "p/words.txt": "words",
    "p/worker.py": "def call(name): return name\ndef go(): return call('p.late:k')\n",
}
USES = {
    "import p.mid": "",
    "from p.mid import h": "",
    "from p.mid import h\nh()": "mid low",
    "from p import mid\nmid.lonely()": "mid",
    "import p.mid as q\nq.h()": "mid low",
    "import p.mid\nx = p.mid.h": "mid low",
    "from p.late import k\nk()": "late low",
    "from p.alias import renamed\nrenamed()": "alias low",
    "from p.alias import m\nm()": "alias low",
    "from p.alias import module\nmodule.g()": "alias low",
    "from p.typed import t\nt(1)": "typed",
    "from p.twice import f\nf()": "twice low mid",
    "from p.star import g\ng()": "star low",
    "from p.low import *\nf()": "low",
    "import p.act": "act low",
    "from p.imports_act import QUIET": "act low",
    "from p.registry import look\nlook('one')": "registry",
    "import p.plugin\nfrom p.registry import look\nlook('one')": "registry plugin",
    "from p.sub import va\nva": "sub.a",
    "from p.sub import vb\nvb()": "sub.b low",
    "from p.sub import vd\nvd": "sub sub.c",
    "import p.sub as s\ngetattr(s, 'v' + 'a')": "sub sub.a sub.b sub.c low",
    "from p.lazy import d\nd()": "lazy lazy.deep",
    "from p import child": "child base",
    "def f():\n    from p.low import g\n    return g()": "low",
    "name = 'p.low'\nimport importlib\nimportlib.import_module(name)": "low",
    "from p.worker import go\ngo()": "worker late low",
    "x = [h() for h in ()]\nif x:\n    from p.late import k as h": "late low",
    "%matplotlib inline\n!ls\nfrom p.low import g\ng()": "low",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made_up")
    for name, source in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    return Package(folder / "p")


def used(package, code):
    source = re.sub(r"^[%!].*$", "pass", code, flags=re.M)
    return closure(package, Module("notebook", Path(), source))


@pytest.mark.parametrize("code", USES)
def test_every_way_of_importing_is_followed(package, code):
    expected = {f"p.{name}" for name in USES[code].split()}
    assert set(used(package, code).names) == expected


def test_a_name_that_is_left_out_leads_nowhere(package):
    start = Module("notebook", Path(), "from p.mid import h\nh()")
    assert set(closure(package, start, {"p.mid:h"}).names) == set()
    assert set(closure(package, start, {"p.low"}).names) == {"p.mid"}


def test_files_of_data_in_the_package_are_found(package):
    found = used(package, "from p.files import words\nwords()")
    assert code_paths(package, [found]) == ["p/files.py", "p/words.txt"]
    assert code_paths(package, [found], ["p/words.txt"]) == ["p/files.py"]


def test_only_what_acts_on_something_else_acts(package):
    assert {name for name in package.files if acting(package, package[name])} == {"p.act", "p.plugin", "p.child"}


def test_names_that_lead_nowhere_are_resolved_no_further(package):
    assert package.resolve(Reference("p"), ["low", "A", "real"]) == Reference("p.low", "A")
    assert package.resolve(Reference("p", "sub"), ["a"]) == Reference("p.sub.a")


def test_writing_changes_nothing_but_code_dependencies(wanted):
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    others = {name: ["ohlcv_ta/none.py"] for name in wanted}
    changed = rewritten(text, others, "ohlcv_ta/")
    before, after = yaml.safe_load(text)["stages"], yaml.safe_load(changed)["stages"]
    for name in before:
        kept = [path for path in before[name]["deps"] if not path.startswith("ohlcv_ta/") or name not in wanted]
        assert after[name] == before[name] | {"deps": kept + others.get(name, [])}
    assert re.findall(r"#.*", changed) == re.findall(r"#.*", text)
    assert rewritten(changed, others, "ohlcv_ta/") == changed


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
    start = Module("notebook", Path(), "from ohlcv_ta.pipeline import run_stage, parameters\nrun_stage('a')")
    return {path.relative_to(ROOT) for path in modules_of(code_paths(package, [closure(package, start)]))} | {
        package.files[name].relative_to(ROOT) for name in package.files if name.rpartition(".")[2] in ("cli", "pipeline")}


@pytest.fixture
def only(tmp_path, monkeypatch):
    "A copy of the project with one stage, whose own code is what runs there."
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    return lambda stage: copied(tmp_path, only=stage)


@pytest.mark.pipeline
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


@pytest.mark.pipeline
def test_a_stage_fails_when_what_it_depends_on_is_broken(only):
    there = only("trend_networks")
    hollow_out(there, runner())
    with pytest.raises(AssertionError, match="not among the dependencies"):
        dvc(there, "repro", "--force", "--single-item", "--no-run-cache", "trend_networks")


def test_every_notebook_of_a_stage_is_read():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    named = {path for stage in stages.values() for path in stage_notebooks(stage)}
    assert all(read_module("notebook", ROOT / path).statements for path in named)
