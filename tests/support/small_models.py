"Small models with the real classes, for tests of whatever serves them."

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ohlcv_ta.data import load_series
from ohlcv_ta.data.io import write_json
from ohlcv_ta.features.breakout import FEATURE_SETS
from ohlcv_ta.models.breakout.artifact import save_model
from ohlcv_ta.models.breakout.dataset import breakout_table
from ohlcv_ta.models.breakout.experiment import fit_model
from ohlcv_ta.models.breakout.inference import BreakoutPredictor
from ohlcv_ta.models.masks.inference import MaskPredictor
from ohlcv_ta.models.trend.inference import TrendPredictors

INTERVAL = {"value": 0.61, "low": 0.52, "high": 0.70}
CURVE = [{"forecast": 0.1 + 0.2 * i, "observed": 0.12 + 0.19 * i, "low": 0.05 + 0.19 * i, "high": 0.2 + 0.19 * i,
          "count": 60} for i in range(5)]
SMALL = {"logistic": {"C": 0.1}, "lightgbm": {"num_leaves": 4, "n_estimators": 10}} # settings that take no time
METRICS = {**{who: {"roc_auc": INTERVAL} for who in ("walk_forward", "close_vs_vah", "distance_in_atr")}, "reliability": CURVE}


@cache
def small_model(features, estimator="logistic"):
    "A small estimator on hourly Bitcoin: seconds to fit, the real class, the real features."
    table = breakout_table(load_series("BTC-USD", "1h")).dropna(subset="breaks_above_vah")
    about = {"trained_on": "BTC-USD", "markets": ["BTC-USD"], "first": f"{table.index.min():%Y-%m-%d}",
             "last": f"{table.index.max():%Y-%m-%d}", "rows": len(table), "threshold": 0.005, "rule": "two_rows",
             "share": 0.7}
    fitted = fit_model(table, FEATURE_SETS[features], estimator, SMALL[estimator], metrics=METRICS, **about)
    return BreakoutPredictor.from_model(fitted)


def dark_pattern(path, kernel, height=128, width=256):
    "A graph of one convolution, in the form of a served network: a line is where the kernel covers dark pixels."
    weight = np.broadcast_to(kernel / kernel.sum() / 765 * 30, (1, 3, *kernel.shape)).astype(np.float32)
    node, size = helper.make_node, [height, width]
    nodes = [node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT), node("Sub", ["white", "pixels"], ["dark"]),
             node("Transpose", ["dark"], ["planes"], perm=[0, 3, 1, 2]),
             node("Conv", ["planes", "weight", "bias"], ["logits"], auto_pad="SAME_UPPER"),
             node("Squeeze", ["logits", "channel"], ["logit"]), node("Sigmoid", ["logit"], ["mask"])]
    held = {"white": np.float32(255), "weight": weight, "bias": np.float32([-12]), "channel": np.array([1])}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *size, 3])
    mask = helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", *size])
    graph = helper.make_graph(nodes, "tiny", [image], [mask], [numpy_helper.from_array(v, n) for n, v in held.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def save_small_masks(folder):
    "Networks with nothing learned: one sees dark rows, the other what falls by a pixel a column."
    dark_pattern(Path(folder) / "horizontal" / "model.onnx", np.ones((1, 41)))
    dark_pattern(Path(folder) / "ray" / "model.onnx", np.eye(21))


@cache
def small_masks():
    with tempfile.TemporaryDirectory() as folder:
        save_small_masks(folder)
        reader = MaskPredictor(folder)
        reader.predict(np.full((32, 32, 3), 255, np.uint8)) # read while the files are there
    return reader


def save_small_trend(folder):
    "A network with nothing learned in the folder of one that has: what is bright in the right half speaks for a rise."
    node, right = helper.make_node, np.repeat(np.float32([-1, 1]), [13, 14]) / 255
    nodes = [node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT), node("Mul", ["pixels", "right"], ["heat"]),
             node("ReduceSum", ["heat", "axes"], ["sum"], keepdims=0), node("Mul", ["sum", "scale"], ["logit"]),
             node("Sigmoid", ["logit"], ["probability"])]
    held = {"right": right, "axes": np.array([1, 2]), "scale": np.float32(0.02)}
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 27, 27])
    answers = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch"]),
               helper.make_tensor_value_info("heat", TensorProto.FLOAT, ["batch", 27, 27])]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "tiny", [image], answers, held)
    there = Path(folder) / "crypto"
    there.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), there / "model.onnx")
    asked = {"horizon": 9, "shift": 0, "side": "RET_LONG", "timeframe": "30m"}
    learned = {"trained_on": ["BTC-USD", "ETH-USD"], "until": "2019-01-01T00:00:00+00:00"}
    write_json(there / "config.json", asked | learned | {"look": {"lookback": 9, "height": 27}})
    write_json(there / "metrics.json", {"network": {"roc_auc": INTERVAL}, "calibration": CURVE})
    return Path(folder)


@cache
def small_trend():
    with tempfile.TemporaryDirectory() as folder:
        readers = TrendPredictors.load(save_small_trend(Path(folder) / "trend"))
        for reader in readers.values(): reader.predict_images(np.zeros((1, 27, 27), np.uint8)) # read while the files are there
    return readers


def small_models():
    "All served models, by name."
    served = {f"breakout/{name}": small_model(name) for name in ("levels", "relative")}
    return served | {"masks": small_masks(), "trend": small_trend()}


def save_small_models(folder):
    "The same as folders, as a pipeline would leave them."
    for name in ("levels", "relative"):
        save_model(small_model(name), Path(folder) / "breakout" / name, "# A small model for tests\n")
    save_small_masks(Path(folder) / "masks")
    save_small_trend(Path(folder) / "trend")
    return Path(folder)
