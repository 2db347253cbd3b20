"Charts as figures for people and as images for networks, with exact geometry."

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .geometry import ChartGeometry, axis_from_points
from .line_masks import draw_masks, read_levels, read_rays
from .rasterizer import draw_chart, draw_charts
from .style import STYLES, Style

if TYPE_CHECKING:
    from ..models.digitizer.chart_data import read_chart
    from .axis import read_axis
    from .candlestick import draw_candles, draw_mplfinance, draw_profile, to_svg
    from .export import lines_to_csv, lines_to_json, lines_to_pine
    from .matplotlib_style import THEMES

__all__ = [
    "STYLES",
    "THEMES",
    "ChartGeometry",
    "Style",
    "axis_from_points",
    "draw_candles",
    "draw_chart",
    "draw_charts",
    "draw_masks",
    "draw_mplfinance",
    "draw_profile",
    "lines_to_csv",
    "lines_to_json",
    "lines_to_pine",
    "read_axis",
    "read_chart",
    "read_levels",
    "read_rays",
    "to_svg",
]

_SOURCES = {
    **dict.fromkeys(("lines_to_csv", "lines_to_json", "lines_to_pine"), ".export"),
    "THEMES": ".matplotlib_style",
    "read_axis": ".axis",
    "read_chart": "..models.digitizer.chart_data", # of the layer above, because users look for it here
}


def __getattr__(name: str) -> Any:
    "Import figures and readers on first use, because they are slow to import."
    if name not in __all__: raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SOURCES.get(name, ".candlestick"), __name__), name)
