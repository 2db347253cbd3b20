"OHLCV frames: contract, embedded series, files, exchanges and synthetic markets."

from .annotated_charts import (
    AnnotatedChart,
    rays_to_bars,
    rays_to_times,
    read_annotated_chart,
    read_annotated_folder,
    write_annotated_chart,
)
from .catalog import load_series, read_catalog, session_hours
from .exchanges.ccxt import fetch_ccxt
from .exchanges.retry import SourceError
from .exchanges.yahoo import fetch_yahoo
from .frame import bar_length, check, clean, infer_timeframe, resample, session_dates
from .raw_tables import COLUMNS, FrameError, normalize_table
from .synthetic import random_walk, synthetic_breakouts, synthetic_levels
from .table_files import read_ohlcv

__all__ = [
    "COLUMNS",
    "AnnotatedChart",
    "FrameError",
    "SourceError",
    "bar_length",
    "check",
    "clean",
    "fetch_ccxt",
    "fetch_yahoo",
    "infer_timeframe",
    "load_series",
    "normalize_table",
    "random_walk",
    "rays_to_bars",
    "rays_to_times",
    "read_annotated_chart",
    "read_annotated_folder",
    "read_catalog",
    "read_ohlcv",
    "resample",
    "session_dates",
    "session_hours",
    "synthetic_breakouts",
    "synthetic_levels",
    "write_annotated_chart",
]
