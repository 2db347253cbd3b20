"""Speed of the most used functions, compared with other libraries, on this machine: `make bench` writes results.json.

Contestants take turns, so that a machine that slows down slows all of them; the median of the rounds counts.
`python benchmarks/run.py drawing pictures` measures some parts again and keeps the rest.
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx
import indicator_parts
import numpy as np
import psutil
import torch
import trend_parts
from market_profile import MarketProfile

from ohlcv_ta.charts import STYLES, Style, draw_chart, draw_charts, draw_mplfinance
from ohlcv_ta.charts.image_io import to_png
from ohlcv_ta.data import load_series, session_dates, session_hours
from ohlcv_ta.data.io import read_json, write_json
from ohlcv_ta.features import choose_tick, find_levels, find_rays, market_profile, published_profile, session_profiles
from ohlcv_ta.models.artifacts import export_onnx
from ohlcv_ta.models.masks.inference import MASK_KINDS
from ohlcv_ta.models.masks.network import PUBLISHED_UNET, MaskServingModel, UNet
from ohlcv_ta.models.masks.reference_detectors import trendln_rays
from ohlcv_ta.models.training_records import describe_machine

HERE = Path(__file__).parent
ROUNDS = 3


def timed(call):
    "Seconds that a call takes."
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def in_turn(contestants, rounds=ROUNDS):
    "Median seconds of each contestant, after one call that is not counted."
    for call in contestants.values():
        call()
    seconds = [{who: timed(call) for who, call in contestants.items()} for _ in range(rounds)]
    return {who: median(one[who] for one in seconds) for who in contestants}


def peer(part, tick):
    "POC and value area by py-market-profile."
    profile = MarketProfile(part, tick_size=tick)[part.index[0]:part.index[-1]]
    return profile.poc_price, profile.value_area


def profiles(symbol, timeframe, days):
    "Microseconds a session of each way to make profiles, on the last sessions of a market."
    bars, when = load_series(symbol, timeframe), session_hours(symbol)
    dates = session_dates(bars, **when)
    last = np.sort(dates.dropna().unique())[-days:]
    bars = bars[dates.isin(last)]
    parts = [part for _, part in bars.groupby(session_dates(bars, **when))]
    tick = choose_tick(parts[0].Low.min(), parts[0].High.max())
    bin_size = 1.0 if symbol == "BTC-USD" else tick
    contestants = {
        "ours, all sessions at once": lambda: session_profiles(bars, **when, tick=tick),
        "ours, one call a session": lambda: [market_profile(p, tick=tick) for p in parts],
        "described, plain Python": lambda: [published_profile(p.Low, p.High, p.Volume, bin_size) for p in parts],
        "py-market-profile": lambda: [peer(p, tick) for p in parts],
    }
    each = {who: seconds / len(parts) * 1e6 for who, seconds in in_turn(contestants).items()}
    ours = each["ours, all sessions at once"]
    return [{"market": f"{symbol}, {timeframe}", "who": who, "microseconds a session": us,
             "ours is faster by": None if who.startswith("ours") else us / ours} for who, us in each.items()]


def levels(calls=40, bars=300):
    "Milliseconds of one call for the lines of a chart: ours in a frame, and trendln, which finds lines of both kinds."
    series = load_series("BTC-USD", "1h")
    windows = [series.iloc[24 * k:24 * k + bars] for k in range(calls)]
    contestants = {
        "ours, levels of one chart": (calls, lambda: [find_levels(window) for window in windows]),
        "ours, rays of one chart": (calls, lambda: [find_rays(window) for window in windows]),
        "trendln, trend lines of one chart": (2, lambda: [trendln_rays(window) for window in windows[:2]]),
    }
    seconds = in_turn({who: call for who, (_, call) in contestants.items()})
    each = {who: 1e3 * seconds[who] / count for who, (count, _) in contestants.items()}
    ours = each["ours, rays of one chart"]
    return [{"who": who, "ms a chart": ms, "ours is faster by": None if who.startswith("ours") else ms / ours}
            for who, ms in each.items()]


def drawing(charts=400, bars=300):
    "Charts a second on one core, in random styles at 256x512, compared with mplfinance at 1150x575."
    series = load_series("BTC-USD", "1h")
    windows = [series.iloc[24 * k:24 * k + bars] for k in range(charts)]
    batch, rng = np.stack([window.to_numpy() for window in windows]), np.random.default_rng(0)
    known = [Style.sample(rng) for _ in windows]
    contestants = {
        "ours, styles thrown and drawn": (charts, lambda: draw_charts(batch, [Style.sample(rng) for _ in windows])),
        "ours, styles known": (charts, lambda: draw_charts(batch, known)),
        "ours, 1150x575": (charts // 4, lambda: draw_charts(batch[::4], known[::4], 1150, 575)),
        "mplfinance, 1150x575": (3, lambda: [draw_mplfinance(window) for window in windows[:3]]),
    }
    seconds = in_turn({who: call for who, (_, call) in contestants.items()})
    return [{"who": who, "charts a second": count / seconds[who]} for who, (count, _) in contestants.items()]


def screening(charts=1000, bars=300):
    "Charts a second of `ohlcv-ta screen` on two cores, the start of the command included, from files and from pictures."
    series, command = load_series("BTC-USD", "1h"), [Path(sys.executable).with_name("ohlcv-ta"), "screen"]
    windows = [series.iloc[16 * k:16 * k + bars] for k in range(charts)]
    ways = {"csv": lambda window, path: window.to_csv(path), "parquet": lambda window, path: window.to_parquet(path),
            "png": lambda window, path: path.write_bytes(to_png(draw_chart(window, STYLES["yahoo"], 1150, 575)[0]))}
    with TemporaryDirectory() as folder:
        runs = {}
        for kind, write in ways.items():
            (Path(folder) / kind).mkdir()
            for number, window in enumerate(windows):
                write(window, Path(folder) / kind / f"{number:04}.{kind}")
            asked = [*command, Path(folder) / kind, "--jobs", "2", "--output", Path(folder) / f"{kind}.parquet"]
            runs[kind] = lambda asked=asked: subprocess.run(asked, check=True, capture_output=True)
        seconds = in_turn(runs)
    return [{"charts": charts, "from": kind, "seconds": s, "charts a second": charts / s} for kind, s in seconds.items()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def service(*options, **environment):
    "The real service on a free port; yields its address, the seconds until it answered, and its process."
    port, begin = free_port(), time.perf_counter()
    command = [Path(sys.executable).with_name("ohlcv-ta"), "serve", "--port", str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(f"{address}/health").raise_for_status()
                break
            except httpx.TransportError:
                if server.poll() is not None:
                    raise SystemExit("the service did not start; run `make app` to see why") from None
                time.sleep(0.05)
        yield address, time.perf_counter() - begin, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(10)


def hammer(url, body, clients, requests):
    "Latencies in seconds of requests sent by some clients at once, and the seconds that all took."
    def one_client(_):
        with httpx.Client() as client:
            return [timed(lambda: client.post(url, json=body).raise_for_status()) for _ in range(requests // clients)]

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        latencies = [s for several in pool.map(one_client, range(clients)) for s in several]
    return np.array(latencies), time.perf_counter() - begin


def serving():
    "Requests a second and latency of single and batch predictions."
    with service() as (address, *_):
        return requests_to(address)


def requests_to(address):
    "The same of a service that runs."
    body = json.loads((HERE.parent / "examples" / "sample_prediction_request.json").read_text())
    loads = [("POST /predict", body, 1, 300), ("POST /predict", body, 8, 800),
             ("POST /batch-predict of 100", [body] * 100, 1, 100)]
    rows = []
    for what, sent, clients, requests in loads:
        path = what.split()[1]
        hammer(address + path, sent, clients, clients * 5)
        latencies, seconds = hammer(address + path, sent, clients, requests)
        middle, slow = np.quantile(latencies, [0.5, 0.99]) * 1e3
        rows.append({"request": what, "clients": clients, "requests a second": len(latencies) / seconds,
                     "median ms": middle, "99th percentile ms": slow})
    return rows


def described_networks(folder):
    "Two networks of the size that system A describes, nothing learned, as a service is given them."
    model = export_onnx(MaskServingModel(UNet(**PUBLISHED_UNET)), torch.zeros(1, 256, 512, 3, dtype=torch.uint8))
    for kind in MASK_KINDS:
        path = Path(folder, "masks", kind, "model.onnx")
        path.parent.mkdir(parents=True)
        path.write_bytes(model)


def chart_request():
    "System A's request with a chart of its size."
    chart, _ = draw_mplfinance(load_series("BTC-USD", "1h").iloc[-300:])
    return {"image_base64": base64.b64encode(to_png(chart)).decode()}


def asked(address, body, times):
    "Seconds of each of some requests, one after another."
    return hammer(f"{address}/predict", body, 1, times)[0]


def pictures(rounds=10):
    "Milliseconds for both masks of a 1150x575 chart over HTTP: our networks and those of the size described, in turn."
    body = chart_request()
    with tempfile.TemporaryDirectory() as folder, service("--no-ui") as (ours, *_):
        described_networks(folder)
        with service("--no-ui", OHLCV_TA_MODELS=folder) as (described, *_):
            times = {"ours": (ours, 10), "two networks of 31 million parameters": (described, 1)}
            seconds = {who: [] for who in times}
            for _ in range(rounds + 1): # the first is not counted
                for who, (address, count) in times.items():
                    seconds[who].append(asked(address, body, count))
    each = {who: np.concatenate(several[1:]) * 1e3 for who, several in seconds.items()}
    return [{"who": who, "median ms": np.median(ms), "99th percentile ms": np.quantile(ms, 0.99)} for who, ms in each.items()]


def memory(requests=1000):
    "MiB that the service holds at its start and after mixed requests, as its image sets it up, without and with the app."
    session = json.loads((HERE.parent / "examples" / "sample_prediction_request.json").read_text())
    bodies, rows = [chart_request(), session], []
    for what, options in {"the API alone": ["--no-ui"], "with the app": []}.items():
        with service(*options, MALLOC_ARENA_MAX="2", MALLOC_MMAP_THRESHOLD_="1048576") as (address, _, process):
            before = process.memory_info().rss
            for _ in range(requests // len(bodies)):
                for body in bodies:
                    asked(address, body, 1)
            held = {"MiB at the start": before / 2**20, f"after {requests:,} requests": process.memory_info().rss / 2**20}
            torch_there = any("/torch/" in mapped.path for mapped in process.memory_maps())
            rows.append({"service": what} | held | {"torch in memory": torch_there})
    return rows


def startup():
    "Seconds from nothing to a first useful answer."
    python, loading = sys.executable, "from ohlcv_ta.data import load_series; bars = load_series('BTC-USD', '1h')"
    profiling = f"{loading}; from ohlcv_ta.features import market_profile; market_profile(bars.tail(24))"
    commands = {
        "import ohlcv_ta.data and load a series": [python, "-c", loading],
        "and make a market profile": [python, "-c", profiling],
        "ohlcv-ta predict -i examples/bars.csv": [Path(python).with_name("ohlcv-ta"), "predict", "-i",
                                                  HERE.parent / "examples" / "bars.csv"],
        "ohlcv-ta --help": [Path(python).with_name("ohlcv-ta"), "--help"],
    }
    runs = {what: (lambda c=command: subprocess.run(c, check=True, capture_output=True)) for what, command in commands.items()}
    with service() as (_, ready, _):
        seconds = in_turn(runs) | {"service answers /health": ready}
    return [{"what": what, "seconds": s} for what, s in seconds.items()]


def pipeline():
    "Seconds of each stage while every model is trained again, as `make reproduce` does it."
    command = [Path(sys.executable).with_name("ohlcv-ta"), "reproduce"]
    settings = os.environ | {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"} # or lines would come in blocks
    run = subprocess.Popen(command, cwd=HERE.parent, text=True, stdout=subprocess.PIPE, env=settings)
    begin, stages = time.perf_counter(), []
    for line in run.stdout:
        if stage := re.match(r"(\S+): (\d+\.\d) s$", line):
            stages.append({"stage": stage[1], "seconds": float(stage[2])})
            print(f"  {line}", end="")
    if run.wait():
        raise SystemExit("the pipeline failed, or a metric moved; run `make reproduce` to see which")
    return [{"stage": "everything", "seconds": time.perf_counter() - begin}, *stages]


PARTS = {
    "profile": lambda: profiles("BTC-USD", "30m", 700) + profiles("SPY", "1m", 250),
    "levels": levels,
    "drawing": drawing,
    "screening": screening,
    "service": serving,
    "pictures": pictures,
    "memory": memory,
    "startup": startup,
    "bars": lambda: trend_parts.bars(in_turn),
    "training": lambda: trend_parts.training(in_turn),
    "factor": trend_parts.factor,
    "indicators": lambda: indicator_parts.indicators(in_turn),
    "backtests": lambda: indicator_parts.backtests(in_turn),
    "live": indicator_parts.live,
    "pipeline": pipeline,
}


def main():
    warnings.simplefilter("ignore") # the peer's own deprecations
    path, wanted = HERE / "results.json", sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - PARTS.keys():
        raise SystemExit(f"there is no part {', '.join(sorted(unknown))}; use some of {', '.join(PARTS)}")
    results = read_json(path) if path.exists() else {}
    machine = describe_machine()
    if results.get("machine") != machine: # numbers of two machines do not go into one table
        results = {"machine": machine}
    for part in wanted:
        print(part, flush=True)
        results[part] = PARTS[part]()
        write_json(path, results, digits=4)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
