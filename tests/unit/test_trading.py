"Orders and backtests: properties for any bars and signals, and agreement with another library."
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.data.catalog import load_series
from ohlcv_ta.evaluation.backtest import backtest, random_entry_returns
from ohlcv_ta.evaluation.orders import BUY, SELL, Account, TradingRules, trade_bar


@st.composite
def markets(draw):
    "Draw volatile bars and independent signals."
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(2, 120))
    dice = np.random.default_rng(seed)
    close = 100 * np.exp(dice.normal(0, 0.03, count).cumsum())
    open_ = close * np.exp(dice.normal(0, 0.02, count))
    high = np.maximum(open_, close) * (1 + dice.exponential(0.02, count))
    low = np.minimum(open_, close) / (1 + dice.exponential(0.02, count))
    frame = pd.DataFrame({"Open": open_, "High": high, "Low": low, "Close": close, "Volume": 1.0},
                         pd.date_range("2020", periods=count, freq="h", tz="UTC"))
    return frame, dice.choice([-1, 0, 1], count), np.abs(close * dice.uniform(0.005, 0.03, count))


share = st.floats(0, 0.2)
rules = st.builds(TradingRules, fee=st.floats(0, 0.02), slippage=st.floats(0, 0.01), size=st.floats(0.05, 1), stop=share,
                  trail=share, atr_stop=st.floats(0, 4), take=share, cool_down=st.integers(0, 5))


@settings(max_examples=200, deadline=None)
@given(markets(), rules)
def test_cash_and_fills_balance(market, rules):
    "Check that cash is never negative, only held units are sold, and fills explain the cash."
    frame, signals, atr = market
    found = backtest(frame, signals, rules, 1000.0, atr)
    fills, account = found.fills, found.account
    assert (fills.side.cumsum().isin([0, 1])).all()
    assert account.cash >= -1e-9 and account.units >= 0
    spent = (fills.side * fills.units * fills.price + fills.fee).sum()
    assert account.cash == pytest.approx(1000 - spent, abs=1e-7)
    assert found.equity.iloc[-1] == pytest.approx(account.equity(frame.Close.iloc[-1]))
    bought, sold = (fills.bar[fills.side == side].to_numpy() for side in (BUY, SELL))
    assert (bought[1:] - sold[:max(len(bought) - 1, 0)] >= rules.cool_down).all()


@settings(max_examples=50, deadline=None)
@given(markets(), rules, st.integers(1, 119))
def test_resumed_trader_agrees_with_backtest(market, rules, slept):
    "Check that trading bar by bar from the account alone equals the backtest, and that later bars change nothing."
    frame, signals, atr = market
    whole, account, told = backtest(frame, signals, rules, 1000.0, atr), Account(1000.0), []
    for k, (_, bar) in enumerate(frame.iterrows()):
        decision = trade_bar(Account(**vars(account)), rules, bar, int(signals[k]), atr[k])
        account = decision.account
        told += [(k, *fill) for fill in decision.fills]
        assert decision.reason == whole.reasons.iloc[k]
    assert told == list(whole.fills.itertuples(index=False, name=None))
    part = backtest(frame[:slept], signals[:slept], rules, 1000.0, atr[:slept])
    assert part.equity.equals(whole.equity[:slept])


@pytest.mark.parametrize(("stop", "take"), [(0.0, 0.0), (0.03, 0.0), (0.02, 0.05)])
def test_equity_agrees_with_another_library(stop, take):
    "backtesting.py, given the same orders, has the same equity at every close, to the cent."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy
    bars = load_series("BTC-USD", "1h", "bitfinex").loc["2018-01":"2018-06"].tz_localize(None)
    signals = np.random.default_rng(1).choice([-1, 0, 0, 0, 0, 0, 0, 0, 0, 1], len(bars))
    ours = backtest(bars, signals, TradingRules(fee=0.001, slippage=0, size=0.9, stop=stop, take=take), 100_000.0)
    assert len(ours.fills) > 200
    unit = 1e-8 # that library buys whole units, so that it trades in hundred-millionths of a coin
    bought = ours.fills[ours.fills.side == BUY].set_index("bar")

    class SameOrders(Strategy):
        def init(self): pass

        def next(self):
            now = len(self.data) - 1
            if now + 1 in bought.index:
                price, units = bought.price[now + 1] * unit, bought.units[now + 1]
                limits = {"sl": price * (1 - stop) if stop else None, "tp": price * (1 + take) if take else None}
                self.buy(size=round(units / unit), **limits)
            elif self.position and signals[now] == SELL:
                self.position.close()

    scaled = bars.assign(**{name: bars[name] * unit for name in ("Open", "High", "Low", "Close")})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = Backtest(scaled, SameOrders, cash=100_000, commission=0.001, trade_on_close=False, finalize_trades=False).run()
    assert np.abs(theirs._equity_curve.Equity.to_numpy()[:-1] - ours.equity.to_numpy()[:-1]).max() < 0.01


def test_random_entries_keep_the_turnover():
    bars = load_series("BTC-USD", "1h", "bitfinex").loc["2018-01":"2018-03"]
    found = backtest(bars, np.random.default_rng(0).choice([-1, 0, 0, 0, 0, 1], len(bars)), TradingRules())
    gains = random_entry_returns(bars, found, TradingRules(fee=0.001, slippage=0.0), draws=100)
    never = random_entry_returns(bars, found, TradingRules(fee=0.0, slippage=0.0), draws=100)
    trades = len(found.trades)
    assert np.log1p(gains).mean() - np.log1p(never).mean() == pytest.approx(2 * trades * np.log(1 - 0.001), rel=0.02)
