"""Draw embedded series with chart libraries that others wrote, each picture with the truth that the library itself tells.

    npm ci --ignore-scripts                 # in this folder, once
    python benchmarks/renderers/render.py --out FOLDER [--libraries echarts plotly ...] [--count 40] [--first 0]
    python benchmarks/renderers/render.py --out FOLDER --negatives 300
    python benchmarks/renderers/render.py --out FOLDER --check # whether pixels lie where the truth says

Each picture is FOLDER/LIBRARY/SEED.png or .jpg, its truth the JSON beside it; README.txt in FOLDER explains the fields.
The libraries of `HELD_OUT` are for the last table: nobody looks at their pictures while a reader is built.
Needs Chromium and its driver.
"""

import argparse
import base64
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from matplotlib_charts import draw_mplfinance
from negatives import draw_negative
from PIL import Image
from specs import make_spec

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
HELD_OUT = ("klinecharts", "apexcharts")


def _installed(package, path):
    "A script that a Python package carries."
    import importlib.util

    return Path(importlib.util.find_spec(package).origin).parent / path


def browser_libraries() -> dict[str, list[Path]]:
    "Return the scripts and style sheets that each library's page loads."
    named = {
        "lightweight_charts": ["lightweight-charts/dist/lightweight-charts.standalone.production.js"],
        "echarts": ["echarts/dist/echarts.min.js"],
        "chartjs": [
            "luxon/build/global/luxon.min.js",
            "chart.js/dist/chart.umd.min.js",
            "chartjs-adapter-luxon/dist/chartjs-adapter-luxon.umd.js",
            "chartjs-chart-financial/dist/chartjs-chart-financial.js",
        ],
        "uplot": ["uplot/dist/uPlot.iife.min.js", "uplot/dist/uPlot.min.css"],
        "vega": ["vega/build/vega.min.js"],
        "klinecharts": ["klinecharts/dist/umd/klinecharts.min.js"],
        "apexcharts": ["apexcharts/dist/apexcharts.min.js"],
    }
    files = {name: [PACKAGES / path for path in paths] for name, paths in named.items()}
    files["plotly"] = [_installed("plotly", "package_data/plotly.min.js")]
    files["bokeh"] = [_installed("bokeh", f"server/static/js/bokeh{part}.min.js") for part in ("", "-api")]
    return files


LIBRARIES = (*browser_libraries(), "mplfinance")


def _page(library, folder):
    "Write the page of one library, and return its address."
    fonts = [PACKAGES / "@fontsource" / name / "400.css" for name in ("inter", "roboto", "open-sans", "ibm-plex-mono")]
    files = [*fonts, *browser_libraries()[library], HERE / "pages/common.js", HERE / f"pages/{library}.js"]
    tags = [
        f'<link rel="stylesheet" href="{f.as_uri()}">' if f.suffix == ".css" else f'<script src="{f.as_uri()}"></script>'
        for f in files
    ]
    page = Path(folder) / f"{library}.html"
    page.write_text('<!doctype html><meta charset="utf-8"><body></body>' + "\n".join(tags), encoding="utf-8")
    return page.as_uri()


class Browser:
    "A headless Chromium that draws specs."

    def __init__(self):
        from selenium import webdriver

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (
            "headless",
            "no-sandbox",
            "disable-gpu",
            "hide-scrollbars",
            "allow-file-access-from-files",
            "no-first-run",
            "disable-background-networking",
            "force-color-profile=srgb",
            f"user-data-dir={self.folder.name}/profile",
        ):
            options.add_argument(f"--{flag}")
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        self.driver.set_script_timeout(60)

    def draw(self, spec: dict) -> tuple[Image.Image, dict]:
        "Return the picture of a spec, and what the library tells about it in CSS pixels."
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": spec["width"], "height": spec["height"], "deviceScaleFactor": spec["dpr"], "mobile": False},
        )
        self.driver.get(_page(spec["library"], self.folder.name))
        answer = self.driver.execute_async_script(
            "const done = arguments[1]; render(arguments[0]).then(done, e => done({error: String(e && e.stack || e)}))", spec
        )
        if "error" in answer:
            raise RuntimeError(f"{spec['library']} {spec['seed']}: {answer['error']}")
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB"), answer

    def close(self):
        self.driver.quit()
        self.folder.cleanup()


def _scaled(told, x, y):
    "Convert what a library told to pixels of the picture."

    def area(r):
        return r and {"left": r["left"] * x, "right": r["right"] * x, "top": r["top"] * y, "bottom": r["bottom"] * y}

    return {
        "plot": area(told["plot"]),
        "volume_pane": area(told["volume"]),
        "side": told["side"],
        "rows": [[price, row * y] for price, row in told["rows"]],
        "columns": [column * x for column in told["columns"]],
        "texts": [[text, left * x, middle * y, width * x] for text, left, middle, width in told["texts"]],
    }


def finish(image: Image.Image, told: dict, spec: dict) -> tuple[bytes, str, dict]:
    "Return the file of a picture, its ending, and its truth: after rescaling and JPEG where the spec has them."
    x, y = image.width / spec["width"], image.height / spec["height"]
    if spec["rescale"]:
        factor = np.clip(spec["rescale"], 400 / image.width, 3840 / image.width)
        size = max(round(image.width * factor), 1), max(round(image.height * factor), 1)
        x, y = x * size[0] / image.width, y * size[1] / image.height
        image = image.resize(size, Image.Resampling.BILINEAR if spec["seed"] % 2 else Image.Resampling.LANCZOS)
    file, ending = io.BytesIO(), "jpg" if spec["jpeg"] else "png"
    image.save(file, "JPEG", quality=spec["jpeg"]) if spec["jpeg"] else image.save(file, "PNG", optimize=False)
    names = (
        "library",
        "seed",
        "symbol",
        "venue",
        "timeframe",
        "kind",
        "log",
        "low",
        "high",
        "dpr",
        "jpeg",
        "rescale",
        "dark",
        "bg",
        "up",
        "down",
        "volume",
        "title",
        "legend",
        "crosshair",
        "lastPrice",
        "watermark",
        "format",
        "gaps",
        "percent",
        "grid",
        "font",
        "fontSize",
        "frame",
        "overlayTags",
        "bands",
    )
    truth = {
        "file": f"{spec['seed']:05d}.{ending}",
        "width": image.width,
        "height": image.height,
        **{k: spec[k] for k in names},
        "around": spec["around"] is not None,
        "overlays": [o["name"] for o in spec["overlays"]],
        "n": len(spec["bars"]),
        "bars": spec["bars"],
        **_scaled(told, x, y),
    }
    return file.getvalue(), ending, truth


README = """Pictures of charts, drawn by benchmarks/renderers/render.py. Each has a JSON beside it:
  file, width, height      the picture, in pixels
  library, seed            who drew it; the same seed gives the same conditions
  symbol, venue, timeframe of the bars; title: the text above the chart, "" if none
  kind                     candle, hollow (rising bars hollow), ohlc, line, area (of closes)
  n, bars                  [milliseconds UTC, open, high, low, close, volume] of each bar, as drawn (often scaled)
  low, high                lowest low and highest high of the bars
  log                      whether the price axis is logarithmic
  plot                     left, right, top, bottom of the price pane, in pixels from the upper left corner of the picture
  rows                     [price, row]: where the library draws given prices; rows between pixels, 0 is the upper edge
  columns                  middle of each bar, in pixels from the left edge
  volume_pane              rectangle of the volume pane, or null (volume "overlay" may lie in the price pane)
  side                     left, right or both: where the price labels are
  texts                    [text, left, middle row, width] of each text that was drawn (not for mplfinance and klinecharts)
  dpr, jpeg, rescale, dark, bg, up, down, overlays, legend, crosshair, lastPrice, watermark, format, around, ...   conditions
percent: prices are percent of change. around: the chart lies in a page with toolbars, watchlist or text.
Folder `none`: pictures without a price chart; their JSON has file, width, height, kind.
Held out (never look at these while building): {held}.
"""


def draw_all(out, libraries, seeds):
    "Draw the seeds that are not there yet."
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.txt").write_text(README.format(held=", ".join(HELD_OUT)), encoding="utf-8")
    browser = Browser() if set(libraries) - {"mplfinance"} else None
    for library in libraries:
        folder, failed = out / library, 0
        folder.mkdir(exist_ok=True)
        for seed in seeds:
            if (folder / f"{seed:05d}.json").exists():
                continue
            spec = make_spec(library, seed)
            try:
                image, told = draw_mplfinance(spec) if library == "mplfinance" else browser.draw(spec)
            except Exception as error:  # one seed that a library refuses is told, and left out
                failed += 1
                print(str(error)[:600], flush=True)
                continue
            content, ending, truth = finish(image, told, spec)
            (folder / f"{seed:05d}.{ending}").write_bytes(content)
            (folder / f"{seed:05d}.json").write_text(json.dumps(truth), encoding="utf-8")
        print(library, "drawn, refused:", failed, flush=True)
    if browser:
        browser.close()


def check(libraries, seeds):
    "Print how far the pixels of bars lie from where the truth says; bars are drawn in one color on a bare chart."
    browser = Browser()
    for library in libraries:
        errors = []
        for seed in seeds:
            spec = {
                **make_spec(library, seed),
                "overlays": [],
                "lastPrice": False,
                "crosshair": None,
                "watermark": "",
                "legend": False,
                "title": "",
                "kind": "candle",
                "up": "#ff00ff",
                "down": "#ff00ff",
                "line": "#ff00ff",
                "bg": "#ffffff",
                "plotBg": "#ffffff",
                "fg": "#333333",
                "grid": None,
                "volume": "none",
                "around": None,
                "jpeg": None,
                "rescale": None,
            }
            spec |= {
                "width": spec["box"]["width"],
                "height": spec["box"]["height"],
                "box": {**spec["box"], "left": 0, "top": 0},
            }
            image, told = draw_mplfinance(spec) if library == "mplfinance" else browser.draw(spec)
            _, _, truth = finish(image, told, spec)
            errors.append(_distance(np.asarray(image).astype(int), truth, spec))
        print(library, "rows and columns off by (pixels / device scale):", np.round(np.array(errors), 2).tolist(), flush=True)
    browser.close()


def _distance(image, truth, spec):
    "Rows of the highest high and the lowest low, and columns of the first and last bar, against the truth."
    magenta = (image[..., 0] > 180) & (image[..., 1] < 110) & (image[..., 2] > 180)
    ys, xs = np.flatnonzero(magenta.any(1)), np.flatnonzero(magenta.any(0))
    prices, rows = np.array(truth["rows"]).T
    scaled = np.log(prices) if spec["log"] else prices
    want = np.log([spec["high"], spec["low"]]) if spec["log"] else np.array([spec["high"], spec["low"]])
    slope, start = np.polyfit(scaled, rows, 1)
    high, low = start + slope * want
    first, last = truth["columns"][0], truth["columns"][-1]
    return [
        (ys[0] - high) / spec["dpr"],
        (ys[-1] + 1 - low) / spec["dpr"],
        (xs[0] + xs[-1] + 1 - first - last) / 2 / spec["dpr"],
    ]


def draw_negatives(out, count):
    "Draw pictures without a price chart."
    folder = out / "none"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        kind, image = draw_negative(seed)
        image.save(folder / f"{seed:05d}.png")
        told = {
            "file": f"{seed:05d}.png",
            "width": image.width,
            "height": image.height,
            "kind": kind,
            "library": "none",
            "seed": seed,
        }
        (folder / f"{seed:05d}.json").write_text(json.dumps(told), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--negatives", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    chosen, seeds = parser.parse_args(), None
    seeds = range(chosen.first, chosen.first + chosen.count)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if chosen.negatives:
        draw_negatives(chosen.out, chosen.negatives)
    elif chosen.check:
        check(chosen.libraries, seeds)
    else:
        draw_all(chosen.out, chosen.libraries, seeds)


if __name__ == "__main__":
    main()
