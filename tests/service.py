"Small models and a real server for the tests of the service."

import socket
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import uvicorn

from ohlcv_ta.data import load
from ohlcv_ta.models.breakout import FEATURE_SETS, breakout_table, fit, save_model

INTERVAL = {"value": 0.61, "low": 0.52, "high": 0.70}
CURVE = [{"forecast": 0.1 + 0.2 * i, "observed": 0.12 + 0.19 * i, "low": 0.05 + 0.19 * i, "high": 0.2 + 0.19 * i,
          "count": 60} for i in range(5)]
METRICS = {**{who: {"roc_auc": INTERVAL} for who in ("walk_forward", "close_vs_vah", "distance_in_atr")}, "reliability": CURVE}


@cache
def small_model(features):
    "A logistic regression on hourly Bitcoin: seconds to fit, the real class, the real features."
    table = breakout_table(load("BTC-USD", "1h")).dropna(subset="breaks_above_vah")
    about = {"trained_on": "BTC-USD", "markets": ["BTC-USD"], "first": f"{table.index.min():%Y-%m-%d}",
             "last": f"{table.index.max():%Y-%m-%d}", "rows": len(table), "threshold": 0.005, "rule": "two_rows",
             "share": 0.7}
    return fit(table, FEATURE_SETS[features], "logistic", {"C": 0.1}, metrics=METRICS, **about)


def small_models():
    "Both served models, by name."
    return {f"breakout/{name}": small_model(name) for name in ("levels", "relative")}


def save_small_models(folder):
    "The same as folders, as a pipeline would leave them."
    for name, model in small_models().items():
        save_model(model, Path(folder) / name, "# A small model for tests\n")
    return Path(folder)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(app):
    "The application behind a real server on loopback; gives its address."
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    assert server.started, "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join(20)
