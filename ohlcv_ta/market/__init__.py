"Screening, scanning, streaming and paper trading of many markets."

from .image_screening import find_image_lines, find_lines_of_images
from .screening import (
    ChartSource,
    ScreenResult,
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
    "find_lines_of_images",
    "find_sources",
    "list_embedded_sources",
    "screen",
    "select_nearest",
]
