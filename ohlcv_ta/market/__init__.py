"Screening, scanning, streaming and paper trading of many markets."

from .screening import Screened, Source, all_series, chart_lines, closest, find_sources, picture_lines, screen

__all__ = [
    "Screened",
    "Source",
    "all_series",
    "chart_lines",
    "closest",
    "find_sources",
    "picture_lines",
    "screen",
]
