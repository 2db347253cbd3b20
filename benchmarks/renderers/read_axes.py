"""How well `read_axis` reads the price axes of the pictures that render.py has drawn.

    python benchmarks/renderers/read_axes.py --pictures FOLDER [--libraries echarts ...] [--out axes.json]

Right: every price of the truth lies within 0.5% of the height of the plot of where the axis puts it. Prints a row per library.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from render import HELD_OUT, LIBRARIES

from ohlcv_ta.charts.axis import SURE, read_axis
from ohlcv_ta.charts.image_io import read_image
from ohlcv_ta.charts.text_recognition import TextRecognizer


def measure(truth: dict, folder: Path, recognizer: TextRecognizer) -> dict:
    "Return what was read from one picture, and how far it is off."
    image = read_image((folder / truth["file"]).read_bytes())
    start, begin = time.process_time(), time.perf_counter()
    axis = read_axis(image, recognizer)
    seconds = {"cpu": time.process_time() - start, "wall": time.perf_counter() - begin}
    told = {
        "library": truth["library"],
        "seed": truth["seed"],
        "width": truth["width"],
        "height": truth["height"],
        **seconds,
        "found": axis is not None,
        "error": np.inf,
        "confidence": 0.0,
    }
    if axis is None:
        return told
    if "rows" in truth:
        prices, rows = np.array(truth["rows"]).T
        off = np.abs(axis.row(prices) - rows).max() / (truth["plot"]["bottom"] - truth["plot"]["top"])
        told |= {"error": float(np.nan_to_num(off, nan=np.inf)) * 100, "log_right": axis.log == truth["log"]}
    labels = axis.labels
    return told | {
        "confidence": axis.confidence,
        "evidence": axis.evidence,
        "residual": axis.residual,
        "labels": labels.assign(row=labels.row.round(1)).astype(str).to_numpy().tolist(),
    }


def table(rows: pd.DataFrame, confident: float = SURE) -> pd.DataFrame:
    "Return shares of pictures found, right, and confident, the median error in percent of the plot's height, and times."
    right, sure = rows.error < 0.5, rows.confidence >= confident
    grouped = rows.assign(right=right, sure=sure, wrong_sure=sure & ~right).groupby("library", sort=False)
    made = grouped.agg(
        pictures=("found", "size"),
        found=("found", "mean"),
        right=("right", "mean"),
        median_error=("error", "median"),
        confident=("sure", "mean"),
        confident_wrong=("wrong_sure", "sum"),
        cpu_median=("cpu", "median"),
        cpu_max=("cpu", "max"),
    )
    return made.round(3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--libraries", nargs="*", default=[name for name in LIBRARIES if name not in HELD_OUT])
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 10**6), metavar=("FIRST", "END"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    chosen, rows = parser.parse_args(), []
    recognizer = TextRecognizer(chosen.threads)
    for library in chosen.libraries:
        for path in sorted((chosen.pictures / library).glob("*.json")):
            truth = json.loads(path.read_text(encoding="utf-8"))
            if chosen.seeds[0] <= truth["seed"] < chosen.seeds[1]:
                rows.append(measure(truth, path.parent, recognizer))
        if chosen.out:
            chosen.out.write_text(json.dumps(rows), encoding="utf-8")
        print(table(pd.DataFrame(rows)).tail(1).to_string(header=library == chosen.libraries[0]), flush=True)


if __name__ == "__main__":
    main()
