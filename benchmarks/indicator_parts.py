"Speed of indicators compared with pandas-ta-classic, of a backtest compared with backtesting.py, and of following a market."

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas_ta_classic  # noqa: F401, which adds .ta to frames
from backtesting import Backtest, Strategy

from ohlcv_ta.data import load_series
from ohlcv_ta.data.bar_store import BarStore, SeriesKey
from ohlcv_ta.evaluation.backtest import backtest
from ohlcv_ta.evaluation.orders import TradingRules
from ohlcv_ta.features.technical_indicators import StreamingIndicators, indicator_table
from ohlcv_ta.market.paper_trading import PaperTrader, RsiForecaster
from ohlcv_ta.market.streaming import BarStream, ReplayFeed
from ohlcv_ta.models.indicators.inference import IndicatorPredictors


def indicators(in_turn, bars=86_400):
    "All indicators of sixty days of minutes, and the newest row of each."
    frame = load_series("SPY", "1m").iloc[-bars:]
    theirs = frame.rename(columns=str.lower)
    named = len(indicator_table(frame[:500]).columns)
    found = theirs[:500].copy()
    found.ta.cores = 0
    found.ta.strategy("All", verbose=False)

    def all_of_theirs():
        table = theirs.copy()
        table.ta.cores = 0
        table.ta.strategy("All", verbose=False)

    batch = in_turn({"ours": lambda: indicator_table(frame), "pandas-ta-classic, all": all_of_theirs}, 3)
    live, tail = StreamingIndicators(frame[:-200]), iter(range(bars - 200, bars))

    def newest(): live.update(frame.iloc[(k := next(tail)):k + 1])

    def newest_of_theirs():
        table = theirs.iloc[-2048:].copy()
        table.ta.cores = 0
        table.ta.strategy("All", verbose=False)

    row = in_turn({"ours": newest, "pandas-ta-classic, all": newest_of_theirs}, 9)
    counts = {"ours": named, "pandas-ta-classic, all": found.shape[1] - theirs.shape[1]}
    return [{"who": who, "series": counts[who], "seconds": batch[who], "newest row ms": 1000 * row[who],
             "ours is faster by": batch[who] / batch["ours"] if who != "ours" else None} for who in batch]


def backtests(in_turn):
    "A strategy on the hours of Bitcoin."
    frame = load_series("BTC-USD", "1h", "bitfinex").tz_localize(None)
    signals = np.random.default_rng(1).choice([-1, 0, 0, 0, 0, 0, 0, 0, 0, 1], len(frame))

    class SameSignals(Strategy):
        def init(self): pass

        def next(self):
            signal = signals[len(self.data) - 1]
            if signal > 0 and not self.position: self.buy(size=0.9)
            elif signal < 0 and self.position: self.position.close()

    def theirs():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Backtest(frame, SameSignals, cash=10_000_000, commission=0.001).run()

    seconds = in_turn({"ours": lambda: backtest(frame, signals, TradingRules(size=0.9)), "backtesting.py": theirs}, 5)
    return [{"who": who, "bars": len(frame), "seconds": took,
             "ours is faster by": took / seconds["ours"] if who != "ours" else None} for who, took in seconds.items()]


def live():
    "Minutes of SPY followed as if they came, into a store: a month by a rule, a day by a network."
    readers = IndicatorPredictors.load(Path(__file__).parents[1] / "models" / "indicators")
    frame, rows = load_series("SPY", "1m"), []
    months = (RsiForecaster(), "2019-12-01", "2019-12-31 23:59"), (readers["turning"], "2019-12-02", "2019-12-02 23:59")
    for who, begin, end in months:
        told = frame.loc[begin:end]
        before = frame[frame.index < told.index[0]].iloc[-3000:]
        with TemporaryDirectory() as folder:
            store, series = BarStore(f"{folder}/istream.db"), SeriesKey("replay", "SPY", "1m")
            feed = ReplayFeed(series, frame.loc[before.index[0]:told.index[-1]], history=len(before))
            trader = PaperTrader(store, series, who, TradingRules(), threshold=0.0)
            start = perf_counter()
            BarStream(store, feed, trader).run()
            took = perf_counter() - start
        rows.append({"who": who.author.split()[0], "bars": len(told), "seconds": took, "ms a bar": 1000 * took / len(told)})
    return rows
