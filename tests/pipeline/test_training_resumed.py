"Training that is killed goes on where it was."

import signal
import subprocess
import sys
import time

import numpy as np
from safetensors.numpy import load_file

TRAINING = """
import sys, numpy as np, torch
from safetensors.torch import save_file
from ohlcv_ta.models.trend.network_settings import ARCHITECTURES
from ohlcv_ta.models.trend.network import train_trend_network
rng = np.random.default_rng(0)
images, labels = rng.integers(0, 2, (600, 27, 27)).astype(np.uint8) * 255, rng.integers(0, 2, 600)
small, rows = ARCHITECTURES["CNN9u"].settings | {"channels": (8, 16)}, np.arange(600)
network, _ = train_trend_network(small, images, labels, rows[:500], rows[500:], batch=20, epochs=6,
                          checks=5, learning_rate=1e-3, schedule="cosine", warmup=1, threads=1, record=sys.argv[1])
save_file({name: value.contiguous() for name, value in network.state_dict().items()}, sys.argv[2])
"""


def train(*arguments):
    return subprocess.Popen([sys.executable, "-c", TRAINING, *map(str, arguments)])


def test_training_that_was_killed_ends_with_the_same_weights(tmp_path):
    record, state = tmp_path / "small", tmp_path / "small.checkpoint"
    first = train(record, tmp_path / "killed.safetensors")
    until = time.monotonic() + 120
    while not state.exists() and time.monotonic() < until: time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL and state.exists(), "it was over before it could be killed"
    assert not (tmp_path / "killed.safetensors").exists()
    assert train(record, tmp_path / "resumed.safetensors").wait() == 0
    assert train(tmp_path / "other", tmp_path / "whole.safetensors").wait() == 0
    resumed, whole = (load_file(tmp_path / f"{name}.safetensors") for name in ("resumed", "whole"))
    for name, value in whole.items(): np.testing.assert_array_equal(resumed[name], value)
    assert not state.exists()
