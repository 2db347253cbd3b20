"The catalog agrees with the files of the data set."

import hashlib
import json
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from ohlcv_ta.data import check, load_series, read_catalog, session_dates, session_hours

HERE = Path(__file__).parents[2] / "data"
SAMPLE = Path(str(resources.files("ohlcv_ta") / "sample"))
FULL = pytest.param(HERE, id="data", marks=pytest.mark.skipif(
    not (HERE / "catalog.json").exists(), reason="data/ is absent: run `dvc pull`"))
BOTH = pytest.mark.parametrize("folder", [FULL, pytest.param(SAMPLE, id="sample")])


@pytest.fixture
def named(monkeypatch):
    return lambda folder: monkeypatch.setenv("OHLCV_TA_DATA", str(folder))


@BOTH
def test_files_have_the_stored_hashes(folder):
    content = json.loads((folder / "catalog.json").read_text())
    assert {p.name for p in folder.glob("*.parquet")} == set(content["files"])
    for name, facts in content["files"].items():
        data = (folder / name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (facts["sha256"], facts["bytes"])


@BOTH
def test_rows_and_ends_of_every_series(folder, named):
    named(folder)
    table = read_catalog()
    for row in table.itertuples():
        frame = load_series(row.symbol, row.timeframe, row.venue)
        assert check(frame) is frame
        assert (len(frame), frame.index[0], frame.index[-1]) == (row.rows, row.first, row.last), row.symbol


@BOTH
def test_every_series_has_its_origin(folder, named):
    named(folder)
    table = read_catalog()
    assert not table.duplicated(["symbol", "venue", "timeframe"]).any()
    assert table[["package", "version", "sha256", "licence", "currency", "asset_class", "file"]].notna().all().all()
    assert table.sha256.str.fullmatch("[0-9a-f]{64}").all()
    for repairs in table.repairs:
        assert all(set(r) == {"repair", "column", "count", "first"} and r["count"] > 0 for r in repairs)


@pytest.mark.parametrize("folder", [FULL])
def test_the_sample_is_the_embedded_series(folder, named):
    named(folder)
    embedded = load_series("BTC-USD", venue="bitfinex")
    named(SAMPLE)
    assert load_series("BTC-USD").equals(embedded)


@pytest.mark.parametrize("folder", [FULL])
def test_known_properties_of_the_data(folder, named):
    named(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    assert len(load_series("BTC-USD", "1h")) == 17_514
    assert len(load_series("BTC-USD", venue="coinbase")) == 16_896
    assert len(read_catalog().query("venue == 'sp500'")) == 379
    spy = load_series("SPY")
    day = session_dates(spy, **session_hours("SPY"))
    assert day.notna().all()
    assert spy.groupby(day).size()["2018-11-23"] == 210
    assert spy.groupby(day).size().mode().tolist() == [390]
    assert {"OpenInterest"} == set(load_series("L2601").columns) - set(spy.columns)
    stock = load_series("600000.SH", "1m")
    assert len(stock) % 240 == 0 and str(stock.index[0].tz_convert("Asia/Shanghai").time()) == "09:30:00"


@pytest.mark.parametrize("folder", [FULL])
def test_longer_bars_follow_the_session(folder, named):
    named(folder)
    daily, hourly = load_series("SPY", "1d"), load_series("SPY", "1h")
    assert (daily.index == daily.index.normalize()).all() and (daily.index.day_of_week < 5).all()
    assert str(hourly.index[0].tz_convert("America/New_York").time()) == "09:30:00"
    assert daily.Volume.sum() == hourly.Volume.sum() == load_series("SPY").Volume.sum()
    assert pd.Timestamp("2018-07-05", tz="UTC") in daily.index


def test_the_error_for_an_unknown_name_lists_similar_names(named):
    named(SAMPLE)
    with pytest.raises(LookupError, match=r"Near it: BTC-USD.*dvc pull.*OHLCV_TA_DATA"):
        load_series("BTCUSD")
    with pytest.raises(LookupError, match="not held from 'kraken', but from bitfinex"):
        load_series("BTC-USD", venue="kraken")
    with pytest.raises(ValueError, match="held in 30m bars"):
        load_series("BTC-USD", "45m")


def test_the_sample_is_found_from_anywhere(monkeypatch, tmp_path):
    monkeypatch.delenv("OHLCV_TA_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert read_catalog().symbol.tolist() == ["BTC-USD"]
    assert len(load_series("BTC-USD", "1h", start="2018-01-01", end="2018-01-01")) == 24
    monkeypatch.setenv("OHLCV_TA_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no catalog\.json"):
        read_catalog()
