"Pages of the library: every public name is documented once, under a label of its own, and the index links to all of them."

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest

from ohlcv_ta.documentation.notebook_pages import document_page, exported_module
from ohlcv_ta.documentation.page_conversion import convert_page
from ohlcv_ta.documentation.symbol_descriptions import ParameterTable, find_symbols, format_text, make_stub
from ohlcv_ta.documentation.symbol_index import make_symbol_index

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "nbs").rglob("*.ipynb")
                   if "pipeline" not in path.parts and ".ipynb_checkpoints" not in path.parts)


def documented(path):
    "A library notebook as a page; it has not run."
    notebook = nbformat.read(path, 4)
    document_page(notebook, ROOT)
    return notebook


@pytest.fixture(scope="module")
def pages():
    return {path: documented(path) for path in NOTEBOOKS}


def prose(page):
    return "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")


def labels(page):
    return re.findall(r"^\((\S+)\)=$", prose(page), re.M)


def headings(page):
    text = re.sub(r"^```.*?^```", "", prose(page), flags=re.M | re.S)
    return re.findall(r"^(#+) (.*)$", text, re.M)


def test_labels_are_unique_in_the_book_also_in_lower_case(pages):
    found = Counter(label.lower() for page in pages.values() for label in labels(page))
    assert len(found) > 1000 and not [label for label, times in found.items() if times > 1]


def test_the_index_links_to_every_label_but_those_of_methods_and_to_no_other(pages):
    names = {name for page in pages.values() for name in labels(page)}
    linked = set(re.findall(r"\(#(\S+)\)", make_symbol_index(ROOT)))
    methods = {name for name in names if re.search(r"\.[A-Z]\w*\.\w+$", name)}
    assert linked == names - methods


def test_every_name_of_all_has_a_label(pages):
    for path, page in pages.items():
        module = exported_module(page)
        source = (ROOT / "ohlcv_ta" / f"{module.replace('.', '/')}.py").read_text()
        exported = re.findall(r"'(\w+)'", re.search(r"__all__ = \[(.*?)\]", source, re.S)[1])
        found = {label.removeprefix(f"ohlcv_ta.{module}.").split("-")[0] for label in labels(page)}
        assert {*exported} <= found, path


def test_no_heading_skips_a_level(pages):
    for path, page in pages.items():
        levels = [len(level) for level, _ in headings(page)]
        assert levels[0] == 1 and levels.count(1) == 1, path
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), path


def test_every_function_has_its_signature_and_its_source_is_folded(pages):
    for path, page in pages.items():
        for cell in page.cells:
            if cell.cell_type == "code" and re.search(r"^#\|\s*export", cell.source, re.M):
                public = [one for one in find_symbols(cell.source) if one.kind != "constant"]
                assert all(re.search(rf"^#+ `{one.name}`$", prose(page), re.M) for one in public), path
                assert not public or "hide-input" in cell.metadata["tags"], path
                assert all(re.search(rf"^(async )?(def|class) {one.name}\b", prose(page), re.M) for one in public), path


def test_pages_name_no_machine_and_no_address(pages):
    assert not [path for path, page in pages.items() if str(ROOT) in prose(page) or re.search(r" at 0x[0-9a-f]+", prose(page))]


def test_a_page_is_the_same_when_it_is_made_again():
    path = ROOT / "nbs" / "serving" / "settings.ipynb"
    assert convert_page(documented(path)) == convert_page(documented(path))


@pytest.mark.parametrize("code, row", [
    ("@numba.njit(cache=True)\ndef f(\n    x: int, # rows\n): 'Do.'", "| `x` | `int` | rows |"),
    ("@dataclass(frozen=True)\nclass C:\n    'Hold.'\n    x: int = field(default_factory=list) # rows",
     "| `x` | `int` | `list()` | rows |"),
    ("class C(NamedTuple):\n    'Hold.'\n    x: tuple[int, ...] # rows\n    y: int = 1",
     "| `x` | `tuple[int, ...]` |  | rows |"),
    ("class C(BaseModel):\n    'Hold.'\n    x: int = Field(gt=0, description='Rows.')\n    y: int", "| `x` | `int` | Rows. |"),
    ("class C(nn.Module):\n    'Hold.'\n    def __init__(self, x: int = 2): # rows\n        self.x = x",
     "| `x` | `int` | `2` | rows |"),
    ("@app.command()\ndef f(x: Annotated[Path, typer.Option('-x', help='File.')] = Path('a')): 'Do.'",
     "| `x` | `Path` | `Path('a')` | File. |"),
    ("async def f(\n    *x: str, # names\n    y='é', # a letter\n) -> None: 'Do.'", "| `*x` | `str` |  | names |"),
    ("def f(\n    x: 'int | None', # `a | b`\n): 'Do.'", r"| `x` | `int \| None` | `a \| b` |"),
])
def test_every_kind_of_definition_has_a_table(code, row):
    [symbol] = find_symbols(code)
    assert row in str(ParameterTable(make_stub(symbol.node, code)))


def test_a_class_without_parameters_has_no_stub():
    code = "class Missing(KeyError): 'Report a missing name.'"
    assert make_stub(find_symbols(code)[0].node, code) is None


def test_code_is_not_escaped_and_other_text_is():
    assert format_text("`a*b` a*b $x$ <b>", {}) == r"`a*b` a\*b \$x\$ \<b>"
