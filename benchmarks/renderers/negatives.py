"""Pictures without a price chart: noise, gradients, text, tables, pie and bar charts, maps of colors, and blank ones."""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

KINDS = ["blank", "noise", "blurred", "gradient", "text", "table", "pie", "bars", "heatmap", "shapes", "photograph", "form"]
WORDS = [
    "open",
    "data",
    "market",
    "report",
    "quarter",
    "revenue",
    "growth",
    "Europe",
    "total",
    "price",
    "units",
    "table",
    "of",
    "north",
    "average",
    "2024",
    "with",
    "and",
    "the",
    "from",
    "by",
    "in",
]


def _save(fig):
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=100)
    plt.close(fig)
    return Image.open(file).convert("RGB")


def _figure(rng, width, height):
    dark = rng.random() < 0.4
    plt.style.use("dark_background" if dark else "default")
    return plt.subplots(figsize=(width / 100, height / 100))


def _noise(rng, width, height, blur):
    field = rng.normal(size=(height, width, 3))
    if blur:
        field = gaussian_filter(field, (blur, blur, 0))
    field = (field - field.min()) / np.ptp(field)
    return Image.fromarray((field * 255).astype(np.uint8))


def _photograph(rng, width, height):
    "Noise of many scales, as clouds and landscapes have it."
    field = sum(gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0.4)) * s for s in (2, 6, 20, 60))
    field += np.linspace(0, rng.uniform(-3, 3), height)[:, None, None]
    return Image.fromarray(
        (np.clip((field - np.quantile(field, 0.01)) / np.ptp(np.quantile(field, [0.01, 0.99])), 0, 1) * 255).astype(np.uint8)
    )


def _text(rng, width, height):
    fig, axis = _figure(rng, width, height)
    axis.axis("off")
    lines = [" ".join(rng.choice(WORDS, 12)) + f" {rng.uniform(0, 900):,.1f}" for _ in range(height // 30)]
    axis.text(0, 1, "\n".join(lines), va="top", fontsize=int(rng.integers(7, 13)), transform=axis.transAxes)
    return _save(fig)


def _table(rng, width, height):
    fig, axis = _figure(rng, width, height)
    axis.axis("off")
    cells = [[f"{v:,.2f}" for v in row] for row in rng.uniform(-500, 5000, (int(rng.integers(5, 20)), 5))]
    axis.table(cells, colLabels=list(rng.choice(WORDS, 5)), loc="center")
    return _save(fig)


def _plots(rng, width, height, kind):
    fig, axis = _figure(rng, width, height)
    count = int(rng.integers(3, 12))
    values = rng.uniform(1, 100, count)
    if kind == "pie":
        axis.pie(values, labels=[str(w) for w in rng.choice(WORDS, count)], autopct="%1.0f%%" if rng.random() < 0.5 else None)
    elif kind == "bars":
        (axis.bar if rng.random() < 0.6 else axis.barh)([f"{w} {i}" for i, w in enumerate(rng.choice(WORDS, count))], values)
    else:
        axis.imshow(rng.normal(size=(count, count)), cmap=str(rng.choice(["viridis", "magma", "coolwarm"])))
    return _save(fig)


def _shapes(rng, width, height):
    fig, axis = _figure(rng, width, height)
    axis.axis("off")
    for _ in range(int(rng.integers(3, 15))):
        x, y, size = rng.uniform(0, 1, 3)
        shape = (
            plt.Circle((x, y), size / 5, color=rng.uniform(0, 1, 3))
            if rng.random() < 0.5
            else plt.Rectangle((x, y), size / 4, size / 3, color=rng.uniform(0, 1, 3))
        )
        axis.add_patch(shape)
    return _save(fig)


def _form(rng, width, height):
    "Boxes and labels, as a settings page has them."
    fig, axis = _figure(rng, width, height)
    axis.axis("off")
    for i in range(int(rng.integers(4, 10))):
        axis.text(0.05, 1 - i / 10, f"{rng.choice(WORDS)}:", fontsize=10)
        axis.add_patch(plt.Rectangle((0.3, 0.98 - i / 10), 0.5, 0.05, fill=False, ec="gray"))
        axis.text(0.32, 0.99 - i / 10, f"{rng.uniform(0, 1e4):.2f}", fontsize=9)
    return _save(fig)


def draw_negative(seed: int) -> tuple[str, Image.Image]:
    "Return the kind of a picture without a price chart, and the picture."
    rng = np.random.default_rng([seed, 7])
    kind, width = KINDS[seed % len(KINDS)], int(rng.integers(400, 1600))
    height = int(width * rng.uniform(0.4, 0.8))
    if kind == "blank":
        return kind, Image.new("RGB", (width, height), tuple(int(v) for v in rng.integers(0, 256, 3)))
    if kind in ("noise", "blurred"):
        return kind, _noise(rng, width, height, 0 if kind == "noise" else float(rng.uniform(1, 8)))
    if kind == "gradient":
        ramp = np.linspace(rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), width)
        return kind, Image.fromarray(np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8))
    if kind == "photograph":
        return kind, _photograph(rng, width, height)
    if kind in ("text", "table", "shapes", "form"):
        return kind, {"text": _text, "table": _table, "shapes": _shapes, "form": _form}[kind](rng, width, height)
    return kind, _plots(rng, width, height, kind)
