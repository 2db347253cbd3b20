"Every served model implements the protocol, and the registry is the only place that names one."

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper
from support.small_models import save_small_models

from ohlcv_ta.data.io import read_json, write_json
from ohlcv_ta.data.synthetic import random_walk, synthetic_levels
from ohlcv_ta.features.technical_indicators import indicator_table
from ohlcv_ta.models import registry
from ohlcv_ta.models.base import ExplainableModel, PredictorGroup, ServedModel
from ohlcv_ta.models.indicators.dataset import IndicatorImages
from ohlcv_ta.models.levels.estimator import fit_scorer, save_scorer
from ohlcv_ta.models.registry import MODEL_LOADERS, load_models, load_served_model, warm_up
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.settings import Settings

SERVED = list(MODEL_LOADERS)
TORCH_FREE = ["base", "registry", "onnx", "breakout.inference", "levels.inference", "masks.inference", "trend.inference",
              "indicators.inference"]


def save_small_indicators(folder):
    "An indicator network without weights: the mean of each channel, as probabilities."
    walk, names = random_walk(400, seed=3), ["RSI_14", "ROC_10", "ATR_14", "SMA_20"]
    rows = np.arange(50, 400)
    images = IndicatorImages.fit(walk, indicator_table(walk, names), rows, rows % 2, side=2)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 2, 2, 3])
    probability = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 3])
    nodes = [helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
             helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
             helper.make_node("Softmax", ["mean"], ["probability"])]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2])
    graph = helper.make_graph(nodes, "mean", [image], [probability], [axes])
    folder.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), folder / "model.onnx")
    write_json(folder / "config.json", {"images": images.to_dict(), "timeframe": "30m"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = save_small_models(tmp_path_factory.mktemp("models"))
    save_scorer(fit_scorer([synthetic_levels(120, seed)[:2] for seed in range(3)]), folder / "level_scorer", "# A card")
    save_small_indicators(folder / "indicators" / "small")
    return folder


@pytest.fixture(scope="module")
def models(folder):
    return load_models(folder)


def members(model):
    return list(model.values()) if isinstance(model, PredictorGroup) else [model]


def test_every_registered_model_is_loaded(models):
    assert list(models) == SERVED


@pytest.mark.parametrize("name", SERVED)
def test_a_model_implements_the_protocol(models, name):
    for model in (models[name], *members(models[name])):
        assert isinstance(model, ServedModel)
        model.warm_up()
        facts = model.describe()
        assert facts and json.loads(json.dumps(facts, allow_nan=False)) == facts


@pytest.mark.parametrize("name", SERVED)
def test_a_loader_is_the_load_method_of_its_class(models, folder, name):
    assert type(models[name]) is MODEL_LOADERS[name].__self__
    assert load_served_model(name, folder).describe() == models[name].describe()
    assert "estimator" in models[name].describe()


@pytest.mark.parametrize("name", SERVED)
def test_a_folder_without_a_model_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        MODEL_LOADERS[name](tmp_path)


def test_models_that_explain_their_predictions(models):
    explainable = {name for name in SERVED if all(isinstance(model, ExplainableModel) for model in members(models[name]))}
    assert explainable == {"breakout/levels", "breakout/relative", "trend"}


def test_predictions_of_bars_are_aligned_with_them(models):
    bars = random_walk(300, seed=2, timeframe="30m")
    for name in ("trend", "indicators"):
        for predictions in models[name].predict(bars).values(): assert len(predictions) == len(bars)
    prices, strengths = models["level_scorer"].predict(bars)
    assert len(prices) == len(strengths)


class Coin:
    "A model that no module but this test knows."
    warmed = False

    def __init__(self, facts): self.facts = facts

    @classmethod
    def load(cls, folder): return cls(read_json(Path(folder) / "config.json"))

    def describe(self): return {"estimator": "coin"} | self.facts
    def warm_up(self): self.warmed = True
    def predict(self, frame): return np.full(len(frame), 0.5)


def test_a_line_in_the_registry_serves_another_model(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.MODEL_LOADERS, "coin", Coin.load)
    (tmp_path / "coin").mkdir()
    write_json(tmp_path / "coin" / "config.json", {"sides": 2})
    assert load_served_model("coin", tmp_path).predict(random_walk(5)).tolist() == [0.5] * 5
    with TestClient(create_app(tmp_path, Settings(cache=tmp_path / "cache"))) as client:
        assert client.get("/health").json()["models"] == {"coin": {"estimator": "coin", "sides": 2}}
        assert 'estimator="coin"' in client.get("/metrics").text
        assert client.app.state.models["coin"].warmed


def test_a_model_that_fails_to_warm_up_is_removed(caplog):
    class Broken(Coin):
        def warm_up(self): raise OSError("no such device")

    models = {"coin": Coin({}), "broken": Broken({})}
    with caplog.at_level(logging.ERROR, "ohlcv_ta"): warm_up(models)
    assert list(models) == ["coin"] and models["coin"].warmed


def test_served_models_are_loaded_without_torch():
    code = f"import sys, {', '.join(f'ohlcv_ta.models.{name}' for name in TORCH_FREE)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
