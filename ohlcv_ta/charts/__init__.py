"Drawing: charts for people, and (later) pixels for networks."

from .candles import THEMES, draw_candles, draw_profile, to_svg

__all__ = ["THEMES", "draw_candles", "draw_profile", "to_svg"]
