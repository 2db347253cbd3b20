"False sentences without figures: number words, verbs, verdicts and denials, in English and in Persian."

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.reports import DAYS, TRUE, bars_of, scaled

from ohlcv_ta.data import load_series, random_walk, read_catalog
from ohlcv_ta.market.report import false_phrases
from ohlcv_ta.market.report.analysis import build_report
from ohlcv_ta.market.report.false_statements import FALSE_STATEMENTS, add_false_statement
from ohlcv_ta.market.report.formatting import LANGUAGES, find_placeholders, format_fact
from ohlcv_ta.market.report.text import RuleWriter
from ohlcv_ta.market.report.verification import explain_refusal

ROOT = Path(__file__).parents[2]
CHARTS = [TRUE, *(build_report(bars_of(random_walk(200, seed=seed)), chart=False) for seed in range(5))]
AUDIT = {"english": ["RSI(14) is at seventy.", "The last close topped EMA(50).", "Price has doubled.",
                     "The market is bullish."],
         "persian": ["RSI(۱۴) برابر هفتاد است.", "آخرین قیمت پایانی از EMA(۵۰) گذشته است.", "قیمت دو برابر شده است.",
                     "بازار صعودی است."]}
UNSUPPORTED = {"english": """Bulls own this tape.
Do not miss this rally.
The pair looks heavy.
Support at the nearest support has cracked.
RSI(14) is printing a divergence.
MFI(14) confirms the move.
ADX(14) says that the trend is dying.
EMA(9) is curling over.
EMA(21) acts as support.
The averages have fanned out.
The last close is a new record.
The last bar was a hammer.
The last bar engulfed the one before.
The whole period was one long slide.
Price is coiling.
Price is at its highest.
Price is near EMA(50).
Price is far above EMA(50).
Price is just below EMA(50).
Price is twice EMA(50).
Price is above water.
Price is below fair value.
Price and EMA(50) have parted.
The Bollinger bands are squeezing.
The upper Bollinger band was rejected.
Bollinger width is tiny.
ATR(14) is large.
ATR(14) has shrunk by half.
Volume confirms the trend.
Volume is three times the mean volume.
The last volume is a climax.
There are ninety touches at the nearest support.
The nearest resistance is miles away.
The nearest resistance is a percent away.
The nearest support is one ATR away.
The nearest support is stronger than the nearest resistance.
The second resistance is the target.
Take profit at the nearest resistance.
A stop belongs below the nearest support.
Risk and reward are balanced.
Momentum is accelerating.
Momentum is positive.
The trend is mature.
The trend is sideways.
The trend is up.
The trend is about to change.
RSI(14) is neutral to bullish.
RSI(14) is seven points above the RSI oversold line.
It is neither above EMA(9) nor below EMA(21).
This is a forecast.
This is both a forecast and advice.
It is advice.
The averages are in perfect order.
A close above the nearest resistance would bring new highs.
A close below the nearest support would mean a crash.
If price falls, buy.
Unless support breaks, hold.
Expect more.
This pair never sleeps.
The data are complete and audited.""",
"persian": """گاوها بازار را در دست دارند.
این رشد را از دست ندهید.
نزدیک‌ترین حمایت شکسته شده است.
RSI(۱۴) واگرایی دارد.
MFI(۱۴) این حرکت را تأیید می‌کند.
EMA(۲۱) نقش حمایت دارد.
آخرین قیمت پایانی یک رکورد است.
آخرین کندل چکش بود.
قیمت در اوج است.
قیمت نزدیک EMA(۵۰) است.
قیمت کمی زیر EMA(۵۰) است و خواهد ماند.
قیمت دو برابر EMA(۵۰) است.
باندهای بولینگر تنگ شده‌اند.
ATR(۱۴) زیاد است.
حجم روند را تأیید می‌کند.
حجم سه برابر میانگین است.
نزدیک‌ترین مقاومت یک درصد فاصله دارد.
نزدیک‌ترین حمایت قوی است.
هدف دومین مقاومت است.
حد ضرر زیر نزدیک‌ترین حمایت است.
مومنتوم مثبت است.
مومنتوم شتاب گرفته است.
روند رو به پایان است.
روند خنثی است.
این متن پیش‌بینی است.
این متن توصیهٔ خرید یا فروش است.
نه خرید و نه فروش.
آرایش میانگین‌ها بی‌نقص است.
اگر قیمت افت کند بخرید.
بازار بیش از این جا ندارد.
هیچ مقاومتی در راه نیست.
در این کندل‌ها مقاومت قوی یافت نشد.
EMA(۹) در آستانهٔ چرخش است.
ADX(۱۴) می‌گوید روند رو به مرگ است.
قیمت به‌زودی می‌جهد."""}


def words_of_the_book():
    "Return every English word in the prose of the project's notebooks."
    cells = (cell for path in ROOT.glob("nbs/**/*.ipynb") for cell in json.loads(path.read_text())["cells"])
    return sorted({word for cell in cells if cell["cell_type"] == "markdown"
                   for word in re.findall("[a-z]+", "".join(cell["source"]).lower())})


def windows():
    "Every embedded series, cut at two places, in windows of different lengths and units."
    for k, row in enumerate(read_catalog().itertuples()):
        frame, rng = load_series(row.symbol, row.timeframe, row.venue), np.random.default_rng(k)
        for length in (200, int(rng.integers(20, 400))):
            end = int(rng.integers(min(length, len(frame)), len(frame) + 1))
            yield f"{row.symbol}, {row.venue}", scaled(frame.iloc[max(end - length, 0):end], 10.0 ** int(rng.integers(-3, 2)))


def test_no_true_report_of_any_series_is_refused():
    count = 0
    for k, (series, frame) in enumerate(windows()):
        bars = bars_of(frame, timeframe=("minute5", "hour1", "day1", "week1")[k % 4], series=series)
        report = build_report(bars, chart=False)
        assert report.writer == "rules" and report.rejected is None
        count += 1
    assert count > 800


@pytest.mark.parametrize("pair", ["RSI", "ATR", "ADX", "MFI", "EMA", "CLOSE", "rsi_usdt", "TREND", "UTC"])
def test_a_pair_named_as_an_indicator_gets_its_report(pair):
    report = build_report(bars_of(DAYS, pair=pair, series=pair), chart=False)
    assert report.rejected is None and f"{report.facts['pair'].value}".split("_")[0].upper() in report.english


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_of_the_audit_are_refused(language):
    for sentence in AUDIT[language]:
        assert explain_refusal(sentence, TRUE.facts, language), sentence
        assert explain_refusal(f"{getattr(TRUE, language)} {sentence}", TRUE.facts, language), sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_without_support_are_refused(language):
    sentences = UNSUPPORTED[language].split("\n") + [
        f"{phrase.format(f='')}." for phrase in false_phrases.VERDICTS[language].strip().split("\n")]
    for report in CHARTS:
        assert [one for one in sentences if explain_refusal(one, report.facts, language) is None] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", FALSE_STATEMENTS)
def test_false_statements_are_refused(kind, language):
    made = 0
    for report in CHARTS:
        for seed in range(40):
            false = add_false_statement(kind, getattr(report, language), report.facts, language, seed)
            assert false is None or explain_refusal(false, report.facts, language), false
            made += false is not None
    assert made >= 40


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_fact_of_a_report_is_checked(language):
    "A text is refused as soon as one of the facts that it states has another value, or is gone."
    words = {"rising": "falling", "falling": "rising", "neutral": "oversold", "overbought": "neutral", "oversold": "neutral",
             "strong": "weak", "weak": "strong", "bullish": "mixed", "bearish": "mixed", "mixed": "bullish"}
    changed = 0
    for report in CHARTS:
        text, draft = getattr(report, language), getattr(RuleWriter().draft(report.facts), language)
        for name in find_placeholders(draft):
            fact = report.facts[name]
            if not fact.is_number and fact.value not in words: continue # compared by its numbers
            other = fact.value * 1.37 + 10 if fact.is_number else words[fact.value]
            changed += 1
            for facts in ({**report.facts, name: fact._replace(value=other)}, {**report.facts, name: None}):
                known = {key: one for key, one in facts.items() if one is not None}
                assert explain_refusal(text, known, language), name
    assert changed > 50


def test_the_reason_names_the_unknown_word():
    assert "'topped'" in str(explain_refusal("The last close topped EMA(50).", TRUE.facts))
    assert "'هفتاد'" in str(explain_refusal("RSI(۱۴) برابر هفتاد است.", TRUE.facts, "persian"))
    assert "cannot be checked" in str(explain_refusal("EMA(9) is the last close.", TRUE.facts))


def test_no_word_of_the_book_makes_an_unchecked_statement():
    facts, side = TRUE.facts, TRUE.facts["close_ema_50"].value
    sides = {"above": {"above", "over"}, "below": {"below", "under", "beneath"}}[side]
    frames = {"The market is {}.": set(), "Price {}.": set(), "The last bar {}.": set(), "RSI(14) is at {}.": set(),
              "The trend is {}.": {facts["trend"].value, facts["trend_strength"].value},
              "Momentum is {}.": {facts["rsi_state"].value}, "EMA(9) is {}.": {facts["ema_9_slope"].value},
              "The last close {} EMA(50).": sides, "The last close is {} EMA(50).": sides,
              f"The last close is {{}} {side} EMA(50).": {"now", "currently", "also"}, "It is {}.": set(),
              "A close above the nearest resistance would {}.": set(), "{} the nearest support.": set()}
    words = words_of_the_book()
    assert len(words) > 2000
    for frame, allowed in frames.items():
        accepted = {word for word in words if explain_refusal(frame.format(word), facts) is None}
        assert accepted <= allowed, frame
        assert {word for word in allowed if explain_refusal(frame.format(word), facts) is None} == allowed, frame


def test_a_long_text_is_read_or_refused_in_time():
    clause = "RSI(14) is " + format_fact(TRUE.facts["rsi_14"], "english")
    assert explain_refusal(f"{', '.join([clause] * 400)}.", TRUE.facts)
    assert explain_refusal(f"{'. '.join([clause] * 400)}.", TRUE.facts) is None
    assert explain_refusal(f"{', '.join([clause] * 50)}, up.", TRUE.facts)
