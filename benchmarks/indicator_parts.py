"Speed of indicators beside pandas-ta-classic, and of a backtest beside backtesting.py."

import warnings

import numpy as np
import pandas_ta_classic  # noqa: F401, which adds .ta to frames
from backtesting import Backtest, Strategy

from ohlcv_ta.data import load
from ohlcv_ta.evaluation.backtest import backtest
from ohlcv_ta.evaluation.trading import Rules
from ohlcv_ta.features.indicator_bank import LiveIndicators, indicator_table


def indicators(in_turn, bars=86_400):
    "All indicators of sixty days of minutes, and the newest row of each."
    frame = load("SPY", "1m").iloc[-bars:]
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
    live, tail = LiveIndicators(frame[:-200]), iter(range(bars - 200, bars))

    def newest(): live.push(frame.iloc[(k := next(tail)):k + 1])

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
    frame = load("BTC-USD", "1h", "bitfinex").tz_localize(None)
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

    seconds = in_turn({"ours": lambda: backtest(frame, signals, Rules(size=0.9)), "backtesting.py": theirs}, 5)
    return [{"who": who, "bars": len(frame), "seconds": took,
             "ours is faster by": took / seconds["ours"] if who != "ours" else None} for who, took in seconds.items()]
