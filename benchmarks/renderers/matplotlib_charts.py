"""Charts of mplfinance in its own styles, with the truth that Matplotlib's transforms tell."""

import io
import math

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import mplfinance as mpf
import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter
from PIL import Image

KINDS = {"candle": "candle", "hollow": "hollow_and_filled", "ohlc": "ohlc", "line": "line", "area": "line"}


def _write(price, form):
    "Write a price as the axis shows it."
    style, decimals = form["style"], form["decimals"]
    if style == "k":
        return f"{price / 1e3:,.{decimals}f}k"
    if style == "M":
        return f"{price / 1e6:,.{decimals}f}M"
    if style == "exponent":
        return f"{price:.{decimals}e}"
    if style == "percent":
        return f"{price:.{decimals}f}%".replace("-", "\N{MINUS SIGN}")
    if style == "fraction":
        return f"{math.floor(round(price * 32) / 32)}'{round(price * 32) % 32:02d}"
    grouped = f"{price:,.{decimals}f}"
    if style == "euro":
        return grouped.translate(str.maketrans(",.", ".,"))
    if style == "space":
        return grouped.translate(str.maketrans(",.", " ,"))
    if style == "plain":
        return f"{price:.{decimals}f}"
    return (form["sign"] if style == "currency" else "") + grouped


def draw_mplfinance(spec: dict) -> tuple[Image.Image, dict]:
    "Return the picture of a spec, and its geometry in CSS pixels."
    frame = pd.DataFrame(spec["bars"], columns=["time", "Open", "High", "Low", "Close", "Volume"])
    frame.index = pd.to_datetime(frame.pop("time"), unit="ms")
    rng = np.random.default_rng(spec["seed"])
    checked = spec["up"] == spec["down"]  # the check of the truth draws all in one color
    style = mpf.available_styles()[int(rng.integers(len(mpf.available_styles())))]
    if checked or spec["seed"] % 3 == 0:
        colors = mpf.make_marketcolors(up=spec["up"], down=spec["down"], edge="inherit", wick="inherit", volume="inherit")
        style = mpf.make_mpf_style(
            marketcolors=colors,
            facecolor=spec["plotBg"],
            figcolor=spec["bg"],
            gridcolor=spec["grid"] or spec["bg"],
            edgecolor=spec["fg"],
            rc={"axes.labelcolor": spec["fg"], "xtick.color": spec["fg"], "ytick.color": spec["fg"], "text.color": spec["fg"]},
            y_on_right=spec["side"] != "left",
        )
    dpi, box = 96 * spec["dpr"], spec["box"]
    plt.rcParams.update({"font.size": spec["fontSize"] * 0.75})
    added = [
        mpf.make_addplot(pd.Series(o["values"], frame.index, dtype=float), color=o["color"], width=o["width"])
        for o in spec["overlays"]
    ]
    marked = (
        {"hlines": {"hlines": [float(frame.Close.iloc[-1])], "colors": [spec["line"]], "linestyle": "--", "linewidths": 1}}
        if spec["lastPrice"]
        else {}
    )
    fig, axes = mpf.plot(
        frame,
        type=KINDS[spec["kind"]],
        style=style,
        volume=spec["volume"] == "pane",
        addplot=added,
        returnfig=True,
        figsize=(box["width"] / 96, box["height"] / 96),
        yscale="log" if spec["log"] else "linear",
        show_nontrading=False,
        title=spec["title"] or "",
        tight_layout=spec["frame"],
        ylabel="Price" if spec["overlayTags"] else "",
        warn_too_much_data=10**6,
        ylim=(spec["axisLow"], spec["axisHigh"]),
        linecolor=spec["line"],
        **marked,
    )
    axis = axes[0]
    if spec["kind"] == "area":
        axis.fill_between(np.arange(len(frame)), frame.Close, spec["axisLow"], color=spec["line"], alpha=0.3)
    if spec["format"]:
        axis.yaxis.set_major_formatter(FuncFormatter(lambda p, _: _write(p, spec["format"])))
    if spec["watermark"]:
        axis.text(0.5, 0.5, spec["watermark"], transform=axis.transAxes, fontsize=30, alpha=0.15, ha="center", va="center")
    fig.set_dpi(dpi)
    fig.canvas.draw()
    shown = fig.get_tightbbox().padded(0.1)  # as the library saves its figures, so that no label is cut off
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=dpi, bbox_inches=shown, pad_inches=0)
    told = _truth(fig, axis, axes[2] if spec["volume"] == "pane" else None, frame, spec, shown)
    plt.close(fig)
    image = Image.open(file).convert("RGB")
    spec |= {"width": image.width / spec["dpr"], "height": image.height / spec["dpr"], "around": None}
    return image, told


def _truth(fig, axis, below, frame, spec, shown):
    "Ask Matplotlib where prices and bars lie."
    scale, dpi = spec["dpr"], fig.dpi
    height, dx, dy = shown.y1 * dpi, -shown.x0 * dpi / scale, 0

    def point(x, y):
        return axis.transData.transform((x, y))

    def area(of):
        box = of.get_window_extent()
        return {
            "left": dx + box.x0 / scale,
            "right": dx + box.x1 / scale,
            "top": dy + (height - box.y1) / scale,
            "bottom": dy + (height - box.y0) / scale,
        }

    prices = [spec["low"] + (spec["high"] - spec["low"]) * share for share in (0.02, 0.15, 0.3, 0.5, 0.7, 0.85, 0.98)]
    return {
        "plot": area(axis),
        "volume": below and area(below),
        "side": "right" if axis.yaxis.get_ticks_position() == "right" else "left",
        "texts": [],
        "rows": [[price, dy + (height - point(0, price)[1]) / scale] for price in prices],
        "columns": [dx + point(i, spec["low"])[0] / scale for i in range(len(frame))],
    }
