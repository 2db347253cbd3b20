"""Do other processors compute the same numbers? On demand; needs qemu-user, which runs a program on an emulated processor.

python benchmarks/processors.py            this processor, one core of it, and emulated ones: processors.json
python benchmarks/processors.py --check    print the digests of this process, which the other way compares

Each check is a digest of results to the last bit: linear algebra, functions, charts, a short training of each kind of network,
and each kind of tree. The environment is that of the stages.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PROCESSORS = { # name -> command before Python
    "this one": [],
    "this one, a single core": ["taskset", "-c", "0"],
    "Intel Haswell (2013), emulated": ["qemu-x86_64", "-cpu", "Haswell"],
    "AMD EPYC Rome (2019), emulated": ["qemu-x86_64", "-cpu", "EPYC-Rome"],
}


def digest(*arrays):
    found = hashlib.sha256()
    for array in arrays: found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def linear_algebra(rng):
    x = rng.normal(size=(300, 40))
    yield "NumPy: products, singular values", digest(x.T @ x, np.linalg.svd(x, compute_uv=False))
    single = x.astype(np.float32)
    functions = np.exp(x), np.log(np.abs(x)), np.sin(x), np.exp(single)
    yield "NumPy: functions, sums", digest(*functions, single.sum(0), single.mean())


def tensors(rng):
    import torch
    a, w = (torch.as_tensor(rng.normal(size=size).astype(np.float32)) for size in ((128, 300), (300, 64)))
    parts = a @ w, a.exp(), a.tanh(), a.sum(0), a.log_softmax(1)
    yield "PyTorch: products, functions, sums", digest(*(part.numpy() for part in parts))


def first_steps(build, inputs, loss, size=8):
    "Return a digest of the history and the weights after two epochs of the training loop."
    from ohlcv_ta.models.training import ArrayBatches, fit
    batches = ArrayBatches(*inputs, size=size, shuffle=True), ArrayBatches(*inputs, size=size)
    network, history = fit(build, loss, *batches, epochs=2, learning_rate=1e-3)
    return digest(history.to_numpy(), *(weights.numpy() for weights in network.state_dict().values()))


def networks(rng):
    import torch

    from ohlcv_ta.models.indicators.network import IndicatorCNN
    from ohlcv_ta.models.masks.network import UNet, mask_loss
    from ohlcv_ta.models.trend.network import TrendCNN
    from ohlcv_ta.models.trend.network_settings import ARCHITECTURES

    def draw(high, *shape, kind=np.uint8): return rng.integers(0, high, shape).astype(kind)

    entropy = torch.nn.functional.cross_entropy
    for name, side in (("CNN9u", 27), ("I5", None)):
        look = ARCHITECTURES[name].style
        shape = (side, side) if side else (look.height, look.width)
        images = draw(256, 16, *shape), draw(2, 16, kind=np.int64)
        yield f"Training of {name}", first_steps(partial(TrendCNN, **ARCHITECTURES[name].settings), images, entropy)
    indicators = draw(256, 16, 15, 15, 3), draw(3, 16, kind=np.int64)
    yield "Training on images of indicators", first_steps(partial(IndicatorCNN, side=15), indicators, entropy)
    unet = partial(UNet, widths=[16, 32], patch=[2, 8], layers=1, maps=3, classifier=16)
    masks = rng.random((4, 4, 32, 16)).astype(np.float32)
    yield "Training of a U-Net", first_steps(unet, (draw(256, 4, 64, 128, 3), masks), mask_loss(), 2)


def trees(rng):
    import lightgbm
    import xgboost
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    x = rng.normal(size=(300, 10))
    y = (x[:, 0] + rng.normal(size=300) > 0).astype(int)
    for name, model in (("logistic regression", LogisticRegression()),
                        ("random forest", RandomForestClassifier(20, random_state=0)),
                        ("XGBoost", xgboost.XGBClassifier(n_estimators=20, n_jobs=2)),
                        ("LightGBM", lightgbm.LGBMClassifier(n_estimators=20, n_jobs=2, verbose=-1))):
        yield name, digest(model.fit(x, y).predict_proba(x))


def charts(rng):
    import pandas as pd

    from ohlcv_ta.charts import STYLES, draw_chart
    from ohlcv_ta.features.indicators import atr
    close = 100 * np.exp(0.01 * rng.normal(size=200).cumsum())
    bars = {"Open": np.r_[100, close[:-1]], "High": 1.02 * close, "Low": 0.98 * close, "Close": close,
            "Volume": rng.random(200)}
    frame = pd.DataFrame(bars, pd.date_range("2024", periods=200, freq="D", tz="UTC"))
    image, _ = draw_chart(frame, STYLES["light"])
    yield "Charts, average true range", digest(image, atr(frame))


def checks():
    "Every check and its digest."
    parts = linear_algebra, tensors, charts, networks, trees
    return {name: found for part in parts for name, found in part(np.random.default_rng(0))}


def digests_on(command):
    "The digests of a process under a command, with the environment of the stages."
    from ohlcv_ta.kernel_environment import KERNEL_ENVIRONMENT
    packages = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
    python = str(Path(sys.executable).resolve()) # the emulator takes no link
    done = subprocess.run([*command, python, __file__, "--check"], text=True, cwd=ROOT, capture_output=True,
                          env=os.environ | KERNEL_ENVIRONMENT | {"PYTHONPATH": packages, "PYTHONWARNINGS": "ignore"})
    if done.returncode: raise SystemExit(f"{' '.join(command) or 'Python'} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    from ohlcv_ta.data.io import write_json
    from ohlcv_ta.models.training_records import describe_machine
    missing = [command[0] for command in PROCESSORS.values() if command and not shutil.which(command[0])]
    if missing: raise SystemExit(f"{missing[0]} is not installed; on Debian: apt-get install qemu-user")
    found = {name: digests_on(command) for name, command in PROCESSORS.items()}
    first = found["this one"]
    equal = {name: {check: digests[check] == first[check] for check in first} for name, digests in found.items()}
    write_json(ROOT / "benchmarks" / "processors.json", {"machine": describe_machine(), "equal": equal})
    for name, one in equal.items():
        print(f"{name}: {sum(one.values())} of {len(one)} equal", [check for check, same in one.items() if not same])


if __name__ == "__main__": print(json.dumps(checks())) if "--check" in sys.argv else main()
