"The working day of a trader: many charts at once."

from .screen import Screened, Source, all_series, chart_lines, closest, find_sources, picture_lines, screen

__all__ = ["Screened", "Source", "all_series", "chart_lines", "closest", "find_sources", "picture_lines", "screen"]
