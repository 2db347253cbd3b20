"Reading valid files in many formats, and the errors of invalid ones."

import json
import subprocess
import sys

import pandas as pd
import pytest

from ohlcv_ta.data import random_walk, read_annotated_chart, read_ohlcv
from ohlcv_ta.data.raw_tables import FrameError

GOOD = """time,Open,High,Low,Close,Volume
2024-05-01 10:00:00+00:00,10,12,9,11,100
2024-05-01 11:00:00+00:00,11,13,10,12,110
2024-05-01 12:00:00+00:00,12,14,11,13,120
"""


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


BAD = { # what: content, line, column, words
    "missing column": ("\n".join(line.rsplit(",", 1)[0] for line in GOOD.splitlines()), None, "Volume", "missing"),
    "no time": (GOOD.replace("time,", "when,"), None, "time", "no column holds the time"),
    "text in a number": (changed("11,13,10,12,110", "11,13,10,twelve,110"), 3, "Close", "'twelve' is not a number"),
    "no value": (changed("11,13,10,12,110", "11,13,10,,110"), 3, "Close", "missing or infinite"),
    "infinite": (changed("11,13,10,12,110", "11,inf,10,12,110"), 3, "High", "missing or infinite"),
    "high below low": (changed("12,14,11,13", "12,10,11,13"), 4, "High", "high 10.0 is below low 11.0"),
    "low above close": (changed("12,14,11,13", "12,14,12.5,13"), 4, "Low", "low 12.5 is above open 12.0"),
    "negative volume": (changed(",110", ",-110"), 3, "Volume", "volume -110.0 is negative"),
    "duplicate time": (changed("11:00", "10:00"), 3, "time", "repeats"),
    "unsorted time": (changed("12:00:00", "09:00:00"), 4, "time", "goes back"),
    "unreadable time": (changed("2024-05-01 11:00:00+00:00", "yesterday"), 3, "time", "some do not"),
    "times in words": (GOOD.replace("2024-05-01", "May first").replace(":00:00+00:00", " o'clock"), 2, "time",
                       "unreadable"),
    "impossible time": (changed("05-01 11:", "13-01 11:"), 3, "time", "unreadable"),
    "no time zone": (GOOD.replace("+00:00", ""), 2, "time", "no time zone"),
    "mixed time zones": (changed("11:00:00+00:00", "19:00:00+08:00"), 3, "time", "mixed"),
    "a zone only sometimes": (changed("11:00:00+00:00", "11:00:00"), 3, "time", "some do not"),
    "empty": ("", None, None, "the file is empty"),
    "only a header": (GOOD.splitlines()[0] + "\n", None, None, "no bars"),
    "a line too long": (changed("11,13,10,12,110", "11,13,10,12,110,7"), 3, None, "more values"),
    "latin-1": (changed("2024-05-01 12", "caf\xe9").encode("latin-1"), 4, None, "not in UTF-8"),
    "utf-16": (GOOD.encode("utf-16"), 1, None, "not in UTF-8"),
}


@pytest.mark.parametrize("kind", BAD)
def test_the_error_of_an_invalid_file_has_its_place_and_a_remedy(tmp_path, kind):
    content, line, column, words = BAD[kind]
    path = tmp_path / "prices.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FrameError) as caught:
        read_ohlcv(path)
    error = caught.value
    assert (error.source, error.row, error.column) == ("prices.csv", line, column), error
    assert words in str(error) and error.remedy and str(error).endswith(".")
    assert line is None or f"prices.csv, line {line}" in str(error)


def test_line_numbers_are_those_of_a_text_editor(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("https://example.org\n\n" + changed(",110", ",-1").replace("\n2024-05-01 11", "\n\n2024-05-01 11"))
    with pytest.raises(FrameError) as caught:
        read_ohlcv(path)
    assert path.read_text().splitlines()[caught.value.row - 1].endswith(",-1")


@pytest.mark.parametrize("content", [
    GOOD, GOOD.replace(",", ";"), GOOD.replace(",", "\t"), "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n",
    GOOD.replace("time,Open,High,Low,Close,Volume", "Date,BTC.open,BTC.high,BTC.low,BTC.close,BTC.volume"),
    GOOD.replace("time,Open,High,Low,Close,Volume", "t,O,H,L,C,V"), GOOD.replace("time", "").replace("+00:00", "Z")])
def test_the_same_bars_in_many_formats(tmp_path, content):
    (tmp_path / "prices.txt").write_bytes(content.encode())
    frame = read_ohlcv(tmp_path / "prices.txt")
    assert frame.Close.tolist() == [11, 12, 13] and str(frame.index[0]) == "2024-05-01 10:00:00+00:00"


WRITERS = {
    "a.csv": lambda f, p: f.to_csv(p), "b.parquet": lambda f, p: f.to_parquet(p),
    "c.json": lambda f, p: f.reset_index().to_json(p, orient="records", double_precision=15, date_format="iso"),
    "d.json": lambda f, p: f.to_json(p, double_precision=15, date_format="iso"),
    "e.json": lambda f, p: f.to_json(p, orient="split", double_precision=15, date_format="iso"),
    "f.jsonl": lambda f, p: f.reset_index().to_json(p, orient="records", lines=True, double_precision=15,
                                                    date_format="iso"),
    "g.json": lambda f, p: p.write_text(json.dumps([[int(t.timestamp() * 1000), *row] for t, *row in f.itertuples()])),
    "h": lambda f, p: f.reset_index().to_parquet(p),
}


@pytest.mark.parametrize("name", WRITERS)
def test_round_trip(tmp_path, name):
    frame = random_walk(50).round(6)
    WRITERS[name](frame, tmp_path / name)
    back = read_ohlcv(tmp_path / name)
    pd.testing.assert_frame_equal(back, frame, check_freq=False, check_index_type=False)


def test_naive_times_are_read_in_the_given_zone(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD.replace("+00:00", ""))
    assert read_ohlcv(tmp_path / "a.csv", tz="America/New_York").index[0] == pd.Timestamp("2024-05-01 14:00", tz="UTC")
    with pytest.raises(FrameError, match="is not a time zone"):
        read_ohlcv(tmp_path / "a.csv", tz="Mars/Olympus")


def test_repairs_are_reported(tmp_path):
    (tmp_path / "a.csv").write_text(changed("12,14,11,13", "12,10,11,13").replace(",110", ",-110"))
    with pytest.warns(UserWarning, match=r"a\.csv was repaired: negative volume set to 0 \(1\); high raised"):
        frame = read_ohlcv(tmp_path / "a.csv", repair=True)
    assert frame.Volume.tolist() == [100, 0, 120] and frame.High.iloc[2] == 13
    assert [r["count"] for r in frame.attrs["repairs"]] == [1, 1]


@pytest.mark.parametrize("cut", [100, 2000, -1])
def test_a_truncated_parquet(tmp_path, cut):
    random_walk(500).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:cut])
    with pytest.raises(FrameError, match=r"a\.parquet: the parquet file cannot be read, it may be truncated"):
        read_ohlcv(tmp_path / "a.parquet")


@pytest.mark.parametrize(("content", "words"), [
    ('[{"time": 1714557600, "open": 1', "line 1: this is not JSON"), ("[]", "no column holds the time"),
    ('{"a": 1}', "this JSON is not a table"), ('"text"', "this JSON is not a table"), ("[1, 2]", "no column"),
    ('[{"time": 1714557600, "o": 1, "h": 0.5, "l": 0.7, "c": 1, "v": 1}]', "row 0, column h: high 0.5 is below")])
def test_bad_json(tmp_path, content, words):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(FrameError, match=words):
        read_ohlcv(tmp_path / "a.json")


def chart(**labels):
    bar = {"open": 10, "high": 12, "low": 9, "close": 11, "volume": 5}
    return {"ohlcv_data": [bar | {"time": f"2030-01-01T{h:02}:00:00+00:00"} for h in range(5)], "labels": labels}


def test_annotated_charts(tmp_path):
    ray = {"start_date": "2030-01-01T00:00:00+00:00", "start_price": 9, "end_date": "2030-01-01T03:00:00+00:00",
           "end_price": 12}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(chart(horizontal_lines=[{"price": 11.5}, {"price": 9}], ray_lines=[ray])))
    frame, levels, rays = read_annotated_chart(path)
    assert len(frame) == 5 and levels.tolist() == [11.5, 9] and rays.end_price.tolist() == [12]
    assert rays.start[0] == frame.index[0] and str(rays.start.dtype) == "datetime64[us, UTC]"
    path.write_text(json.dumps(chart(ray_lines=[])))
    assert [len(part) for part in read_annotated_chart(path)] == [5, 0, 0]
    path.write_text(json.dumps(chart(ray_lines=[{"start_date": "2030-01-01"}])))
    with pytest.raises(FrameError, match="column labels"):
        read_annotated_chart(path)


def test_import_loads_no_heavy_package():
    heavy = ["yfinance", "ccxt", "torch", "sklearn", "matplotlib"]
    code = f"import sys, ohlcv_ta.data; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
