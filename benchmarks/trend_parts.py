"Speed of price images: drawing against copying and a plain loop, training against a plain loop, a factor on two backends."

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from distributed import LocalCluster
from joblib import parallel_config
from torch import nn

from ohlcv_ta.charts.price_images import PRICE_IMAGE_STYLES, draw_price_images
from ohlcv_ta.data import load_series
from ohlcv_ta.market.factor import open_array, write_factor
from ohlcv_ta.market.screening import find_sources
from ohlcv_ta.models.training import ArrayBatches, fit
from ohlcv_ta.models.trend.network import TrendCNN
from ohlcv_ta.models.trend.network_settings import ARCHITECTURES


def plain_image(window, look):
    "One image the way scripts of this family draw it: a frame cut for each image, pandas to scale it, a loop over its rows."
    shown = window.iloc[-look.lookback:].copy()
    names = ["Open", "High", "Low", "Close"]
    if look.average:
        shown["average"] = window.Close.rolling(look.average).mean()
        names.append("average")
    low, high = shown[names].min().min(), shown[names].max().max()
    rows = ((shown[names] - low) / (high - low) * (look.price_rows - 1)).round().astype(int)
    tall = (shown.Volume / shown.Volume.max() * look.volume_rows).round().astype(int)
    image, bottom = np.zeros((look.height, look.width), np.uint8), look.price_rows - 1
    for k, (_, bar) in enumerate(rows.iterrows()):
        image[bottom - bar.Open, 3 * k] = 255
        for row in range(bar.Low, bar.High + 1):
            image[bottom - row, 3 * k + 1] = 255
        image[bottom - bar.Close, 3 * k + 2] = 255
        if look.average:
            image[bottom - bar.average, 3 * k:3 * k + 3] = 255
        for row in range(tall.iloc[k] if look.volume else 0):
            image[look.height - 1 - row, 3 * k + 1] = 255
    return image


def drawing(series, look, count, plain):
    "Who draws images of one size: how many, and how."
    last, more = np.arange(count) + 2 * look.lookback, look.lookback + look.average
    images, copy = draw_price_images(series, look, last), np.empty((count, look.height, look.width), np.uint8)
    windows = [series.iloc[at - more:at + 1] for at in last[:plain]]
    return {"ours": (count, lambda: draw_price_images(series, look, last, copy)),
            "copying the pixels": (count, lambda: np.copyto(copy, images)),
            "plain Python loop": (plain, lambda: [plain_image(window, look) for window in windows])}


def bars(in_turn, plain=60):
    "Images a second on one core, in an existing buffer, compared with copying as many pixels, and with the plain loop."
    series, rows = load_series("BTC-USD", "30m"), []
    for name, count in (("CNN9u", 20_000), ("I20", 8_000), ("CNN49u", 1_500)):
        look = PRICE_IMAGE_STYLES[name]
        contestants = drawing(series, look, count, plain)
        seconds = in_turn({who: call for who, (_, call) in contestants.items()}, 5)
        each = {who: many / seconds[who] for who, (many, _) in contestants.items()}
        rows += [{"images": f"{look.height}x{look.width}", "who": who, "images a second": speed,
                  "ours is faster by": None if who == "ours" else each["ours"] / speed} for who, speed in each.items()]
    return rows


def plain_training(settings, images, labels, batch, rate):
    "32-bit floats, channels first, torch's own optimizer: a loop as in any tutorial; the last losses."
    torch.manual_seed(0)
    network, loss = TrendCNN(**settings).train(), nn.CrossEntropyLoss()
    optimizer, losses = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01), []
    for begin in range(0, len(images) - batch + 1, batch):
        optimizer.zero_grad()
        found = loss(network(torch.as_tensor(images[begin:begin + batch])), torch.as_tensor(labels[begin:begin + batch]))
        found.backward()
        optimizer.step()
        losses.append(found.item())
    return float(np.mean(losses[-4:]))


def training(in_turn, name="CNN49u", count=192, batch=32, rate=1e-4):
    "Images a second that a network learns from on two cores, and the loss at the end, compared with the plain loop."
    look, settings, series = PRICE_IMAGE_STYLES[name], ARCHITECTURES[name].settings, load_series("SPY", "5m")
    last = np.random.default_rng(0).choice(np.arange(look.lookback, len(series)), count, replace=False)
    rose = series.Close.to_numpy()[last] > series.Open.to_numpy()[last - look.lookback + 1]
    images, labels, losses = draw_price_images(series, look, last), rose.astype(np.int64), {}

    def ours():
        batches = ArrayBatches(images, labels, size=batch), ArrayBatches(images[:8], labels[:8], size=8)
        learner, _ = fit(lambda: TrendCNN(**settings), nn.CrossEntropyLoss(), *batches, epochs=1,
                         learning_rate=rate, final_rate=rate, schedule="exponential", seed=0)
        losses["ours"] = float(np.mean([float(one) for one in learner.recorder.losses][-4:]))

    def plain(): losses["plain loop, float32"] = plain_training(settings, images, labels, batch, rate)

    seconds = in_turn({"ours": ours, "plain loop, float32": plain}, 3)
    return [{"network": name, "who": who, "images a second": count / one, "loss of the last batches": losses[who],
             "ours is faster by": None if who == "ours" else one / seconds["ours"]} for who, one in seconds.items()]


def factor(network="models/trend/crypto", count=8, length=2000):
    "Seconds for one factor of several files on local cores and on a Dask cluster, by configuration alone; the same values?"
    series, found = load_series("BTC-USD", "30m"), {}
    with TemporaryDirectory() as folder, LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        folder = Path(folder)
        (folder / "files").mkdir()
        for k in range(count): series.iloc[k * length:(k + 1) * length].to_csv(folder / "files" / f"{k}.csv")
        there = {"backend": "dask", "scheduler_host": cluster.scheduler_address}
        ways = {"two local processes": {"n_jobs": 2}, "Dask, two workers": there}
        for who, configured in ways.items():
            begin = time.perf_counter()
            with parallel_config(**configured): write_factor(folder / who, find_sources(folder / "files"), network)
            found[who] = {"seconds": time.perf_counter() - begin, "values": open_array(folder / who).values.copy()}
    first = found["two local processes"]["values"]
    same = {who: bool(np.array_equal(first, one["values"], equal_nan=True)) for who, one in found.items()}
    return [{"who": who, "series": count, "seconds": one["seconds"], "same values": same[who]} for who, one in found.items()]
