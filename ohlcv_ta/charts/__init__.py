"Drawing: charts for people, and pixels for networks."

from .candles import THEMES, draw_candles, draw_profile, to_svg
from .pixels import STYLES, ChartGeometry, Style, draw, draw_many

__all__ = ["STYLES", "THEMES", "ChartGeometry", "Style", "draw", "draw_candles", "draw_many", "draw_profile", "to_svg"]
