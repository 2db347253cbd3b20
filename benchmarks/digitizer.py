"""Accuracy of the digitizer on pictures by other programs: a table per library and condition.

python benchmarks/digitizer.py FOLDER [LIBRARY ...] [--count N] [--json FILE]

FOLDER holds a folder for each library with pictures and their JSON files; a folder named `none` holds pictures without a chart."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from ohlcv_ta.charts.image_io import read_image
from ohlcv_ta.models.digitizer.dataset import rendered_charts
from ohlcv_ta.models.digitizer.experiment import evaluate_reader, rejected_share, summarize

CONDITIONS = ("dark", "around", "jpeg", "rescale", "log", "gaps", "overlays", "crosshair", "watermark", "volume")


def scores_of(folder, count):
    "Scores of the pictures of one library, with what distinguishes them."
    charts = list(rendered_charts(folder, 0, count))
    scores = evaluate_reader(charts)
    for name in CONDITIONS:
        values = [chart.conditions.get(name) for chart in charts]
        scores[name] = [value if name == "volume" else bool(value) for value in values]
    return scores


def without_chart(folder):
    "What pictures without a chart show, and their pixels."
    for path in sorted(Path(folder).glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        yield facts["kind"], read_image((path.parent / facts["file"]).read_bytes())


def report(scores):
    "Print tables of bars, of lines, and by condition."
    line = scores.kind.isin(["line", "area"])
    usual = (scores.bars <= 400) & (scores.pitch >= 2.2)
    pd.set_option("display.width", 200, "display.max_columns", 40)
    for title, chosen in (("bars", ~line), ("bars, up to 400, at least 2.2 pixels apart", ~line & usual), ("lines and areas", line)):
        if chosen.any(): print(f"\n{title}\n{summarize(scores[chosen]).round(2)}")
    for name in CONDITIONS:
        if scores[~line & usual][name].nunique() > 1: print(f"\n{summarize(scores[~line & usual], name).round(2)}")
    clear = scores[~line & usual].dropna(subset=["confidence"])
    groups = pd.cut(clear.confidence, [0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1])
    print(f"\nby confidence\n{clear.groupby(groups, observed=True).count_right.agg(['size', 'mean']).round(2)}")


def main():
    "Read the arguments, evaluate, print."
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("libraries", nargs="*")
    parser.add_argument("--count", type=int, help="pictures of each library")
    parser.add_argument("--json", type=Path, help="file for the scores of all pictures")
    arguments = parser.parse_args()
    names = arguments.libraries or sorted(path.name for path in arguments.folder.iterdir() if path.is_dir())
    parts = [scores_of(arguments.folder / name, arguments.count) for name in names if name != "none"]
    if parts:
        scores = pd.concat(parts, ignore_index=True)
        report(scores)
        if arguments.json: arguments.json.write_text(scores.replace(np.nan, None).to_json(orient="records", indent=1))
    if "none" in names: print(f"\npictures without a chart\n{rejected_share(without_chart(arguments.folder / 'none'))}")


if __name__ == "__main__":
    main()
