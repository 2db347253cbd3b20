"No report leaves with a wrong number: a thousand charts, and every digit of Unicode."

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reports import DAYS, PAIRS, TRUE, all_right, bars_of, read_numbers, scaled, walks

from ohlcv_ta.data import load_series, random_walk, read_catalog
from ohlcv_ta.market.report.analysis import MarketReport, build_report
from ohlcv_ta.market.report.corruptions import CORRUPTIONS, corrupt_text
from ohlcv_ta.market.report.formatting import LANGUAGES
from ohlcv_ta.market.report.verification import explain_refusal, trace_figures


def pieces():
    "Embedded series of all kinds, cut anywhere, some in other units."
    rows = read_catalog().drop_duplicates(["venue", "timeframe"]).head(10)
    series = [load_series(row.symbol, row.timeframe, row.venue) for row in rows.itertuples()]
    for k in range(300):
        frame, dice = series[k % len(series)], np.random.default_rng(k)
        end = int(dice.integers(200, len(frame)))
        yield scaled(frame.iloc[end - 200:end], 10.0 ** dice.uniform(-9, 3) if k % 3 else 1.0)


@pytest.mark.parametrize("charts", [walks, pieces])
def test_a_thousand_reports_by_rules(charts):
    figures = 0
    for k, frame in enumerate(charts()):
        bars = bars_of(frame, PAIRS[k % len(PAIRS)], ("minute5", "hour4", "day1", "month1")[k % 4])
        analysis = build_report(bars, chart=False)
        assert analysis.writer == "rules" and analysis.rejected is None
        figures += all_right(analysis)
        close = float(frame.Close.iloc[-1])
        told = read_numbers(re.search(r"last close is (\S+)\. ", analysis.english)[1])[0]
        assert abs(told / close - 1) < 1e-5 # five digits, whatever the price
    assert figures > 10_000


def test_the_facts_are_those_of_the_bars():
    facts = {name: fact.value for name, fact in TRUE.facts.items()}
    close = DAYS.Close
    assert facts["close"] == close.iloc[-1] and facts["bars"] == 200
    assert facts["change_bar"] == pytest.approx(100 * (close.iloc[-1] / close.iloc[-2] - 1))
    assert facts["change_period"] == pytest.approx(100 * (close.iloc[-1] / DAYS.Open.iloc[0] - 1))
    assert (facts["high"], facts["low"]) == (DAYS.High.max(), DAYS.Low.min())
    mean, deviation = close.iloc[-20:].mean(), close.iloc[-20:].std(ddof=0)
    assert facts["bb_upper"] == pytest.approx(mean + 2 * deviation)
    assert facts["bb_position"] == pytest.approx((close.iloc[-1] - mean + 2 * deviation) / (4 * deviation))
    average = close.iloc[:9].mean() # as TA-Lib begins, with a plain mean
    for price in close.iloc[9:]: average += 0.2 * (price - average)
    assert facts["ema_9"] == pytest.approx(average)
    typical = DAYS[["High", "Low", "Close"]].mean(axis=1)
    flow, step = (typical * DAYS.Volume).iloc[-14:], typical.diff().iloc[-14:]
    assert facts["mfi_14"] == pytest.approx(100 * flow[step > 0].sum() / flow[step != 0].sum())
    levels = TRUE.levels.price
    assert facts["resistance_1"] == levels[levels > close.iloc[-1]].min()
    assert facts["support_1"] == levels[levels <= close.iloc[-1]].max()


@pytest.mark.parametrize("factor", [2.0 ** -40, 2.0 ** -20, 2.0 ** 10]) # powers of two, so that nothing is rounded
def test_another_unit_of_price_changes_no_word(factor):
    other = build_report(bars_of(scaled(DAYS, factor)), chart=False)
    same = [name for name, fact in TRUE.facts.items() if fact.unit != "price"]
    assert list(other.facts) == list(TRUE.facts)
    for name in same:
        one, two = TRUE.facts[name].value, other.facts[name].value
        assert one == two if not isinstance(one, float) else one == pytest.approx(two, rel=1e-6, abs=1e-6), name


# The check alone


def test_every_numeric_character_of_unicode_is_seen():
    letters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) != "Cs"]
    numeric = [c for c in letters if unicodedata.numeric(c, None) is not None or unicodedata.category(c)[0] == "N"]
    assert len(numeric) > 1500
    for language, frame in (("english", "The target is {}."), ("persian", "هدف بعدی {} است.")):
        assert not [c for c in numeric if explain_refusal(frame.format(c), TRUE.facts, language) is None]


@settings(max_examples=200)
@given(kind=st.sampled_from(list(CORRUPTIONS)), language=st.sampled_from(LANGUAGES), seed=st.integers(0, 10_000))
def test_no_lie_passes(kind, language, seed):
    text = getattr(TRUE, language)
    false = corrupt_text(kind, text, TRUE.facts, language, seed)
    assert false is None or explain_refusal(false, TRUE.facts, language)


@settings(max_examples=150)
@given(st.text(max_size=60), st.integers(0, 10_000))
def test_nothing_typed_into_a_true_text_breaks_the_check(typed, at):
    text = TRUE.english[: at % len(TRUE.english)] + typed + TRUE.english[at % len(TRUE.english):]
    if explain_refusal(text, TRUE.facts) is None: # then no number was added or changed
        assert read_numbers(text) == read_numbers(TRUE.english)


# Charts


def test_charts_drawn_side_by_side_are_those_drawn_one_by_one():
    frames = (DAYS, scaled(DAYS.iloc[:60], 1e-12), random_walk(1, price=2e-9))
    charts = [bars_of(frame) for frame in frames]
    alone = [build_report(bars).chart for bars in charts]
    with ThreadPoolExecutor(3) as pool: together = list(pool.map(lambda bars: build_report(bars).chart, charts))
    assert alone == together and len({*alone}) == len(charts)
    assert all(picture.startswith(b"\x89PNG") for picture in alone)


def test_an_analysis_has_what_others_rely_on():
    assert MarketReport._fields == ("english", "persian", "facts", "levels", "chart", "writer", "rejected")
    assert build_report(bars_of(DAYS), scorer="rule", theme="dark").chart.startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="day7"): build_report(bars_of(DAYS, timeframe="day7"))
    assert trace_figures(TRUE.persian, TRUE.facts, "persian") and TRUE.chart is None
