"Frames of bars: what they are, where they come from, and made-up ones for controls."

from .frame import (
    COLUMNS,
    FrameError,
    bar_length,
    check,
    clean,
    infer_timeframe,
    resample,
    sessions,
)
from .sources import (
    Annotated,
    SourceError,
    catalog,
    from_ccxt,
    from_yahoo,
    hours,
    load,
    read,
    read_annotated,
)
from .synthetic import planted_breakouts, planted_levels, random_walk

__all__ = [
    "COLUMNS",
    "Annotated",
    "FrameError",
    "SourceError",
    "bar_length",
    "catalog",
    "check",
    "clean",
    "from_ccxt",
    "from_yahoo",
    "hours",
    "infer_timeframe",
    "load",
    "planted_breakouts",
    "planted_levels",
    "random_walk",
    "read",
    "read_annotated",
    "resample",
    "sessions",
]
