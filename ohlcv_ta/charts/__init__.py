"Drawing: charts for people, and pixels for networks."

from .candles import THEMES, draw_candles, draw_mplfinance, draw_profile, to_svg
from .lines import lines_csv, lines_json, lines_pine
from .masks import axis_from_points, draw_masks, read_levels, read_rays
from .pixels import STYLES, ChartGeometry, Style, draw, draw_many

__all__ = ["STYLES", "THEMES", "ChartGeometry", "Style", "axis_from_points", "draw", "draw_candles", "draw_many", "draw_masks",
           "draw_mplfinance", "draw_profile", "lines_csv", "lines_json", "lines_pine", "read_levels", "read_rays", "to_svg"]
