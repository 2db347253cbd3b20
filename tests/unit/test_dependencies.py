"Dependencies of stages: found through every way of importing, written in dvc.yaml, and true when a stage runs."

import re
from pathlib import Path

import pytest
import yaml
from support.smoke import ROOT

from ohlcv_ta.dependencies import (
    EVERY_STAGE,
    EXCLUDED,
    REFERENCE_COMMAND,
    REFERENCE_STAGES,
    Module,
    Package,
    Reference,
    closure,
    code_paths,
    differences,
    find_side_effects,
    list_differences,
    list_notebooks,
    read_module,
    rewrite_dependencies,
    stage_dependencies,
    stage_notebooks,
)


@pytest.fixture(scope="module")
def wanted():
    return stage_dependencies(ROOT)


def test_dvc_yaml_names_what_the_code_uses(wanted):
    assert not differences(ROOT, wanted), "run: ohlcv-ta deps --write"


def test_lists_of_pages_and_models_name_what_is_there():
    assert not list_differences(ROOT), "run: ohlcv-ta deps --write"


def test_every_stage_depends_on_the_environment_of_its_kernel(wanted):
    assert wanted and all("ohlcv_ta/kernel_environment.py" in paths for paths in wanted.values())


def test_only_pages_of_the_library_depend_on_the_code_that_documents_functions(wanted):
    folder = "ohlcv_ta/documentation" # which stands for all of its modules
    modules = {f"{folder}/notebook_pages.py", f"{folder}/symbol_descriptions.py"}
    found = {name for name, paths in wanted.items() if folder in paths or modules <= {*paths}}
    assert found == {name for name in wanted if name.startswith("reference_")} and len(found) >= 8


def test_every_library_notebook_becomes_a_page_of_one_stage():
    stages = {name: stage for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
              if stage["cmd"].startswith(REFERENCE_COMMAND)}
    made = [path for stage in stages.values() for path in stage_notebooks(stage, ROOT)]
    library = {path.relative_to(ROOT).as_posix() for path in list_notebooks(ROOT / "nbs") if path.parent.name != "pipeline"}
    assert sorted(made) == sorted(library), "name the folder of a new notebook in a stage reference_* of dvc.yaml"
    for name, stage in stages.items():
        outputs = [next(iter(one)) for one in stage["outs"]]
        pages = [f"book/reference/{path.removeprefix('nbs/')}" for path in stage_notebooks(stage, ROOT)]
        assert not [page for page in pages if not any(page == one or page.startswith(f"{one}/") for one in outputs)], name


def test_what_is_listed_exists_and_has_a_reason():
    package = Package(ROOT / "ohlcv_ta")
    for name, reason in (EXCLUDED | EVERY_STAGE | REFERENCE_STAGES).items():
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
    assert {name for name in package.files if find_side_effects(package, package[name])} == {"p.act", "p.plugin", "p.child"}


def test_names_that_lead_nowhere_are_resolved_no_further(package):
    assert package.resolve(Reference("p"), ["low", "A", "real"]) == Reference("p.low", "A")
    assert package.resolve(Reference("p", "sub"), ["a"]) == Reference("p.sub.a")


def test_writing_changes_nothing_but_code_dependencies(wanted):
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    others = {name: ["ohlcv_ta/none.py"] for name in wanted}
    changed = rewrite_dependencies(text, others, "ohlcv_ta/")
    before, after = yaml.safe_load(text)["stages"], yaml.safe_load(changed)["stages"]
    for name in before:
        kept = [path for path in before[name]["deps"] if not path.startswith("ohlcv_ta/") or name not in wanted]
        assert after[name] == before[name] | {"deps": kept + others.get(name, [])}
    assert re.findall(r"#.*", changed) == re.findall(r"#.*", text)
    assert rewrite_dependencies(changed, others, "ohlcv_ta/") == changed


def test_every_notebook_of_a_stage_is_read():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    named = {path for stage in stages.values() for path in stage_notebooks(stage, ROOT)}
    assert all(read_module("notebook", ROOT / path).statements for path in named)
