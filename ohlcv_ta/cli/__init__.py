"Command line `ohlcv-ta`. Each module defines a group of commands and registers them with the application."

from . import predict, digitize, serve, data, market, pipeline  # noqa: F401 - their import registers the commands, in the order of `--help`
from .app import app, main

__all__ = ["app", "main"]
