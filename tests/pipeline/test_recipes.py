"""The recipes of CONTRIBUTING.md, followed in a copy of the project: at most two files by hand, then `make export`.

All are followed before the export, which is run once; each test shows that what was added works.
"""

import json
import re
import subprocess
import sys
import threading
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
import yaml
from support.smoke import DVC, ENVIRONMENT, ROOT, dvc

from ohlcv_ta.data.io import read_json
from ohlcv_ta.pipeline import copy_project

GENERATED = re.compile(r"ohlcv_ta/.*|dvc\.yaml|book/_toc\.yml|(.*/)?\.gitignore")


class Project:
    "A copy of the project, with the files that each recipe wrote by hand."
    def __init__(self, folder):
        self.folder, self.by_hand = folder, {}
        self.environment = ENVIRONMENT | {"PYTHONPATH": str(folder), "OHLCV_TA_MODELS": str(folder / "models")}

    def write(self, recipe, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.by_hand.setdefault(recipe, set()).add(name)

    def edit(self, recipe, name, old, new):
        "Replace a text that a file, or one cell of a notebook, has once."
        text = (self.folder / name).read_text(encoding="utf-8")
        if name.endswith(".ipynb"):
            whole = nbformat.reads(text, 4)
            cell, = (one for one in whole.cells if old in one.source)
            cell.source = cell.source.replace(old, new)
            return self.write(recipe, name, nbformat.writes(whole))
        assert text.count(old) == 1, f"{name} has not one {old!r}"
        self.write(recipe, name, text.replace(old, new))

    def notebook(self, recipe, name, title, *cells):
        "Write a library notebook; the first cell is exported, the others show and assert."
        module = name.removeprefix("nbs/").removesuffix(".ipynb").replace("/", ".")
        code = [f"#| default_exp {module}", f"#| export\n{cells[0]}", *cells[1:]]
        made = [nbformat.v4.new_markdown_cell(f"# {title}\n> Added by a recipe"), *map(nbformat.v4.new_code_cell, code)]
        kernel = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
        self.write(recipe, name, nbformat.writes(nbformat.v4.new_notebook(cells=made, metadata=kernel)))

    def run(self, *command):
        "Return what a command prints; a failure shows it. Programs come from the folder of Python."
        program = [sys.executable, *command[1:]] if command[0] == "python" else [
            Path(sys.executable).with_name(command[0]), *command[1:]]
        done = subprocess.run(program, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout

    def python(self, code): return self.run("python", "-c", code)

    def prints(self):
        "A fingerprint of each file that Git would track."
        listing = ["git", "ls-files", "-co", "--exclude-standard"]
        names = subprocess.run(listing, cwd=self.folder, capture_output=True, text=True, check=True).stdout.splitlines()
        return {name: md5((self.folder / name).read_bytes()).hexdigest() for name in names if (self.folder / name).is_file()}


def add_estimator(project):
    notebook = "nbs/models/breakout/estimator.ipynb"
    project.edit("estimator", notebook, "_ESTIMATOR_SPECS = {", """def _make_naive_bayes(seed, **settings):
    from sklearn.naive_bayes import GaussianNB

    return GaussianNB(**settings)


_ESTIMATOR_SPECS = {""")
    row, new = '    "xgboost": EstimatorSpec(', '    "naive_bayes": EstimatorSpec(_make_naive_bayes, title="Naive Bayes"),'
    project.edit("estimator", notebook, row, f"{new}\n{row}")
    grid = "    naive_bayes: {var_smoothing: [1.0e-9, 1.0e-3]}\n"
    project.edit("estimator", "params.yaml", "    xgboost:\n", f"{grid}    xgboost:\n")


NETWORK = """import numpy as np
import torch
from torch import nn

from ohlcv_ta.models.artifacts import save_network
from ohlcv_ta.models.training import ArrayBatches, fit


class LinearTrend(nn.Module):
    "Compute the logit of up from the pixels of an image, and the share of each pixel in it."
    def __init__(self, height, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(height, width))

    def forward(self, images): # uint8 (n, height, width)
        return (self.heat(images)).sum((1, 2))

    def heat(self, images): return images.float() / 255 * self.weight


class Served(nn.Module):
    "Compute probabilities and heat maps."
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images): return self.network(images).sigmoid(), self.network.heat(images)


def train_linear_trend(images, labels, folder, **options):
    "Train on images and labels of 0 and 1, and write the folder of the network."
    size, half = images.shape[1:], len(images) // 2
    loss = lambda output, target: nn.functional.binary_cross_entropy_with_logits(output, target.float()) # noqa: E731
    batches = (ArrayBatches(images[part], labels[part], size=32) for part in (slice(half), slice(half, None)))
    network, history = fit(lambda: LinearTrend(*size), loss, *batches, **options)
    config = {"network": dict(zip(("height", "width"), size)), "look": {"lookback": 9, "height": 27}, "timeframe": "30m",
              "horizon": 9, "shift": 0}
    save_network(network, folder, config, {}, "# Linear", Served(network), torch.zeros(2, *size, dtype=torch.uint8),
                 names=("image", "probability", "heat"))
    return history"""


def add_network(project):
    project.notebook("network", "nbs/models/trend/linear.ipynb", "Linear trend", NETWORK,
                     "assert not LinearTrend(27, 27)(torch.ones(2, 27, 27)).any()")
    project.edit("network", "nbs/models/registry.ipynb", '    "trend": TrendPredictors.load,',
                 '    "trend_linear": TrendPredictors.load,\n    "trend": TrendPredictors.load,')


def add_architecture(project):
    notebook, row = "nbs/models/trend/network_settings.ipynb", '    "I5": TrendArchitecture('
    new = '    "narrow": TrendArchitecture(PriceImageStyle(lookback=5, height=15), {"channels": (8, 16)}),'
    project.edit("architecture", notebook, row, f"{new}\n{row}")
    data = ("narrow: {series: [{symbol: NASDAQ, venue: index}], timeframe: 1d, network: narrow, horizon: 5, shift: 0, "
            "side: RET_LONG, share: 0.1}")
    training = "narrow: {epochs: 1, batch: 32, learning_rate: 0.001, schedule: cosine, seeds: [0], served: true}"
    for section, values in (("data", data), ("train", training)):
        first = f"  {section}:\n"
        project.edit("architecture", "params.yaml", f"{first}    crypto:\n", f"{first}    {values}\n    crypto:\n")


SOURCE = '''import json
from urllib.request import urlopen

import pandas as pd

from ohlcv_ta.data.exchanges.base import PairList, bar_ends, closed_bars, unknown_pair_error, validate_request


class DepotSource:
    "Serve bars of a server that answers with JSON."
    name = "depot"

    def __init__(self, address, timeout): self.address, self.timeout = address, timeout

    def _ask(self, path):
        with urlopen(f"{self.address}/{path}", timeout=self.timeout) as answer: return json.load(answer)

    def top(self, count=200, timeframe=None): return PairList(self._ask("pairs")[:count])

    def bars(self, pair, timeframe="day1", limit=200):
        "Return the newest closed bars. Raises `UnknownPairError` or `InvalidRequest`."
        validate_request(timeframe, limit)
        if pair not in (known := self.top()): raise unknown_pair_error(self.name, pair, known)
        rows = self._ask(f"bars/{pair}/{timeframe}")
        frame = pd.DataFrame(rows, columns=["time", "Open", "High", "Low", "Close", "Volume"]).set_index("time")
        frame.index = pd.to_datetime(frame.index, utc=True).as_unit("us")
        return closed_bars(frame.astype(float), bar_ends(frame.index, timeframe), pd.Timestamp.now("UTC"), limit, pair,
                           timeframe, self.name, f"{pair}, depot")'''


def add_source(project):
    project.notebook("source", "nbs/data/exchanges/depot.ipynb", "Depot", SOURCE, 'assert DepotSource("", 1).name == "depot"')
    registry = "nbs/data/exchanges/registry.ipynb"
    project.edit("source", registry, '    "yahoo": _open_yahoo,\n',
                 '    "yahoo": _open_yahoo,\n    "depot": lambda address, timeout, **options: DepotSource(address, timeout),\n')
    imported = "from ohlcv_ta.data.exchanges.yahoo import YahooSource"
    project.edit("source", registry, imported, f"from ohlcv_ta.data.exchanges.depot import DepotSource\n{imported}")


TAB = '''import gradio as gr

from ohlcv_ta.data.catalog import read_catalog
from ohlcv_ta.serving.ui.components import Tab, TabNote


def _count(venue): return f"{(read_catalog().venue == venue).sum()} series"


def build_venue_tab(models, blocks):
    "Build the tab, and return the event that fills it."
    venue, text = gr.Dropdown(sorted(read_catalog().venue.unique()), label="Venue"), gr.Textbox(label="Series")
    venue.input(_count, venue, text, api_name="venue")
    return {"fn": _count, "inputs": venue, "outputs": text, "api_name": "venue_first"}


VENUE_TAB = Tab("Venues", build_venue_tab, TabNote("data", "The embedded series"))'''


def add_tab(project):
    project.notebook("tab", "nbs/serving/ui/venues.ipynb", "Venues", TAB, 'assert _count("nyse") != "0 series"')
    app = "nbs/serving/ui/app.ipynb"
    project.edit("tab", app, "LIVE_TAB] # in the order", "LIVE_TAB, VENUE_TAB] # in the order")
    project.edit("tab", app, "from ohlcv_ta.serving.ui.volume_scan import SCAN_TAB\n",
                 "from ohlcv_ta.serving.ui.venues import VENUE_TAB\nfrom ohlcv_ta.serving.ui.volume_scan import SCAN_TAB\n")


def add_page(project):
    code = "def midpoint(frame): return (frame.High + frame.Low) / 2"
    project.notebook("page", "nbs/features/midpoint.ipynb", "Midpoint", code,
                     'from ohlcv_ta.data.catalog import load_series\n\nbars = load_series("SPY", "1d")\nmidpoint(bars).tail(2)',
                     "assert midpoint(bars).between(bars.Low, bars.High).all()")


def add_chapter(project):
    cells = [nbformat.v4.new_markdown_cell("# How wide are bars?\n\n*Question: how wide is a bar of SPY?*"),
             nbformat.v4.new_code_cell('stage = ""', metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell('from ohlcv_ta.data.catalog import load_series\n\nbars = load_series("SPY", "1d")'
                                       "\nfloat((bars.High - bars.Low).mean())")]
    kernel = {"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}}
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells, metadata=kernel))
    project.write("chapter", "nbs/pipeline/width.ipynb", text)
    project.edit("chapter", "dvc.yaml", "  levels:\n", """  width:
    desc: How wide bars are
    cmd: ohlcv-ta run width
    deps: [data, nbs/pipeline/width.ipynb]
    outs: [book/chapters/width.ipynb]

  levels:
""")


RECIPES = {"estimator": add_estimator, "network": add_network, "architecture": add_architecture, "source": add_source,
           "tab": add_tab, "page": add_page, "chapter": add_chapter}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A copy in which all recipes were followed and the package was exported."
    project = Project(tmp_path_factory.mktemp("recipes"))
    copy_project("smoke", project.folder, ROOT)
    dvc(project.folder, "pull", "data.dvc", "breakout_features")
    for path in (project.folder / "results/breakout/features").glob("*.parquet"):
        if path.name != "SPY@nyse.parquet": path.unlink() # one market is enough to train on
    project.before = project.prints()
    for follow in RECIPES.values(): follow(project)
    project.run("nbdev_clean")
    project.run("nbdev_export")
    project.run("ohlcv-ta", "deps", "--write")
    project.after = project.prints()
    return project


def contents(project):
    "The table of contents as lines without indentation."
    return [line.strip() for line in (project.folder / "book" / "_toc.yml").read_text().splitlines()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_at_most_two_files_by_hand(project, recipe):
    assert 1 <= len(project.by_hand[recipe]) <= 2


def test_the_export_changes_generated_files_only(project):
    changed = {name for name, content in project.after.items() if project.before.get(name) != content}
    by_hand = set().union(*project.by_hand.values())
    assert not [name for name in changed - by_hand if not GENERATED.fullmatch(name)]
    assert by_hand <= changed


def test_no_list_differs_after_the_export(project):
    code = "from pathlib import Path\nfrom ohlcv_ta.dependencies import list_differences\nprint(list_differences(Path.cwd()))"
    assert project.python(code).strip() == "{}"


def test_an_estimator_trains_and_explains(project):
    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    assert "naive_bayes" in stages["breakout_train"]["matrix"]["model"]
    assert {"results/breakout/metrics/naive_bayes.json": {"cache": False}} in stages["breakout_evaluate"]["metrics"]
    page = contents(project).index("- file: chapters/breakout_train-naive_bayes")
    assert contents(project)[page + 1] == "title: Naive Bayes"
    done = subprocess.run([*DVC, "repro", "--single-item", "breakout_train@naive_bayes"], cwd=project.folder,
                          env=project.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / "book/chapters/breakout_train-naive_bayes.ipynb").exists()
    explained = project.python("""
import pandas as pd
from ohlcv_ta.features.breakout import RELATIVE_FEATURES
from ohlcv_ta.models.breakout.artifact import save_model
from ohlcv_ta.models.breakout.experiment import fit_model
from ohlcv_ta.models.registry import load_models
answers = pd.read_parquet("results/breakout/answers/naive_bayes.parquet")
assert answers.p.between(0, 1).all() and set(answers.model) == {"naive_bayes"}
table = pd.read_parquet("results/breakout/features/SPY@nyse.parquet").dropna(subset="breaks_above_vah")
save_model(fit_model(table, RELATIVE_FEATURES, "naive_bayes", {}), "models/breakout/relative", "# Naive Bayes")
model = load_models("models")["breakout/relative"]
values, p = model.explain(table.tail(3)), model.predict(table.tail(3))
mean = model.predict(pd.DataFrame([model.mean], columns=model.features))[0]
assert abs(values.sum(axis=1) + mean - p).max() < 1e-6 and values.abs().to_numpy().any()
print(model.describe()["estimator"])""")
    assert explained.strip() == "naive_bayes"


def test_a_network_trains_and_is_served(project):
    shown = project.python("""
import numpy as np
from ohlcv_ta.models.registry import load_models, warm_up
from ohlcv_ta.models.trend.linear import train_linear_trend
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (128, 27, 27)).astype(np.uint8), np.arange(128) % 2
images[labels == 1, :, 20:] = 255
history = train_linear_trend(images, labels, "models/trend_linear/right",
                             epochs=2, learning_rate=0.01, schedule="cosine", threads=1)
assert history.valid_loss.iloc[-1] < 0.69
models = {"trend_linear": load_models("models")["trend_linear"]}
warm_up(models)
probability, _ = models["trend_linear"]["right"].predict_images(images)
assert probability[labels == 1].min() > probability[labels == 0].max()
print(*models["trend_linear"].describe()["networks"])""")
    assert shown.strip() == "right"
    assert "- file: reference/models/trend/linear" in contents(project)


def test_an_architecture_is_trained_by_its_stage(project):
    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    assert "narrow" in stages["trend_train"]["matrix"]["dataset"]
    assert "- file: chapters/trend_train-narrow" in contents(project)
    for stage in ("trend_render", "trend_train -p dataset=narrow"): project.run("ohlcv-ta", "run", *stage.split())
    config = read_json(project.folder / "models/trend/narrow/config.json")
    assert config["network"] == {"height": 15, "width": 15, "channels": [8, 16], "members": 1}
    assert config["look"]["lookback"] == 5
    described = project.python("""
from ohlcv_ta.models.registry import load_models
print(load_models("models")["trend"]["narrow"].look.lookback)""")
    assert described.strip() == "5"


@pytest.fixture
def depot():
    "The address of a server with 60 daily bars of one pair, all closed."
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            days = (f"2024-{month:02}-{day:02}" for month in (1, 2, 3) for day in range(1, 29))
            rows = [[day, 10, 12, 9, 11, 100 + k % 7] for k, day in enumerate(days)][:60]
            content = json.dumps(["fig_usdt"] if self.path == "/pairs" else rows).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_): pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_source_answers_the_command_line_and_the_service(project, depot):
    said = project.run("ohlcv-ta", "scan", "--source", "depot", "--address", depot, "--timeframe", "day1", "--no-files")
    assert said.startswith("1 of 1 pairs, day1, depot")
    bars = project.python(f"""
from ohlcv_ta.serving.analysis_service import open_sources
from ohlcv_ta.serving.settings import read_settings
found = open_sources(read_settings(source="depot", source_url={depot!r}))["depot"].bars("fig_usdt", "day1", 30)
print(found.source, len(found.frame))""")
    assert bars.strip() == "depot 30"


def test_a_tab_is_in_the_app(project):
    names = project.python("""
from ohlcv_ta.serving.ui.app import create_ui
config = create_ui({}).config
assert {"venue", "venue_first"} <= {one["api_name"] for one in config["dependencies"]}
print(*(one["props"]["label"] for one in config["components"] if one["type"] == "tabitem"), sep="\\n")""")
    assert names.splitlines()[-1] == "Venues"


PAGES = {"reference/features/midpoint": "reference/features/breakout", "chapters/width": "chapters/profile"}


@pytest.mark.parametrize("page, before", PAGES.items())
def test_a_page_is_in_the_book_and_runs(project, page, before):
    project.run("ohlcv-ta", "run", page.removeprefix("chapters/"))
    assert read_json(project.folder / "book" / f"{page}.ipynb")["cells"]
    listed = [line.removeprefix("- file: ") for line in contents(project) if line.startswith("- file: ")]
    assert listed[listed.index(before) + 1] == page
