"Volume that stands out: the statistics, batches with pairs that fail, and files that are whole."

import json
import re
import threading
import time
from collections import namedtuple
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest

from ohlcv_ta.data import SourceError, load_series, random_walk
from ohlcv_ta.data.io import read_json
from ohlcv_ta.evaluation.volume_generators import VOLUME_GENERATORS, measure_alarm
from ohlcv_ta.features.conformal import _hash_uniform, conformal_p_values
from ohlcv_ta.features.volume_anomaly import (
    SEVERITIES,
    alarm_p_values,
    classify_severity,
    detect_volume_anomalies,
    false_discovery_rate,
    inject_spikes,
    leave_one_out_deviations,
    log_scores,
    max_published_deviation,
    published_deviations,
    volume_baseline,
    volume_deviations,
)
from ohlcv_ta.market.alerts import format_alert
from ohlcv_ta.market.scanning import ScanSettings, file_stem, find_alerts, prune_scans, render_report, scan, write_scan

Bars = namedtuple("Bars", "frame pair timeframe source series as_of unfinished")
sizes = st.floats(1e-3, 1e9)
awkward = st.one_of(sizes, st.sampled_from([0.0, 1.0, 7.0, float("nan"), 1e-100, 1e100]))


# ---- statistics


@given(arrays(float, st.integers(5, 60), elements=sizes), st.integers(3, 40))
def test_no_bar_is_further_from_its_own_mean_than_the_limit(volume, window):
    z = published_deviations(volume, window)
    assert not (z > max_published_deviation(window) * (1 + 1e-9)).any()


@given(arrays(float, 24, elements=st.floats(1.0, 100.0)), st.floats(0.1, 1000.0))
def test_the_two_ways_of_measuring_are_one_formula(others, bar):
    assume(others.std() > 0.1)
    inside = published_deviations(np.r_[others, bar])[-1]
    assert leave_one_out_deviations(inside) == pytest.approx((bar - others.mean()) / others.std(ddof=1), rel=1e-6, abs=1e-6)


@given(arrays(float, 80, elements=st.one_of(sizes, st.just(0.0))), st.floats(1e-6, 1e6))
def test_the_unit_of_volume_does_not_matter(volume, factor):
    for score in (log_scores, lambda v: volume_deviations(v, volume_baseline(v)), published_deviations):
        one, other = score(volume), score(factor * volume)
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


@given(arrays(float, (3, 60), elements=awkward), st.integers(30, 59))
@settings(max_examples=40)
def test_what_was_said_of_a_bar_stays(volume, known):
    index = pd.date_range("2024-01-01", periods=60, freq="5min", tz="UTC")
    frames = {str(k): random_walk(60, seed=k).set_axis(index).assign(Volume=row) for k, row in enumerate(volume)}
    whole = detect_volume_anomalies(frames)
    then = detect_volume_anomalies({name: frame.iloc[:known] for name, frame in frames.items()})
    same = whole[whole.time < index[known]].reset_index(drop=True)
    pd.testing.assert_frame_equal(then, same)


@given(arrays(float, (2, 60), elements=awkward))
@settings(max_examples=60)
def test_nothing_awkward_makes_a_number_that_is_none(volume):
    index = pd.date_range("2024-01-01", periods=60, freq="5min", tz="UTC")
    frames = {str(k): random_walk(60, seed=k).set_axis(index).assign(Volume=row) for k, row in enumerate(volume)}
    marks = detect_volume_anomalies(frames)
    assert not np.isinf(marks.select_dtypes(float)).to_numpy().any()
    known = marks[marks.score.notna()]
    assert known.chance.between(0, 1).all() and known.confidence.between(0, 1).all()
    assert (marks.flagged == (marks.chance <= 0.005)).all() and (marks.flagged == (marks.severity != "")).all()
    assert not marks.flagged[~(marks.volume > 0)].any()


@given(st.lists(st.tuples(st.integers(0, 6), st.one_of(st.integers(0, 4), st.just(None))), min_size=1, max_size=40))
def test_ranks_are_counted_right(given_scores):
    when = np.array([time for time, _ in given_scores])
    score = np.array([np.nan if one is None else float(one) for _, one in given_scores])
    chance, earlier = conformal_p_values(score, when)
    for k in range(len(score)):
        past = score[(when < when[k]) & np.isfinite(score)]
        if np.isnan(score[k]):
            assert np.isnan(chance[k])
        else:
            assert earlier[k] == len(past)
            ties = _hash_uniform(when[k]) * (1 + (past == score[k]).sum())
            assert chance[k] == pytest.approx(((past > score[k]).sum() + ties) / (1 + len(past)))


@given(arrays(float, 60, elements=st.integers(0, 5)), st.integers(1, 20))
def test_a_rank_forgets_what_is_older_than_its_memory(score, memory):
    chance, earlier = conformal_p_values(score, np.arange(60), memory)
    part, _ = conformal_p_values(score[59 - memory:], np.arange(59 - memory, 60))
    assert earlier[-1] == memory and chance[-1] == pytest.approx(part[-1])


def test_the_draw_is_even():
    drawn = _hash_uniform(np.arange(100_000) * 300_000_000_000)
    assert drawn.min() > 0 and drawn.max() < 1
    counts = np.bincount((drawn * 20).astype(int), minlength=20)
    assert ((counts - 5000) ** 2 / 5000).sum() < 45 # chi-square with 19 degrees of freedom, one in a thousand


@pytest.mark.parametrize("rate", [0.02, 0.005])
def test_the_stated_rate_is_the_measured_rate_on_shuffled_volume(rate):
    rng, false, asked = np.random.default_rng(1), 0, 0
    chosen = (("BTC-USD", "1h"), ("XRP-USD", "1h"), ("NVDA", "1d"))
    series = [load_series(name, timeframe).Volume.to_numpy() for name, timeframe in chosen]
    for volume in series * 6:
        score = log_scores(rng.choice(volume, 8000))
        chance, by = alarm_p_values(score, np.arange(8000), rate)
        false, asked = false + int((chance[by == "rank"] <= rate).sum()), asked + int((by == "rank").sum())
    assert rate * asked > 400
    low, high = binomtest(false, asked).proportion_ci(0.95)
    assert low <= rate <= high


def test_the_stated_rate_holds_in_batches_of_short_series():
    rng, rates = np.random.default_rng(2), []
    series = [load_series(name, "30m").Volume.to_numpy() for name in ("BTC-USD", "ETH-USD", "LTC-USD", "XRP-USD", "EOS-USD")]
    for _ in range(30):
        volume = np.array([rng.choice(series[k % 5], 50) for k in range(200)])
        chance, by = alarm_p_values(log_scores(volume), np.arange(50))
        rates.append((chance[:, 30:][by[:, 30:] == "rank"] <= 0.005).mean())
    assert 0.005 * 30 * 200 * 20 > 400
    assert abs(np.mean(rates) - 0.005) < 1.96 * np.std(rates, ddof=1) / np.sqrt(30) + 1e-4


@pytest.mark.parametrize("name", ["common shocks", "common factor", "daily cycle", "discrete lots", "spread that doubles",
                                  "tails from 8 to 2 degrees"])
def test_the_stated_rate_holds_in_scans_that_break_an_assumption(name):
    rng = np.random.default_rng(4)
    found = [measure_alarm(VOLUME_GENERATORS[name](rng, (200, 50))) for _ in range(12)]
    alarms, bars = (sum(getattr(one, part) for one in found) for part in ("alarms", "calibrated"))
    assert bars == 12 * 200 * 15 and 0.6 < alarms / bars / 0.005 < 1.5
    assert max(one.largest for one in found) < 15 # of 200; without the adjustment a common factor flags all of them


def test_the_calibrated_rate_holds_with_one_lot_in_most_bars():
    rng = np.random.default_rng(4)
    found = [measure_alarm(VOLUME_GENERATORS["one lot in most bars"](rng, (200, 50))) for _ in range(12)]
    assert sum(one.calibrated for one in found) == 12 * 200 * 15
    assert 0.6 < sum(one.alarms for one in found) / (12 * 200 * 15) / 0.005 < 1.5 # before, the formula flags far more


def test_a_rate_is_not_called_calibrated_too_early():
    volume = VOLUME_GENERATORS["autocorrelated, 0.95"](np.random.default_rng(5), (2, 1030))
    found = measure_alarm(volume)
    assert found.scored == 2 * 1005 and found.calibrated == 2 * 5 # two pairs may move together, so that each needs its own bars


def test_the_market_is_no_alarm_of_any_pair():
    volume = random_walk(200 * 50, seed=6).Volume.to_numpy(copy=True).reshape(200, 50)
    volume[:, -1] *= 8
    volume[3, -1] *= 20
    index = pd.date_range("2024-01-01", periods=50, freq="5min", tz="UTC")
    frames = {str(k): random_walk(50).set_axis(index).assign(Volume=row) for k, row in enumerate(volume)}
    marks = detect_volume_anomalies(frames)
    last = marks.groupby("name", sort=False).tail(1).set_index("name")
    assert last.flagged["3"] and last.flagged.sum() <= 5 and last.market.between(6, 10).all() and last.calibrated.all()
    assert (last.deviations > 4).mean() > 0.9


def test_a_spike_of_five_deviations_is_found():
    volume = random_walk(200 * 50 * 5, seed=3).Volume.to_numpy(copy=True).reshape(5, 200, 50) # log-normal, 0.5 wide
    volume[:, :, -1] *= np.exp(0.5 * 5)
    found = [(alarm_p_values(log_scores(one), np.arange(50))[0][:, -1] <= 0.005).mean() for one in volume]
    assert np.mean(found) >= 0.95


def test_every_severity_occurs():
    volume, size = inject_spikes(random_walk(20_000, seed=4).Volume.to_numpy(), 0.01)
    z = volume_deviations(volume, volume_baseline(volume))
    seen = set(classify_severity(z[(size > 0) & (z > 4)]))
    assert seen == set(SEVERITIES)


@given(st.lists(st.one_of(st.floats(1e-9, 1.0), st.just(float("nan"))), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_discoveries_are_those_of_the_step_up_procedure(chances, share):
    chance = np.array(chances)
    known = np.sort(chance[np.isfinite(chance)])
    least, most = (_step_up(known, share * (1 + tiny)) for tiny in (-1e-9, 1e-9))
    assert least <= (false_discovery_rate(chance) <= share).sum() <= most


def _step_up(known, share):
    "How many of some sorted chances are discoveries."
    below = np.flatnonzero(known <= share * np.arange(1, len(known) + 1) / max(len(known), 1))
    return below[-1] + 1 if len(below) else 0


# ---- batches


class Exchange:
    "Real volume in shuffled order under any name; a spike where the name says so, and every way to fail."
    name = "local"

    def bars(self, pair, timeframe="minute5", limit=50):
        if pair.startswith("unknown"): raise LookupError(f"there is no pair {pair!r}")
        if pair.startswith("down"): raise SourceError("local does not answer, 4 times")
        if pair.startswith("bug"): raise ZeroDivisionError("division by zero")
        frame = load_series("BTC-USD", "30m").iloc[-limit:].copy()
        rng = np.random.default_rng(sum(pair.encode()))
        frame["Volume"] = rng.choice(load_series("BTC-USD", "30m").Volume.to_numpy(), limit)
        if "spike" in pair: frame.iloc[-1, 4] = 1e6
        if pair.startswith("empty"): frame = frame.iloc[:0]
        if pair.startswith("broken"): frame = frame.drop(columns="Close")
        if pair.startswith("short"): frame = frame.tail(3)
        if pair.startswith("silent"): frame["Volume"] = 0.0
        if pair.startswith("same"): frame["Volume"] = 5.0
        return Bars(frame, pair, timeframe, self.name, "made up", frame.index[-1] if len(frame) else None, frame.iloc[:0])


MANY = [f"coin{k}_usdt" for k in range(40)]
HOSTILE = ["../../etc/passwd", "<script>alert(1)</script>", "a\nb", "$x^{2}$ spike", "CON", "..", "c:\\spike", "x" * 300,
           "é\u202espike", "'; drop table", "\ud800", "{title}", "</svg><img src=x onerror=alert(1)> spike"]


@pytest.fixture(scope="module")
def batch():
    odd = ("spike", "unknown", "down", "bug", "empty", "broken", "short", "silent", "same", "coin1")
    return scan(Exchange(), [*MANY, *(f"{name}_usdt" for name in odd)])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place") / "inside" / "results"
    batch = scan(Exchange(), [*MANY, *HOSTILE])
    return batch, folder, write_scan(batch, folder)


def test_pairs_that_fail_are_told_and_the_others_scanned(batch):
    assert set(batch.failed) == {"unknown_usdt", "down_usdt", "bug_usdt", "empty_usdt", "broken_usdt"}
    assert batch.failed["bug_usdt"] == "ZeroDivisionError: division by zero" and "Close" in batch.failed["broken_usdt"]
    said = batch.summary()
    assert said["pairs"] == {"asked": 49, "scanned": 44, "scored": 42, "failed": 5}
    assert said["calibrated"] == 0 and said["expected_by_chance"] is None # 42 pairs are too few to know what they share
    assert set(said["unscored"]) == {"short_usdt", "silent_usdt"} and not batch.rows.set_index("name").flagged["same_usdt"]
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_a_spike_is_first_flagged_discovered_and_worth_an_alert(batch):
    first = next(batch.rows.itertuples())
    assert first.name == "spike_usdt" and first.flagged and first.discovered and first.severity == "extreme"
    assert [one.pair for one in find_alerts(batch)] == ["spike_usdt"] and find_alerts(batch, 1.0) == []


def test_a_batch_in_which_every_pair_fails(tmp_path):
    batch = scan(Exchange(), ["unknown_1", "down_2"])
    written = write_scan(batch, tmp_path)
    assert batch.rows.empty and find_alerts(batch) == [] and written.files == []
    assert read_json(written.summary)["pairs"] == {"asked": 2, "scanned": 0, "scored": 0, "failed": 2}


def test_settings_that_make_no_sense_are_refused_in_a_sentence():
    wrong = {"window": 2, "periods": 25, "rate": 0.0, "prior": 1.0, "confidence": 1.1, "rule": "best", "concurrent": 0,
             "k": -1.0, "discovery": 0.0}
    for name, value in wrong.items():
        with pytest.raises(ValueError, match=f"^{name}="): ScanSettings(**{name: value})
    with pytest.raises(ValueError, match="no pair to scan"): scan(Exchange(), [])


def test_ten_pairs_are_fetched_at_a_time():
    now, most, lock = [0], [0], threading.Lock()

    class Slow(Exchange):
        def bars(self, *asked):
            with lock: now[0] += 1; most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock: now[0] -= 1
            return super().bars(*asked)

    told = []
    scan(Slow(), MANY, ScanSettings(concurrent=10), told.append)
    assert 1 < most[0] <= 10 and sum(told) == len(MANY)


def test_the_rule_of_deviations(batch):
    other = scan(Exchange(), [*MANY, "spike_usdt"], ScanSettings(rule="deviations", k=3.0))
    assert (other.rows.flagged == (other.rows.deviations >= 3)).all() and other.summary()["expected_by_chance"] is None


# ---- files


def test_no_name_leaves_the_folder(hostile):
    batch, folder, written = hostile
    assert not written.failed
    everything = [path for path in folder.parents[1].rglob("*") if path.is_file()]
    assert everything and all(path.parent == folder for path in everything)
    ours = re.compile(r"[a-z0-9_-]+_minute5_\d{8}_\d{6}_(data|chart|report)\.(json|html|png)")
    assert all(ours.fullmatch(path.name) for path in written.files)
    flagged = int(batch.rows.flagged.sum())
    assert len(everything) == 3 * len(batch.bars) + flagged + 2 and flagged >= 3
    assert len({path.name.lower() for path in written.files}) == len(written.files)


@given(st.lists(st.text(max_size=60), min_size=2, max_size=10, unique=True))
def test_two_names_never_share_a_file(names):
    stems = [file_stem(name) for name in names]
    assert len({stem.lower() for stem in stems}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+[a-z0-9_-]*", stem) and len(stem) <= 60 for stem in stems)


class Tags(HTMLParser):
    "The tags of a page, and where its links lead."
    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attributes)


def test_names_are_text_in_every_page(hostile):
    _, folder, written = hostile
    for path in written.files:
        if path.suffix != ".html": continue
        page = Tags(path.read_text(encoding="utf-8"))
        assert page.tags.count("script") == (3 if "_chart" in path.name else 0) and "img" not in page.tags
        assert all((folder / link).is_file() for link in page.links), page.links


def test_the_files_hold_what_was_found(hostile):
    batch, folder, written = hostile
    summary = read_json(written.summary)
    assert set(summary["files"]) == {path.name for path in written.files}
    assert summary["flagged"] == len(summary["suspicious"]) == sum(path.suffix == ".png" for path in written.files)
    data = read_json(folder / f"coin1_usdt_minute5_{batch.stamp}_data.json")
    assert data["source"] == "local" and len(data["bars"]["time"]) == len(data["bars"]["deviations"]) == 50
    chart = (folder / f"coin1_usdt_minute5_{batch.stamp}_chart.html").read_text()
    figure = json.loads(re.search(r'id="figure">(.*?)</script>', chart, re.S)[1])
    assert [one["type"] for one in figure["data"]] == ["candlestick", "bar", "scatter", "scatter"]
    assert figure["data"][1]["y"] == data["bars"]["volume"] and len(chart) < 40_000
    for path in written.files:
        if path.suffix == ".png": assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_report_is_in_english_and_says_what_it_does_not_show(batch):
    page = render_report(batch, "spike_usdt", with_image=True)
    assert "not yet calibrated" in page and "not yet calibrated" in format_alert(find_alerts(batch)[0])
    assert "stands out" in page and "extreme" in page and "no proof of manipulation" in page and 'lang="en"' in page
    assert "cannot be assessed" in render_report(batch, "silent_usdt")


def test_files_that_cannot_be_written_cost_no_other_pair(batch, tmp_path):
    (tmp_path / f"coin1_usdt_minute5_{batch.stamp}_report.html" / "in the way").mkdir(parents=True)
    written = write_scan(batch, tmp_path)
    assert set(written.failed) == {"coin1_usdt"} and read_json(written.summary)["unwritten"] == written.failed
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(written.files) >= 3 * (len(batch.bars) - 1)


def test_old_batches_go_and_nothing_else(hostile, tmp_path):
    batch, *_ = hostile
    write_scan(batch, tmp_path)
    count = len(list(tmp_path.iterdir()))
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / ".batch_summary_20200101_000000.json.0a1b2c3d").write_text("a writer died here")
    (tmp_path / "link_20200101_000000_data.json").symlink_to(tmp_path / "notes.json")
    assert prune_scans(tmp_path, max_scans=1) == 2 and (tmp_path / "notes.json").exists()
    assert prune_scans(tmp_path, max_days=1, now=batch.started + pd.Timedelta(days=2)) == count - 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.json", "plotly.min.js"]
