"The ledger of claims, and negative controls."

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcv_ta.data.io import read_json, to_jsonable, write_atomic, write_json
from ohlcv_ta.evaluation import (
    Claim,
    ClaimError,
    LookAheadError,
    Verdict,
    assess_claims,
    check_causality,
    claims_table,
    decide_verdict,
    read_claims,
    refuse_unanswered,
    shuffle_blocks,
    shuffle_labels,
    write_claims,
)

ROOT = Path(__file__).parents[2]
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
numbers = st.floats(-1e6, 1e6)


@st.composite
def claims(draw):
    verdict = draw(st.sampled_from(Verdict))
    baseline = draw(words) if verdict is Verdict.NO_SKILL else ""
    return Claim(system=draw(st.sampled_from("ABCDE")), chapter=draw(words), claim=draw(words),
                 claimed=draw(numbers | words), as_published=draw(st.none() | numbers), leak_free=draw(numbers),
                 low=draw(st.none() | numbers), high=draw(st.none() | numbers), verdict=verdict, why=draw(words),
                 data=draw(st.sampled_from(["same data", "other data", "no data"])), baseline=baseline,
                 missing=draw(words) if verdict is Verdict.NOT_TESTED else "")


@given(st.lists(claims(), min_size=1, max_size=5, unique_by=lambda claim: (claim.system, claim.claim)))
def test_claims_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("claims")
    write_claims(folder / "one.json", rows)
    again = read_claims(folder)
    assert len(again) == len(rows) == len(claims_table(again))
    assert [claim.verdict for claim in again] == [c.verdict for c in sorted(rows, key=lambda c: (c.system, c.chapter))]
    first = (folder / "one.json").read_bytes()
    assert write_claims(folder / "one.json", [Claim(**row) for row in read_json(folder / "one.json")])
    assert (folder / "one.json").read_bytes() == first


@given(numbers, numbers, st.floats(0, 10), st.floats(0, 10), st.none() | numbers)
def test_verdict_is_symmetric_in_sign(claimed, value, down, up, chance):
    low, high = value - down, value + up
    mirrored = decide_verdict(-claimed, -value, -high, -low, "lower", None if chance is None else -chance)[0]
    assert decide_verdict(claimed, value, low, high, "higher", chance)[0] == mirrored


@given(numbers, st.floats(0, 10), st.floats(0, 10))
def test_verdict_of_the_value_and_of_values_outside(value, down, up):
    low, high = value - down, value + up
    assert decide_verdict(value, value, low, high)[0] is Verdict.REPRODUCED
    assert decide_verdict(high + 1, value, low, high)[0] is Verdict.NOT_REPRODUCED
    assert decide_verdict(low - 1, value, low, high, better="equal")[0] is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize(("row", "problem"), [
    ({}, "claim, claimed, system is missing"),
    ({"system": "D", "claim": "AUC", "claimed": 1}, "'AUC': it needs exactly one"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "a.b", "verdict": "reproduced"}, "exactly one"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.nothing"}, "'AUC': there is no 'nothing'"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.auc.deeper.still"}, "'AUC'"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.unknown"}, "has no value"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.auc", "better": "more"}, "better must be"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "implied": {"sum": [1, 2]}}, "not a product, difference"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "verdict": "not tested here", "why": "lost"}, "'AUC'.*missing"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "verdict": "contradicts itself"}, "'AUC'.*needs a why"),
])
def test_invalid_row_raises_and_is_named(row, problem):
    with pytest.raises(ClaimError, match=problem):
        assess_claims([row], "chapter", {"model": {"auc": 0.5, "unknown": None}})


def test_every_published_claim_has_a_verdict():
    refuse_unanswered(read_claims(ROOT / "results" / "claims"), ROOT / "claims")


def test_measured_value_with_or_without_interval():
    row = {"system": "D", "claim": "AUC", "claimed": 0.6, "metric": "model.auc", "data": "other data"}
    exact, = assess_claims([row], "chapter", {"model": {"auc": 0.6}}, as_published={"model": {"auc": 0.7}})
    wide, = assess_claims([row], "chapter", {"model": {"auc": {"value": 0.5, "low": 0.4, "high": 0.65}}})
    assert (exact.verdict, exact.as_published, exact.low) == (Verdict.REPRODUCED, 0.7, None)
    assert (wide.verdict, wide.as_published, wide.low) == (Verdict.REPRODUCED, None, 0.4)


@given(numbers, st.floats(0, 10), st.floats(-10, 10), st.floats(0, 5))
def test_no_skill_where_the_paired_difference_is_not_above_zero(value, width, difference, half):
    over = {"baseline": "distance", "value": difference, "low": difference - half, "high": difference + half}
    verdict = decide_verdict(value, value, value - width, value + width, over=over)[0]
    assert verdict is (Verdict.REPRODUCED if over["low"] > 0 else Verdict.NO_SKILL)


def test_failed_write_keeps_the_old_file(tmp_path):
    path = write_json(tmp_path / "metrics.json", {"auc": 0.5})
    with pytest.raises(TypeError):
        write_atomic(path, object())
    with pytest.raises(TypeError):
        write_json(path, {"auc": object()})
    assert read_json(path) == {"auc": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_write_replaces_a_link_and_keeps_its_target(tmp_path):
    kept = write_atomic(tmp_path / "kept", "old")
    (tmp_path / "link").symlink_to(kept)
    write_atomic(tmp_path / "link", "new")
    assert (kept.read_text(), (tmp_path / "link").read_text()) == ("old", "new")


@given(st.floats(-1e300, 1e300), st.integers(1, 17))
def test_rounding_is_idempotent(value, digits):
    assert to_jsonable(to_jsonable(value, digits), digits) == to_jsonable(value, digits)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=80), st.integers(1, 90), st.integers(0, 99))
def test_shuffles_keep_labels(y, block, seed):
    assert sorted(shuffle_labels(y, seed)) == sorted(shuffle_blocks(y, block, seed)) == sorted(y)
    assert np.array_equal(shuffle_blocks(y, block, seed), shuffle_blocks(y, block, seed))


@pytest.fixture
def bars():
    index = pd.date_range("2019-01-01", periods=300, freq="h", tz="UTC", name="time")
    return pd.DataFrame({"Close": np.random.default_rng(0).normal(size=300).cumsum()}, index=index)


@given(st.integers(1, 40))
def test_look_ahead_raises_and_lag_passes(shift):
    frame = pd.DataFrame({"Close": np.random.default_rng(shift).normal(size=300)})
    assert check_causality(lambda f: f.shift(shift), frame)
    with pytest.raises(LookAheadError):
        check_causality(lambda f: f.shift(-shift), frame)


@pytest.mark.parametrize(("function", "column"), [
    (lambda f: f.Close.to_numpy() / f.Close.mean(), 0),
    (lambda f: f.assign(up=f.Close < f.Close.iloc[-1]), "up"),
    (lambda f: pd.DataFrame({f"bars_{len(f)}": f.Close}), "bars_100"),
    (lambda f: f.Close.iloc[::-1].iloc[:50].iloc[::-1], "the row itself"),
    (lambda f: f.assign(name=np.where(f.Close > f.Close.median(), "high", "low")), "name"),
])
def test_look_ahead_error_names_the_column(bars, function, column):
    with pytest.raises(LookAheadError) as caught:
        check_causality(function, bars, prefix_lengths=[100, 250])
    assert caught.value.column == column and caught.value.known == 100


def test_text_and_boolean_columns_pass(bars):
    def features(frame):
        return frame.assign(up=frame.Close.diff() > 0, name=np.where(frame.Close > 0, "above", None))
    assert check_causality(features, bars) > 0
