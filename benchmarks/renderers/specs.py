"""Random conditions of a chart picture: bars, size, colors, formats and surroundings. Everything comes from a seed."""

import math
from functools import cache

import numpy as np
import pandas as pd

from ohlcv_ta.data import load_series

SERIES = [  # symbol, venue, timeframes; none is among the training series of the masks
    ("XRP-USD", "bitfinex", ["30m", "4h"]),
    ("EOS-USD", "bitfinex", ["30m", "1h"]),
    ("META", "nasdaq", ["1d"]),
    ("NVDA", "nasdaq", ["1d"]),
    ("NFLX", "nasdaq", ["1d"]),
    ("V2601", "dce", ["1m", "15m"]),
    ("600000.SH", "sse", ["1d"]),
    ("600000.SH", "sse", ["5m", "30m"]),
    ("BTC-USD", "coinbase", ["1h", "1d"]),
    ("JPM", "sp500", ["1d", "1w"]),
    ("XOM", "sp500", ["1d"]),
    ("KO", "sp500", ["1d"]),
    ("GE", "sp500", ["1d"]),
    ("WMT", "sp500", ["1d", "1w"]),
]
TOOLBAR = "  Chart   1m  5m  1h  D  W   Indicators   Alert   Replay   Log in"
FONTS = [
    "Arial, sans-serif",
    "Inter, sans-serif",
    "Roboto, sans-serif",
    "'Open Sans', sans-serif",
    "'IBM Plex Mono', monospace",
    "'DejaVu Sans', sans-serif",
    "'Liberation Serif', serif",
    "'DejaVu Sans Mono', monospace",
]
UP_DOWN = [
    ("#26a69a", "#ef5350"),
    ("#089981", "#f23645"),
    ("#3d9970", "#ff4136"),
    ("#eb5454", "#47b262"),
    ("#2962ff", "#e91e63"),
    ("#00b746", "#ef403c"),
    ("#ffffff", "#000000"),
    ("#f0b90b", "#9c27b0"),
    ("#4caf50", "#f44336"),
    ("#5b9bd5", "#ed7d31"),
]


@cache
def _series(symbol, venue, timeframe):
    return load_series(symbol, timeframe, venue).dropna()


def _pick(rng, options, weights=None):
    weights = None if weights is None else np.divide(weights, sum(weights))
    return options[int(rng.choice(len(options), p=weights))]


def _color(rng, low, high):
    return "#" + "".join(f"{v:02x}" for v in rng.integers(low, high, 3))


def _chance(rng, probability):
    return bool(rng.random() < probability)


def _theme(rng):
    "Background, text, grid and the colors of bars and lines."
    dark = _chance(rng, 0.5)
    if dark:
        bg = _pick(rng, ["#131722", "#000000", "#1e1e1e", "#0d1117", "#181a20", _color(rng, 0, 50)])
    else:
        bg = _pick(rng, ["#ffffff", "#ffffff", "#fafafa", "#fdf6e3", "#f0f3fa", _color(rng, 225, 256)])
    fg = _color(rng, 150, 235) if dark else _color(rng, 20, 110)
    grid = _color(rng, 35, 80) if dark else _color(rng, 200, 245)
    up, down = _pick(rng, UP_DOWN) if _chance(rng, 0.75) else (_color(rng, 60, 200), _color(rng, 60, 200))
    near = {"#ffffff": "#dddddd", "#000000": "#222222"}
    if dark and down == "#000000":
        down = "#787b86"
    if not dark and up == "#ffffff":
        up = near["#000000"]
    if _chance(rng, 0.3):
        up, down = down, up
    plot = bg if _chance(rng, 0.75) else (_color(rng, 20, 60) if dark else _color(rng, 225, 250))
    return {
        "dark": dark,
        "bg": bg,
        "plotBg": plot,
        "fg": fg,
        "grid": grid if _chance(rng, 0.7) else None,
        "up": up,
        "down": down,
        "line": _pick(rng, ["#2962ff", "#ff9800", "#e91e63", "#00bcd4", "#8bc34a", "#9c27b0"]),
    }


def _size(rng):
    "Width and height in CSS pixels, and the device scale."
    dpr = _pick(rng, [1, 1, 1, 1.25, 1.5, 2, 2, 3])
    width = float(np.clip(np.exp(rng.normal(math.log(1300), 0.55)), 400, 3840))
    css = max(int(width / dpr), 340)
    return css, int(max(css * rng.uniform(0.4, 0.8), 240)), dpr


def _format(rng, bars):
    "Number format of the axis; None: the library's own."
    low, high = float(bars.Low.min()), float(bars.High.max())
    decimals = max(0, math.ceil(-math.log10((high - low) / 8)) + int(rng.integers(0, 2)))
    styles = {"plain": 3, "comma": 3, "euro": 1, "space": 0.5, "currency": 1.5}
    if low > 1500:
        styles["k"] = 3
    if low > 5e4:
        styles["M"] = 1
    if low > 1e4 or high < 1e-2:
        styles["exponent"] = 1.5
    if high - low > 8 and high < 1000:
        styles["fraction"] = 0.4
    if low < 0:
        styles = {"percent": 1}
    style = _pick(rng, list(styles), list(styles.values()))
    least = {
        "k": math.ceil(-math.log10((high - low) / 8e3)) + 1,
        "M": math.ceil(-math.log10((high - low) / 8e6)) + 1,
        "exponent": math.ceil(math.log10(high / (high - low) * 8)) + 1 if low > 0 else 2,
    }
    decimals = max(0, least.get(style, decimals))
    if low >= 0 and _chance(rng, 0.4):
        return None, decimals
    return {"style": style, "decimals": decimals, "sign": _pick(rng, ["$", "€", "£"])}, decimals


def _bars(rng, count):
    "A random window of a random series, often scaled to another magnitude or to percent of its first close."
    symbol, venue, timeframes = _pick(rng, SERIES)
    timeframe = _pick(rng, timeframes)
    frame = _series(symbol, venue, timeframe)
    count = min(count, len(frame) - 1)
    start = int(rng.integers(0, len(frame) - count))
    bars = frame.iloc[start : start + count].copy()
    prices = ["Open", "High", "Low", "Close"]
    if bars.High.max() <= bars.Low.min() * 1.0005:
        return _bars(rng, count)
    percent = False
    if _chance(rng, 0.5):
        target = 10 ** rng.uniform(-5, 5)
        factor = target / float(bars.Close.mean())
        digits = 5 - math.floor(math.log10(target))
        bars[prices] = (bars[prices] * factor).round(max(digits, 0))
    elif _chance(rng, 0.12):
        bars[prices] = ((bars[prices] / float(bars.Close.iloc[0]) - 1) * 100).round(4)
        percent = True
    return symbol, venue, timeframe, bars, percent


def _overlays(rng, bars, colors):
    "Moving averages or a band; bands are the upper and lower line of two standard deviations."
    kind = _pick(rng, ["none", "averages", "bands"], [4, 4, 2])
    close, made = bars.Close, []
    if kind == "averages":
        for span in sorted(rng.choice([7, 10, 20, 50, 100], int(rng.integers(1, 4)), replace=False)):
            if span < len(bars):
                made.append((f"MA {span}", close.rolling(int(span)).mean()))
    if kind == "bands" and len(bars) > 25:
        mean, width = close.rolling(20).mean(), 2 * close.rolling(20).std()
        made = [("upper", mean + width), ("middle", mean), ("lower", mean - width)]
    hues = [f"#{int(v):06x}" for v in rng.integers(0x404040, 0xF0F0F0, 4)]
    rows = [
        {
            "name": name,
            "values": [None if math.isnan(v) else float(v) for v in values],
            "color": hues[i],
            "width": int(rng.integers(1, 3)),
        }
        for i, (name, values) in enumerate(made)
    ]
    return rows, kind == "bands"


def _around(rng, width, height, theme):
    "Place of the chart in a page, with the parts around it: toolbar, watchlist, text. None: the chart alone."
    if not _chance(rng, 0.2):
        return None, {"left": 0, "top": 0, "width": width, "height": height}, width, height
    left, right = int(rng.choice([0, 52])), int(rng.choice([0, 0, 230]))
    top, bottom = int(rng.choice([0, 44, 90])), int(rng.choice([0, 0, 160, 600]))
    names = ["AAPL", "BTCUSD", "EURUSD", "SPX", "NDX", "TSLA", "GOLD", "DXY", "VIX", "ETHUSD", "MSFT", "OIL"]
    watch = "\n".join(f"{n:8s} {rng.uniform(1, 5000):,.2f}  {rng.uniform(-4, 4):+.2f}%" for n in names * 3)
    words = (
        "The index closed higher after a quiet session while volume stayed below its average. Traders watch the level of the "
        "last high, and the moving averages point upward. Support was tested twice in March. "
    ) * 6
    part = {"bg": _color(rng, 30, 60) if theme["dark"] else _color(rng, 235, 256)}
    parts = [
        {
            "left": 0,
            "top": 0,
            "width": left + width + right,
            "height": top,
            "text": TOOLBAR,
            "size": 15,
            **part,
        },
        {"left": 0, "top": top, "width": left, "height": height, "text": "+\n/\n_\nT\no\n%\n#", "size": 18, **part},
        {"left": left + width, "top": top, "width": right, "height": height, "text": watch, **part},
        {"left": 0, "top": top + height, "width": left + width + right, "height": bottom, "text": words, "size": 14, **part},
    ]
    return (
        {"bg": part["bg"], "fg": theme["fg"], "parts": [p for p in parts if p["width"] and p["height"]]},
        {"left": left, "top": top, "width": width, "height": height},
        left + width + right,
        top + height + bottom,
    )


def make_spec(library: str, seed: int) -> dict:
    "Return the conditions of one picture. The same library and seed give the same."
    rng = np.random.default_rng([seed, *library.encode()])
    width, height, dpr = _size(rng)
    most = int(np.clip(width * dpr / 2.6, 20, 800))
    symbol, venue, timeframe, bars, percent = _bars(rng, int(np.exp(rng.uniform(math.log(20), math.log(most)))))
    theme = _theme(rng)
    spec_format, decimals = _format(rng, bars)
    overlays, bands = _overlays(rng, bars, theme)
    low, high = float(bars.Low.min()), float(bars.High.max())
    log = not percent and low > 0 and _chance(rng, 0.2 if high / low > 1.2 else 0.05)
    if library == "apexcharts":
        log = False  # its logarithmic axis does not draw candles
    margin = (high - low) * rng.uniform(0.03, 0.15, 2)
    axis_low, axis_high = low - margin[0], high + margin[1]
    if log:
        axis_low, axis_high = low * (low / high) ** 0.07, high * (high / low) ** 0.07
    grain = 10.0 ** math.floor(math.log10((high - low) / 20))  # people round the limits that they set
    axis_low, axis_high = math.floor(axis_low / grain) * grain, math.ceil(axis_high / grain) * grain
    if log:
        axis_low = max(axis_low, low * 0.7)
    if spec_format is None and library == "uplot" and decimals > 2:  # its own format has three decimals at most
        spec_format = {"style": "percent" if percent else "plain", "decimals": decimals, "sign": ""}
    around, box, page_width, page_height = _around(rng, width, height, theme)
    last, title_parts = len(bars) - 1, [symbol, timeframe, venue]
    step = pd.Timedelta(timeframe.replace("w", "W")) if timeframe[-1] != "w" else pd.Timedelta(days=7)
    title = " · ".join(title_parts) if _chance(rng, 0.5) else f"{symbol} ({timeframe}, {venue.upper()})"
    return {
        "library": library,
        "seed": seed,
        "symbol": symbol,
        "venue": venue,
        "timeframe": timeframe,
        "intraday": step < pd.Timedelta(days=1),
        "minutes": int(step / pd.Timedelta(minutes=1)),
        "percent": percent,
        "width": page_width,
        "height": page_height,
        "dpr": dpr,
        "box": box,
        "around": around,
        **theme,
        "bars": [
            [int(t.timestamp() * 1000), *(float(v) for v in row)]
            for t, row in zip(bars.index, bars[["Open", "High", "Low", "Close", "Volume"]].fillna(1).to_numpy(), strict=True)
        ],
        "kind": _pick(rng, ["candle", "hollow", "ohlc", "line", "area"], [5, 2, 1.5, 1, 0.8]),
        "low": low,
        "high": high,
        "axisLow": axis_low,
        "axisHigh": axis_high,
        "log": log,
        "format": spec_format,
        "decimals": decimals,
        "overlays": overlays,
        "bands": bands,
        "volume": _pick(rng, ["none", "overlay", "pane"], [4, 2, 4]),
        "side": _pick(rng, ["right", "left", "both"], [6, 3, 1]),
        "title": title if _chance(rng, 0.6) else "",
        "legend": _chance(rng, 0.35),
        "lastPrice": _chance(rng, 0.5),
        "watermark": _pick(rng, [symbol, "DEMO", "example.com"]) if _chance(rng, 0.2) else "",
        "overlayTags": _chance(rng, 0.4),
        "crosshair": {"bar": int(rng.integers(0, last)), "price": float(rng.uniform(low, high))} if _chance(rng, 0.2) else None,
        "font": _pick(rng, FONTS, [3, 2, 2, 2, 1, 1, 1, 1]),
        "fontSize": int(rng.integers(10, 15)),
        "frame": _chance(rng, 0.5),
        "gaps": _chance(rng, 0.5),
        "lineWidth": _pick(rng, [1, 1, 1, 2]),
        "bodyShare": float(rng.uniform(0.5, 0.9)),
        "margins": {"top": float(rng.uniform(0.05, 0.2)), "bottom": float(rng.uniform(0.05, 0.25))},
        "insets": {
            "left": int(rng.integers(60, 90)),
            "right": int(rng.integers(60, 90)),
            "top": int(rng.integers(30, 60)),
            "bottom": int(rng.integers(35, 60)),
        },
        "jpeg": int(rng.integers(35, 96)) if _chance(rng, 0.3) else None,
        "rescale": float(rng.uniform(0.6, 1.5)) if _chance(rng, 0.25) else None,
    }
