"Screening, scanning, streaming and paper trading of many markets."

from .screening import (
    ChartSource,
    ScreenResult,
    find_image_lines,
    find_lines,
    find_sources,
    list_embedded_sources,
    screen,
    select_nearest,
)

__all__ = [
    "ChartSource",
    "ScreenResult",
    "find_image_lines",
    "find_lines",
    "find_sources",
    "list_embedded_sources",
    "screen",
    "select_nearest",
]
