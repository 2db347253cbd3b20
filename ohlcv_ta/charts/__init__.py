"Drawing: charts for people, and pixels for networks."

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .masks import axis_from_points, draw_masks, read_levels, read_rays
from .pixels import STYLES, ChartGeometry, Style, draw, draw_many

if TYPE_CHECKING:
    from .candles import THEMES, draw_candles, draw_mplfinance, draw_profile, to_svg
    from .lines import lines_csv, lines_json, lines_pine

__all__ = ["STYLES", "THEMES", "ChartGeometry", "Style", "axis_from_points", "draw", "draw_candles", "draw_many", "draw_masks",
           "draw_mplfinance", "draw_profile", "lines_csv", "lines_json", "lines_pine", "read_levels", "read_rays", "to_svg"]


def __getattr__(name: str) -> Any:
    "Charts for people come with matplotlib, which is read when the first of them is asked for."
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(".lines" if name.startswith("lines_") else ".candles", __name__), name)
