"OHLCV frames: contract, embedded series, files, exchanges and synthetic markets."

from .catalog import catalog, hours, load
from .exchanges.ccxt import from_ccxt
from .exchanges.retry import SourceError
from .exchanges.yahoo import from_yahoo
from .formats import Annotated, annotated_folder, ray_bars, ray_times, read, read_annotated, write_annotated
from .frame import bar_length, check, clean, infer_timeframe, resample, sessions
from .raw_tables import COLUMNS, FrameError, recognise
from .synthetic import planted_breakouts, planted_levels, random_walk

__all__ = [
    "COLUMNS",
    "Annotated",
    "FrameError",
    "SourceError",
    "annotated_folder",
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
    "ray_bars",
    "ray_times",
    "read",
    "read_annotated",
    "recognise",
    "resample",
    "sessions",
    "write_annotated",
]
