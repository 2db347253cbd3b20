"Conventions of the files: notebooks clean, package exported, every name pointing somewhere."

import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
import pytest
import yaml
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(p for p in (ROOT / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
STAGES = sorted((ROOT / "nbs" / "pipeline").glob("*.ipynb"))
MODULES = sorted((ROOT / "ohlcv_ta").rglob("*.py"))
params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("part", ["nbs", "book", "dvc.yaml", "params.yaml", "configs", "claims", "data.dvc", "ohlcv_ta",
                                  "_quarto.yml", "settings.ini", "README.md", "LICENSE", "Makefile", "requirements.lock"])
def test_the_top_level_is_complete(part):
    assert (ROOT / part).exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebooks_hold_no_outputs_and_no_counts(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None


def test_the_package_is_what_the_notebooks_export(tmp_path):
    "Clean and export in a copy: nothing may differ from what is here."
    listing = ["git", "ls-files", "-co", "--exclude-standard", "nbs", "ohlcv_ta", "settings.ini", "pyproject.toml"]
    files = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    here = {f: (ROOT / f).read_bytes() for f in files if f and (ROOT / f).is_file()}
    for name, content in here.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for command in ("nbdev_clean", "nbdev_export"):
        subprocess.run([Path(sys.executable).with_name(command)], cwd=tmp_path, check=True, capture_output=True)
    changed = [name for name, content in here.items() if (tmp_path / name).read_bytes() != content]
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.py")} - set(here)
    assert not [*changed, *made], "run `make export` and commit"


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_stages_have_a_tagged_parameters_cell_and_no_exports(path):
    cells = nbformat.read(path, 4).cells
    assert sum("parameters" in c.metadata.get("tags", []) for c in cells) == 1
    assert not any(re.search(r"^#\|\s*(export|default_exp)", c.source, re.M) for c in cells)


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p not in STAGES], ids=name_of)
def test_library_notebooks_open_with_a_title_and_export_to_their_own_name(path):
    cells = nbformat.read(path, 4).cells
    assert re.match(r"# .+\n> .+", cells[0].source), "the first cell is a title and a one-line quoted subtitle"
    module = ".".join(path.relative_to(ROOT / "nbs").with_suffix("").parts)
    assert f"#| default_exp {module}" in cells[1].source
    asserts = re.compile(r"^\s*(assert|test_|np\.testing|pd\.testing|replays)", re.M)
    assert any(asserts.search(c.source) for c in cells), "nothing is asserted"


def strings(value):
    "Every string in nested YAML."
    if isinstance(value, dict):
        return [s for v in value.values() for s in strings(v)]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value] if isinstance(value, str) else []


def test_quarto_names_only_what_exists():
    config = yaml.safe_load((ROOT / "_quarto.yml").read_text(encoding="utf-8"))
    sidebar = [section["contents"] for section in config["website"]["sidebar"]["contents"]]
    named = strings(config["project"]["render"]) + strings(sidebar)
    assert named and not [pattern for pattern in named if not list(ROOT.glob(pattern))]
    rendered = {path for pattern in config["project"]["render"] for path in ROOT.glob(pattern)}
    assert rendered == set(NOTEBOOKS) - set(STAGES)


def test_the_table_of_contents_names_every_page_once():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    pages = [s for s in strings(toc) if s not in ("jb-book",) and not s[0].isupper()]
    assert len(pages) == len(set(pages))
    reference = {f"reference/{p.relative_to(ROOT / 'nbs').with_suffix('').as_posix()}" for p in NOTEBOOKS if p not in STAGES}
    assert reference | {"reference/symbols"} == {p for p in pages if p.startswith("reference/")}


def test_every_stage_notebook_is_a_stage_and_every_dependency_exists():
    commands = " ".join(stage["cmd"] for stage in stages.values())
    unused = [p.stem for p in STAGES if f"run {p.stem}" not in commands and p.stem != "collect"]
    assert not unused
    code = [d for stage in stages.values() for d in stage["deps"] if d.endswith((".py", ".ipynb")) and "$" not in d]
    assert not [d for d in code if not (ROOT / d).exists()]


def test_stages_depend_on_the_parameters_they_read():
    for name, stage in stages.items():
        path = ROOT / "nbs" / "pipeline" / f"{name}.ipynb"
        if not path.exists():
            continue
        source = "\n".join(c.source for c in nbformat.read(path, 4).cells)
        read = set(re.findall(r'load_params\("([\w.]+)"\)', source))
        if "load_params(stage)" in source:
            read |= set(re.findall(r'^stage = "([\w.]+)"', source, re.M))
        declared = {str(p).split("$")[0].rstrip(".") for p in stage.get("params", [])}
        missing = {r for r in read if not any(r == d or r.startswith(f"{d}.") for d in declared)}
        assert not missing, f"{name} reads {missing}"


def leaves(value, path=""):
    "Dotted names of all values in nested parameters."
    if not isinstance(value, dict) or not value:
        return {path}
    return {leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}" if path else name)}


def expanded(stage):
    "Parameters of a stage, those of a matrix for each of its values."
    for declared in stage.get("params", []):
        if found := re.search(r"\$\{item\.(\w+)\}", declared):
            yield from (declared.replace(found[0], value) for value in stage["matrix"][found[1]])
        else:
            yield declared


def test_every_parameter_is_used_by_a_stage():
    declared = {name for stage in stages.values() for name in expanded(stage)}
    unused = {leaf for leaf in leaves(params) if not any(leaf == d or leaf.startswith(f"{d}.") for d in declared)}
    assert not unused


def test_stages_depend_on_the_claims_they_read():
    for name, stage in stages.items():
        path = ROOT / "nbs" / "pipeline" / f"{name}.ipynb"
        if path.exists():
            source = "\n".join(c.source for c in nbformat.read(path, 4).cells)
            read = {f"claims/{system}.yaml" for system in re.findall(r'read_(?:published|options)\("(\w+)"', source)}
            assert read == {d for d in stage["deps"] if re.fullmatch(r"claims/\w+\.yaml", d)}, name


def test_the_files_name_no_machine():
    "No absolute path of whoever wrote it, in what a reader gets."
    pattern = re.compile(r"/(?:home|Users|root|work|tmp)/[\w.]+")
    text = [*ROOT.glob("book/*.md"), *NOTEBOOKS, *MODULES, *ROOT.glob("claims/*"), *ROOT.glob("configs/*"), ROOT / "README.md",
            ROOT / "params.yaml", ROOT / "dvc.yaml"]
    assert not [name_of(p) for p in text if pattern.search(p.read_text(encoding="utf-8"))]


def test_the_extras_are_what_the_settings_say():
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    locked = {re.split(r"[=<> @]", line)[0].lower().replace("_", "-") for line in
              (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"}
    for key in ("requirements", "serve_requirements", "train_requirements", "live_requirements", "cluster_requirements",
                "dev_requirements"):
        wanted = {re.split(r"[=<>;\[]", r)[0].lower().replace("_", "-") for r in config["DEFAULT"][key].split()}
        assert wanted <= locked, f"{key}: {wanted - locked} not in requirements.lock"


def formulas_in(text):
    "Formulas of a text in Markdown, without those in code."
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
    blocks = re.findall(r"\$\$(.+?)\$\$", text, re.S)
    return blocks + re.findall(r"(?<![\\$\w])\$(?!\s)([^$\n]+?)(?<!\s)\$(?!\d)", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))


@pytest.mark.parametrize("path", [*STAGES, *sorted((ROOT / "book").glob("*.md"))], ids=name_of)
def test_the_book_can_set_every_formula(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb": text = "\n".join(c.source for c in nbformat.reads(text, 4).cells if c.cell_type == "markdown")
    for formula in formulas_in(text): tex2mathml(formula.strip()) # raises for a command that it does not know
