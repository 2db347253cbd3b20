"The ledger: complete or not at all; and the controls that stand before it."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ohlcv_ta.data.files import plain, read_json, write_json, write_whole
from ohlcv_ta.evaluation import (
    Claim,
    ClaimError,
    LookAheadError,
    Verdict,
    answer,
    judge,
    ledger,
    read_claims,
    replays,
    shuffle_blocks,
    shuffle_labels,
    write_claims,
)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
numbers = st.floats(-1e6, 1e6)


@st.composite
def claims(draw):
    verdict = draw(st.sampled_from(Verdict))
    return Claim(system=draw(st.sampled_from("ABCDE")), chapter=draw(words), claim=draw(words),
                 claimed=draw(numbers | words), as_written=draw(st.none() | numbers), as_should=draw(numbers),
                 low=draw(st.none() | numbers), high=draw(st.none() | numbers), verdict=verdict, why=draw(words),
                 missing=draw(words) if verdict is Verdict.UNTESTABLE else "")


@given(st.lists(claims(), min_size=1, max_size=5, unique_by=lambda claim: (claim.system, claim.claim)))
def test_what_is_written_is_read_again_and_every_claim_has_its_row(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("claims")
    write_claims(folder / "one.json", rows)
    again = read_claims(folder)
    assert len(again) == len(rows) == len(ledger(again))
    assert [claim.verdict for claim in again] == [c.verdict for c in sorted(rows, key=lambda c: (c.system, c.chapter))]
    first = (folder / "one.json").read_bytes()
    assert write_claims(folder / "one.json", [Claim(**row) for row in read_json(folder / "one.json")])
    assert (folder / "one.json").read_bytes() == first


@given(numbers, numbers, st.floats(0, 10), st.floats(0, 10), st.none() | numbers)
def test_a_verdict_is_the_same_when_better_means_lower_and_all_signs_change(claimed, value, down, up, chance):
    low, high = value - down, value + up
    mirrored = judge(-claimed, -value, -high, -low, "lower", None if chance is None else -chance)[0]
    assert judge(claimed, value, low, high, "higher", chance)[0] == mirrored


@given(numbers, st.floats(0, 10), st.floats(0, 10))
def test_the_value_itself_always_holds_and_what_is_out_of_reach_never(value, down, up):
    low, high = value - down, value + up
    assert judge(value, value, low, high)[0] is Verdict.HOLDS
    assert judge(high + 1, value, low, high)[0] is Verdict.FAILS
    assert judge(low - 1, value, low, high, better="equal")[0] is Verdict.FAILS


@pytest.mark.parametrize(("row", "problem"), [
    ({}, "claim, claimed, system is missing"),
    ({"system": "D", "claim": "AUC", "claimed": 1}, "'AUC': it needs exactly one"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "a.b", "verdict": "holds"}, "exactly one"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.nothing"}, "'AUC': there is no 'nothing'"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.auc.deeper.still"}, "'AUC'"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.unknown"}, "has no value"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "metric": "model.auc", "better": "more"}, "better must be"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "implied": {"sum": [1, 2]}}, "no product, difference"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "verdict": "not testable here", "why": "lost"}, "'AUC'.*missing"),
    ({"system": "D", "claim": "AUC", "claimed": 1, "verdict": "contradicts itself"}, "'AUC'.*needs a why"),
])
def test_a_row_that_can_not_be_answered_is_an_error_that_names_it(row, problem):
    with pytest.raises(ClaimError, match=problem):
        answer([row], "chapter", {"model": {"auc": 0.5, "unknown": None}})


def test_a_number_of_ours_may_be_exact_or_have_an_interval():
    row = {"system": "D", "claim": "AUC", "claimed": 0.6, "metric": "model.auc"}
    exact, = answer([row], "chapter", {"model": {"auc": 0.6}}, as_written={"model": {"auc": 0.7}})
    wide, = answer([row], "chapter", {"model": {"auc": {"value": 0.5, "low": 0.4, "high": 0.65}}})
    assert (exact.verdict, exact.as_written, exact.low) == (Verdict.HOLDS, 0.7, None)
    assert (wide.verdict, wide.as_written, wide.low) == (Verdict.HOLDS, None, 0.4)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = write_json(tmp_path / "metrics.json", {"auc": 0.5})
    with pytest.raises(TypeError):
        write_whole(path, object())
    with pytest.raises(TypeError):
        write_json(path, {"auc": object()})
    assert read_json(path) == {"auc": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_what_it_pointed_at_stays(tmp_path):
    kept = write_whole(tmp_path / "kept", "old")
    (tmp_path / "link").symlink_to(kept)
    write_whole(tmp_path / "link", "new")
    assert (kept.read_text(), (tmp_path / "link").read_text()) == ("old", "new")


@given(st.floats(-1e300, 1e300), st.integers(1, 17))
def test_rounding_twice_is_rounding_once(value, digits):
    assert plain(plain(value, digits), digits) == plain(value, digits)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=80), st.integers(1, 90), st.integers(0, 99))
def test_shuffles_keep_every_label(y, block, seed):
    assert sorted(shuffle_labels(y, seed)) == sorted(shuffle_blocks(y, block, seed)) == sorted(y)
    assert np.array_equal(shuffle_blocks(y, block, seed), shuffle_blocks(y, block, seed))


@pytest.fixture
def bars():
    index = pd.date_range("2019-01-01", periods=300, freq="h", tz="UTC", name="time")
    return pd.DataFrame({"Close": np.random.default_rng(0).normal(size=300).cumsum()}, index=index)


@given(st.integers(1, 40))
def test_any_look_ahead_is_caught_and_any_lag_passes(shift):
    frame = pd.DataFrame({"Close": np.random.default_rng(shift).normal(size=300)})
    assert replays(lambda f: f.shift(shift), frame)
    with pytest.raises(LookAheadError):
        replays(lambda f: f.shift(-shift), frame)


@pytest.mark.parametrize(("function", "column"), [
    (lambda f: f.Close.to_numpy() / f.Close.mean(), 0),
    (lambda f: f.assign(up=f.Close < f.Close.iloc[-1]), "up"),
    (lambda f: pd.DataFrame({f"bars_{len(f)}": f.Close}), "bars_100"),
    (lambda f: f.Close.iloc[::-1].iloc[:50].iloc[::-1], "the row itself"),
    (lambda f: f.assign(name=np.where(f.Close > f.Close.median(), "high", "low")), "name"),
])
def test_changes_of_every_kind_are_named(bars, function, column):
    with pytest.raises(LookAheadError) as caught:
        replays(function, bars, at=[100, 250])
    assert caught.value.column == column and caught.value.known == 100


def test_words_and_truth_values_that_stay_pass(bars):
    def features(frame):
        return frame.assign(up=frame.Close.diff() > 0, name=np.where(frame.Close > 0, "above", None))
    assert replays(features, bars) > 0
