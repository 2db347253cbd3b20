"Bars from a simulated LBank that fails in many ways, compared with its history."

import logging
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lbank import THIRD, LBank, open_lbank

from ohlcv_ta.data.exchanges import ccxt as exchanges
from ohlcv_ta.data.exchanges.base import TIMEFRAMES, InvalidRequest, UnknownPairError, bar_ends, default_pairs
from ohlcv_ta.data.exchanges.registry import open_market_source
from ohlcv_ta.data.exchanges.retry import SourceError

pytest.importorskip("ccxt")
SETTLED = pd.Timedelta(seconds=5) # a bar that was over for so long must be known


def source_of(address, **settings):
    return open_market_source("lbank", address, **{"timeout": 5.0, "tries": 2, "wait": 0.01, **settings})


def ask(lbank, source, pair, timeframe, limit, late=0):
    "Return bars, after a comparison with the newest closed bars of the exchange's history."
    before = lbank.clock() - SETTLED
    bars = source.bars(pair, timeframe, limit)
    after = lbank.clock()
    frame, over = lbank.frame(pair, timeframe), lbank.over(pair, timeframe)
    last = int(over.get_loc(bars.as_of))
    assert (over <= before).sum() - late <= last + 1 <= (over <= after).sum()
    pd.testing.assert_frame_equal(bars.frame, frame.iloc[max(last + 1 - limit, 0):last + 1], check_freq=False)
    growing = frame.iloc[last + 1:last + 2]
    assert len(bars.unfinished) <= 1 and bars.unfinished.index.isin(growing.index).all()
    assert (bars.unfinished.Open == growing.Open[:len(bars.unfinished)]).all()
    assert (bars.pair, bars.timeframe, bars.source) == (pair, timeframe, "lbank")
    return bars


@pytest.fixture(scope="module")
def calm():
    "An exchange without failures, and a source that uses it."
    lbank = LBank()
    with open_lbank(lbank) as address:
        yield lbank, source_of(address)


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize("limit", [1, 2000])
def test_every_timeframe_with_the_smallest_and_largest_limit(calm, timeframe, limit):
    bars = ask(*calm, "eth_usdt", timeframe, limit)
    assert len(bars.frame) == (limit if timeframe != "month1" else min(limit, len(bars.frame))) and len(bars.unfinished) == 1
    assert len(bars.frame) >= min(limit, 600) and bars.series == "ETH/USDT, LBank"
    assert bars.unfinished.Volume.item() <= calm[0].frame("eth_usdt", timeframe).Volume[bars.unfinished.index].item()


@pytest.mark.parametrize("limit", [0, -1, 2001, 10**9, True, 1.5, "5", None])
def test_invalid_limits(calm, limit):
    asked = calm[0].counts["/v2/kline.do"]
    with pytest.raises(InvalidRequest, match="Ask for 1 to 2000"): calm[1].bars("eth_usdt", "day1", limit)
    assert calm[0].counts["/v2/kline.do"] == asked


@pytest.mark.parametrize("timeframe", ["1d", "hour2", "", "day1; drop table", None, 5])
def test_invalid_timeframes(calm, timeframe):
    with pytest.raises(InvalidRequest, match="month1"): calm[1].bars("eth_usdt", timeframe)


@pytest.mark.parametrize("name", ["eth_usdt", "ETH_USDT", "eth/usdt", "ETH-usdt"])
def test_spellings_of_a_pair(calm, name):
    assert calm[1].bars(name, limit=3).series == "ETH/USDT, LBank"


def test_an_unknown_pair_lists_similar_pairs_and_is_not_requested(calm):
    lbank, source = calm
    source.bars("eth_usdt", limit=1)
    heard = len(lbank.heard)
    with pytest.raises(UnknownPairError, match=r"LBank has no pair 'etc_usdt'. Near it: .*eth_usdt"): source.bars("etc_usdt")
    for name in ("", "../../etc/passwd", "eth_usdt&type=day1", "x" * 100_000, "اتریوم", None, 5, "eth_usdt\n"):
        with pytest.raises(UnknownPairError): source.bars(name)
    assert len(lbank.heard) == heard


@pytest.mark.parametrize(("page", "limit"), [(2, 25), (7, 100), (300, 2000)])
def test_a_page_smaller_than_requested(page, limit):
    lbank = LBank(page=page)
    with open_lbank(lbank) as address:
        source = source_of(address)
        source.rate_limiter.wait = lambda distance: None # so many requests need not keep their distance here
        ask(lbank, source, "eth_usdt", "hour4", limit)
    assert lbank.counts["/v2/kline.do"] > limit / page


@pytest.mark.parametrize("limit", [1, 100, 1500])
def test_older_bars_replace_missing_ones(calm, limit):
    bars = ask(*calm, "thin_usdt", "minute5", limit)
    assert len(bars.frame) == limit


def test_a_young_market_has_fewer_bars(calm):
    for timeframe in ("day1", "month1"):
        assert 18 <= len(ask(*calm, "young_usdt", timeframe, 200).frame) <= 20


@pytest.mark.parametrize("ahead", [-86_400 * 365, -3600, 3600])
def test_the_exchange_clock_decides(ahead):
    lbank = LBank(ahead=ahead)
    with open_lbank(lbank) as address:
        bars = ask(lbank, source_of(address), "btc_usdt", "minute1", 5)
    assert abs((bars.as_of - pd.Timestamp.now("UTC")).total_seconds() - ahead) < 120


def test_the_newest_bar_may_be_missing():
    lbank = LBank(tails={"missing": 1})
    with open_lbank(lbank) as address:
        bars = ask(lbank, source_of(address), "eth_usdt", "hour8", 50)
    assert len(bars.frame) == 50 and len(bars.unfinished) == 0


def test_as_of_when_the_last_closed_bar_is_missing():
    lbank = LBank(tails={"late": 1})
    with open_lbank(lbank) as address:
        bars = ask(lbank, source_of(address), "eth_usdt", "hour8", 50, late=1)
    assert len(bars.frame) == 50 and lbank.clock() - bars.as_of > pd.Timedelta(hours=8)


def test_an_exchange_that_fails_a_third_of_the_time_gives_the_same_bars():
    dice = random.Random(1)
    lbank = LBank(moods=THIRD, tails={"good": 3, "missing": 1, "late": 1}, page=700, slow=0.4, seed=3)
    with open_lbank(lbank) as address:
        source = source_of(address, timeout=0.3, tries=13)
        for _ in range(60):
            ask(lbank, source, dice.choice(["btc_usdt", "eth_usdt", "thin_usdt"]), dice.choice([*TIMEFRAMES]),
                dice.choice([1, 200, 1000]), late=2)
    assert {*THIRD, "missing", "late"} <= set(lbank.counts), lbank.counts
    assert lbank.counts["impatient"] == 0 and source.counts["failed"] >= 20


def test_retry_after_is_kept():
    lbank = LBank(rest=1)
    with open_lbank(lbank) as address:
        lbank.next.extend(["busy", "good"] * 3) # for the pairs, the time and the bars
        ask(lbank, source_of(address), "eth_usdt", "day1", 1)
    assert (lbank.counts["busy"], lbank.counts["impatient"]) == (3, 0)


def test_a_long_retry_after_is_an_error():
    lbank = LBank(rest=3600)
    with open_lbank(lbank) as address:
        source = source_of(address, tries=5)
        source.bars("eth_usdt", limit=1)
        lbank.next.extend(["busy"])
        with pytest.raises(SourceError, match="LBank answers 429, too many requests and asks to wait 3600 seconds"):
            source.bars("eth_usdt", limit=1)
    assert lbank.counts["/v2/kline.do"] == 2


@pytest.mark.parametrize(("mood", "words"), [("broken", "answers 503"), ("busy in words", "answers that it is busy"),
                                             ("half an answer", "what is no answer|does not answer"),
                                             ("nonsense", "sends what is no answer"), ("slow", "RequestTimeout")])
def test_the_error_after_the_last_try_has_a_remedy(mood, words):
    lbank = LBank(slow=0.6)
    with open_lbank(lbank) as address:
        source = source_of(address, timeout=0.3, tries=3)
        source.bars("eth_usdt", limit=1)
        lbank.next.extend([mood] * 3)
        with pytest.raises(SourceError, match=f"LBank .*({words}).*, 3 times.*work with the embedded data"):
            source.bars("eth_usdt", limit=1)
        assert not lbank.next
        ask(lbank, source, "eth_usdt", "day1", 5)


def test_a_refusal_is_final():
    lbank = LBank()
    with open_lbank(lbank) as address:
        source = source_of(address, tries=5)
        source.bars("eth_usdt", limit=1)
        lbank.next.append("forbidden")
        with pytest.raises(SourceError, match="LBank refuses the request"): source.bars("eth_usdt", limit=1)
    assert lbank.counts["/v2/kline.do"] == 2


def test_an_unreachable_exchange():
    lbank = LBank()
    with open_lbank(lbank) as address:
        source, other = source_of(address), source_of(address)
        source.bars("eth_usdt", limit=1)
    for one in (source, other):
        asked = one.counts["requests"]
        with pytest.raises(SourceError, match=r"LBank does not answer .*2 times.*embedded data"): one.bars("eth_usdt")
        assert one.counts["requests"] - asked == 2


def test_a_pair_that_is_delisted_or_listed_later(monkeypatch):
    lbank = LBank()
    with open_lbank(lbank) as address:
        source = source_of(address)
        source.bars("eth_usdt", limit=1)
        lbank.pairs["new_usdt"] = 1.0
        del lbank.pairs["doge_usdt"]
        with pytest.raises(UnknownPairError, match="no longer has the pair DOGE/USDT"): source.bars("doge_usdt")
        with pytest.raises(UnknownPairError): source.bars("new_usdt")
        monkeypatch.setattr(exchanges, "_LIST_LIFETIME", 0.0)
        ask(lbank, source, "new_usdt", "day1", 5)


def test_the_most_traded_pairs(calm):
    names = calm[1].top()
    assert names == ["btc_usdt", "eth_usdt", "doge_usdt", "young_usdt", "thin_usdt"] and names.live
    assert calm[1].top(2) == names[:2]


def test_a_stored_list_replaces_an_unreachable_one(caplog):
    lbank = LBank()
    with open_lbank(lbank) as address:
        source, other = source_of(address), source_of(address)
        source.bars("eth_usdt", limit=1)
    with caplog.at_level(logging.WARNING):
        names, all_names = source.top(), other.top()
    assert names == ["btc_usdt", "eth_usdt", "doge_usdt"] and not names.live # of those that this exchange is known to have
    assert all_names == default_pairs() and not all_names.live
    assert "does not answer" in caplog.text and "stored list" in caplog.text


def test_many_threads_share_one_list_of_pairs_and_one_clock():
    lbank, dice = LBank(), random.Random(5)
    questions = [(dice.choice(["btc_usdt", "eth_usdt", "doge_usdt"]), dice.choice([*TIMEFRAMES]), dice.choice([1, 50, 500]))
                 for _ in range(96)]
    with open_lbank(lbank) as address, ThreadPoolExecutor(16) as pool:
        source = source_of(address)
        list(pool.map(lambda question: ask(lbank, source, *question), questions))
    assert (lbank.counts["/v2/accuracy.do"], lbank.counts["/v2/timestamp.do"]) == (1, 1)
    assert lbank.counts["/v2/kline.do"] == source.counts["requests"] - 2
    assert len(source._pool.idle) <= 16


def test_threads_share_the_failure_of_the_list():
    lbank, barrier = LBank(slow=0.6), threading.Barrier(8)
    lbank.next.extend(["slow"] * 2)
    with open_lbank(lbank) as address, ThreadPoolExecutor(8) as pool:
        source = source_of(address, timeout=0.3, tries=2)

        def come(k):
            barrier.wait()
            try: return source.bars("eth_usdt", limit=1)
            except SourceError as error: return error

        answers = list(pool.map(come, range(8)))
    assert any(isinstance(answer, SourceError) for answer in answers) and lbank.counts["slow"] == 2


def test_the_key_is_neither_sent_nor_logged(caplog):
    lbank = LBank(moods={"good": 1, "nonsense": 1})
    with open_lbank(lbank) as address, caplog.at_level(logging.DEBUG):
        source = source_of(address, key="the-key", secret="the-secret", tries=4)
        source.bars("eth_usdt", limit=5)
        source.top()
        with pytest.raises(UnknownPairError) as unknown: source.bars("nothing")
    said = "\n".join([*lbank.heard, caplog.text, repr(source), str(unknown.value)])
    assert len(lbank.heard) > 4 and "the-key" not in said and "the-secret" not in said


@given(st.sets(st.integers(1, 400), max_size=120), st.integers(1, 60), st.integers(2, 50), st.integers(1, 10), st.booleans())
def test_all_requested_bars_are_gathered(present, limit, page, step, containing):
    "With missing bars, small pages, and answers that begin before or after the requested time."
    stamps, now = [k * step for k in sorted(present)], 400 * step

    def told(since, size):
        first = int(np.searchsorted(stamps, since, "right")) - 1 if containing else int(np.searchsorted(stamps, since))
        return [(stamp,) for stamp in stamps[max(first, 0):][:min(size, page)] if stamp >= since] # as ccxt has it

    rows = [row[0] for row in exchanges._gather_bars(told, now, limit, step, step, 1000)]
    closed, wanted = [s for s in rows if s + step <= now], [s for s in stamps if s + step <= now]
    assert rows == sorted(set(rows)) and closed[-limit:] == wanted[-limit:]


@given(st.integers(0, 720), st.integers(-12, 14))
def test_a_month_ends_when_the_next_begins(month, zone):
    first = pd.Timestamp("1990-01-01", tz="UTC") + pd.DateOffset(months=month)
    starts = pd.DatetimeIndex([first, first + pd.DateOffset(months=1)]) - pd.Timedelta(hours=zone)
    assert bar_ends(starts, "month1")[0] == starts[1]
