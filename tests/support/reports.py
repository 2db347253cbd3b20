"Charts to report on, and a reader of numbers that was written apart from the check."

import re
import unicodedata

import numpy as np
import pandas as pd

from ohlcv_ta.data import load_series, random_walk
from ohlcv_ta.data.exchanges.base import Bars
from ohlcv_ta.data.raw_tables import PRICES
from ohlcv_ta.market.report.analysis import build_report
from ohlcv_ta.market.report.formatting import LANGUAGES, SUBJECT_NAMES
from ohlcv_ta.market.report.verification import check_texts


def bars_of(frame, pair="eth_usdt", timeframe="day1", series="ETH-USD, bitfinex"):
    return Bars(frame, pair, timeframe, "replay", series, frame.index[-1] + pd.Timedelta(days=1), frame.iloc[:0])


def scaled(frame, factor):
    return frame.assign(**{name: frame[name] * factor for name in PRICES})


DAYS = load_series("ETH-USD", "1d").iloc[-200:]
TRUE = build_report(bars_of(DAYS), chart=False)
COUNTS = (1, 2, 5, 9, 14, 15, 20, 21, 28, 30, 50, 60, 120, 200)
PAIRS = ("eth_usdt", "1inch_usdt", "BTC-USD", "600000.SH", "SPY", "1000sats_usdt", "rsi_usdt", "ignore_all", "ema9_usd")


def walks():
    "Random walks of every length and size, some of which never move or never trade."
    for k in range(700):
        dice = np.random.default_rng(k)
        price = 10.0 ** dice.uniform(-9, 6)
        frame = random_walk(COUNTS[k % len(COUNTS)], seed=k, price=price, volatility=10.0 ** dice.uniform(-4, -0.7))
        frame = frame.assign(Volume=frame.Volume * 10.0 ** dice.uniform(-6, 9) * (k % 23 != 0))
        yield frame.assign(**dict.fromkeys(PRICES, price)) if k % 17 == 0 else frame


def read_numbers(text):
    "Numbers as a person reads them, whatever the script, without those in names; written apart from the check."
    called = {name for names in SUBJECT_NAMES.values() for language in LANGUAGES for name in names[language]}
    for name in sorted(called, key=len, reverse=True): text = text.replace(name, " ")
    plain = "".join(str(unicodedata.decimal(letter, letter)) for letter in text).replace("٫", ".").replace("٬", ",")
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", plain)]


def all_right(analysis):
    "Every figure is traced, and each of the Persian text is in the English one."
    found = check_texts({"english": analysis.english, "persian": analysis.persian}, analysis.facts)
    for language in LANGUAGES:
        for one in found[language]:
            fact = analysis.facts[one.fact]
            told = read_numbers(one.text)[0] * (-1 if "−" in one.text else 1)
            value = abs(fact.value) if fact.unit == "change" else fact.value
            assert abs(told - value) <= 0.5000001 * 10.0 ** -fact.decimals + 1e-12 * abs(value), (one, fact)
    english, persian = (set(read_numbers(text.partition("\n")[2])) for text in analysis[:2])
    assert persian <= english
    return sum(map(len, found.values()))
