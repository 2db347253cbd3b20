"""How exactly pictures by other programs are read: price axes, bars, levels and rays, with time and memory.

    python benchmarks/screenshots.py FOLDER [--libraries echarts ...] [--count N] [--networks models/masks] [--cost]

FOLDER holds a folder for each library with pictures and their JSON files, as renderers/render.py draws them, and a folder
`none` of pictures without a chart. Held-out libraries are read only if they are named. Results are added to
benchmarks/screenshots.json; a library that is read again takes the place of its earlier results. With --annotated, charts with
lines that people drew are drawn by mplfinance and read too."""

import argparse
import json
import platform
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from ohlcv_ta.charts.candlestick import draw_mplfinance
from ohlcv_ta.charts.image_io import read_image, to_png
from ohlcv_ta.charts.rasterizer import draw_chart
from ohlcv_ta.charts.style import STYLES
from ohlcv_ta.data.io import read_json, to_jsonable, write_json
from ohlcv_ta.data.raw_tables import PRICES
from ohlcv_ta.data.synthetic import random_walk
from ohlcv_ta.evaluation.level_metrics import duplicate_groups, mean_scores
from ohlcv_ta.models.digitizer.chart_data import read_chart
from ohlcv_ta.models.digitizer.chart_metrics import (
    lines_at,
    lines_of_masks,
    median_errors,
    rule_lines,
    score_chart,
    score_lines,
    score_rule,
    share_right,
)
from ohlcv_ta.models.digitizer.dataset import PricedChart, label_chart, read_rendered
from ohlcv_ta.models.masks.dataset import chart_frame, load_annotated_charts
from ohlcv_ta.models.masks.inference import MaskPredictor

HELD_OUT = ("apexcharts", "klinecharts")
CONDITIONS = ("dark", "around", "jpeg", "rescale", "log", "gaps", "overlays", "crosshair", "watermark", "percent")
SIZES = ((640, 360), (1200, 640), (1920, 1080), (3840, 2160)) # width and height in pixels
OUT = Path(__file__).with_name("screenshots.json")


def priced_chart(path):
    "A picture with its true bars, and its conditions."
    facts = json.loads(path.read_text(encoding="utf-8"))
    chart, bars = read_rendered(path), np.array(facts["bars"], float)
    times = pd.DatetimeIndex(pd.to_datetime(bars[:, 0], unit="ms", utc=True), name="time")
    frame = pd.DataFrame(bars[:, 1:5], times, PRICES)
    series = f"{facts.get('symbol')} {facts.get('venue')} {facts.get('timeframe')}"
    return PricedChart(chart, frame, series, log=bool(facts.get("log"))), {name: bool(facts.get(name)) for name in CONDITIONS}


def read_library(folder, count, predictor):
    "Scores of the pictures of one library."
    rows = []
    for path in sorted(folder.glob("*.json"))[:count]:
        priced, conditions = priced_chart(path)
        height, width = priced.chart.image.shape[:2]
        networks = {}
        if predictor:
            found = lines_of_masks(predictor.predict(priced.chart.image))
            networks = {f"networks_{name}": value for name, value in score_lines(found, rule_lines(priced), priced).items()}
        rows.append(score_chart(priced) | networks | conditions | {"megapixels": width * height / 1e6, "file": path.name})
    return pd.DataFrame(rows)


def intervals(table, groups):
    "Means with intervals over groups, as numbers."
    return mean_scores(table, groups)[["value", "low", "high"]].to_dict("index")


def summary(scores):
    "What the book tells of one library."
    shares = share_right(scores)
    networks = scores.filter(regex="^networks_(level|ray)_f1$")
    seconds = scores.seconds.quantile([0.5, 0.95])
    return {"pictures": len(scores), "shares": intervals(pd.concat([shares, networks], axis=1), scores.series),
            "answered": int(scores.axis_sure.sum()), "answered_wrong": int((scores.axis_sure & ~scores.axis_right).sum()),
            "errors": median_errors(scores).to_dict(), "seconds": {"median": seconds[0.5], "95%": seconds[0.95]},
            "megapixels": scores.megapixels.median()}


def by_condition(scores):
    "Shares of right pictures with and without each condition."
    rows = []
    for name in CONDITIONS:
        for present, part in scores.groupby(name):
            facts = {"condition": name, "present": bool(present), "pictures": len(part)}
            rows.append(facts | share_right(part).mean().to_dict())
    return rows


def pictures_without_chart(folder, count):
    "How often nothing is found in pictures without a chart, by what they show."
    rows = []
    for path in sorted(folder.glob("*.json"))[:count]:
        facts = json.loads(path.read_text(encoding="utf-8"))
        data = read_chart(read_image((path.parent / facts["file"]).read_bytes()))
        rows.append({"shows": facts["kind"], "none": data is None, "priced": data is not None and data.axis_is_sure})
    table = pd.DataFrame(rows).groupby("shows").agg(pictures=("none", "size"), none=("none", "mean"), priced=("priced", "sum"))
    return table.reset_index().to_dict("records")


def annotated_charts(folder, count):
    "Annotated charts, drawn in the styles of mplfinance in turn, with the lines that people drew."
    import mplfinance

    for chart, style in zip(load_annotated_charts(folder)[:count], cycle(mplfinance.available_styles())):
        frame = chart_frame(chart)
        image, geometry = draw_mplfinance(frame, style)
        labelled = label_chart(image, geometry, chart.bars, "candles", "mplfinance", f"{chart.series} {style}")
        priced = PricedChart(labelled, frame[PRICES], chart.series)
        yield frame, priced, lines_at(chart.levels, chart.rays, priced)


def compare_with_annotators(folder, count, predictor):
    "F1 against the lines that people drew: rule on true bars, rule on bars of the picture, networks."
    scores, frames = [], []
    for frame, priced, true in annotated_charts(folder, count):
        found = score_rule(priced, true)
        if predictor: found["networks"] = score_lines(lines_of_masks(predictor.predict(priced.chart.image)), true, priced)
        scores.append(found)
        frames.append(frame)
    groups = duplicate_groups(frames)
    readers = {name: intervals(pd.DataFrame([one[name] for one in scores]), groups) for name in scores[0]}
    return {"charts": len(scores), "groups": len(set(groups)), "readers": readers}


def reading_cost(width, height):
    "Median seconds and memory of reading a picture of 200 candles, in a process of its own."
    bars = random_walk(200, seed=1)
    picture = to_png(draw_chart(bars, STYLES["light"], width, height)[0])
    before = psutil.Process().memory_info().rss / 2**20
    times = []
    for _ in range(4):
        start = time.perf_counter()
        read_chart(picture)
        times.append(time.perf_counter() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {"width": width, "height": height, "seconds": float(np.median(times[1:])), "memory_mib": grown}


def reading_costs():
    "Cost of reading by the size of a picture."
    rows = []
    for size in SIZES:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows.append(pool.submit(reading_cost, *size).result())
    return rows


def add(results):
    "Add results to the file, and print them."
    stored = read_json(OUT) if OUT.exists() else {}
    libraries = {one["library"]: one for one in [*stored.get("libraries", []), *results.pop("libraries", [])]}
    write_json(OUT, to_jsonable(stored | results | {"libraries": sorted(libraries.values(), key=lambda one: one["library"])}))


def main():
    "Read the arguments and the pictures, and write the results."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--libraries", nargs="*", help="default: all but the held-out ones; `none`: without a chart")
    parser.add_argument("--count", type=int, help="pictures of each library")
    parser.add_argument("--annotated", type=Path, help="folder of annotated charts of system A")
    parser.add_argument("--networks", type=Path, help="folder of the two mask networks")
    parser.add_argument("--cost", action="store_true", help="measure time and memory by the size of a picture, too")
    parser.add_argument("--scores", type=Path, help="CSV file for the scores of each picture")
    chosen = parser.parse_args()
    predictor = MaskPredictor(chosen.networks) if chosen.networks else None
    present = sorted(path.name for path in chosen.folder.iterdir() if path.is_dir())
    names = [name for name in present if name not in HELD_OUT] if chosen.libraries is None else chosen.libraries
    tables = {}
    for name in names:
        if name == "none": add({"none": pictures_without_chart(chosen.folder / name, chosen.count)})
        else:
            tables[name] = read_library(chosen.folder / name, chosen.count, predictor)
            result = {"library": name, "held_out": name in HELD_OUT} | summary(tables[name])
            add({"libraries": [result]})
            shares = share_right(tables[name]).mean()
            print(name, pd.Series(result["errors"]).round(2).to_dict(), shares.round(2).to_dict(), flush=True)
    if tables:
        scores = pd.concat(tables, ignore_index=True)
        if not any(name in HELD_OUT for name in tables): add({"conditions": by_condition(scores)})
        if chosen.scores: scores.to_csv(chosen.scores, index=False)
    if chosen.cost:
        about = {"processor": platform.processor() or platform.machine(), "cores": psutil.cpu_count(), "sizes": reading_costs()}
        add({"machine": about})
    if chosen.annotated: add({"annotated": compare_with_annotators(chosen.annotated, chosen.count, predictor)})


if __name__ == "__main__":
    sys.exit(main())
