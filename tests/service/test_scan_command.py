"The scan as a command."

import subprocess
import sys

import pytest

from ohlcv_ta.data.io import read_json


def call(*arguments, **settings):
    command = [sys.executable, "-c", "from ohlcv_ta.cli import main; main()", "scan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **settings)


def test_the_command_scans_once_and_says_what_it_found(tmp_path):
    asked = ("--pairs", "btc_usd,eth_usd", "--pairs", "no_such", "--timeframe", "hour1", "--periods", 60)
    done = call(*asked, "-o", tmp_path / "out", "--keep", 1)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 pairs, hour1, replay" in done.stdout and "Skipped 'no_such'" in done.stderr
    summary = read_json(next((tmp_path / "out").glob("batch_summary_*.json")))
    assert summary["pairs"]["scanned"] == 2 and all((tmp_path / "out" / name).is_file() for name in summary["files"])


def test_an_exchange_that_is_away_is_told_of_once(tmp_path):
    pairs = ",".join(f"{name}_usdt" for name in ("btc", "eth", "xrp", "ltc", "eos"))
    done = call("--source", "lbank", "--address", "http://127.0.0.1:1", "--pairs", pairs, cwd=tmp_path)
    assert done.returncode == 1 and "none of 5 pairs could be scanned" in done.stderr
    assert done.stderr.count("does not answer") == 1 and "and 2 more: " in done.stderr


def test_the_command_writes_nothing_where_it_is_told_so(tmp_path):
    done = call("--pairs", "btc_usd", "--timeframe", "hour1", "--no-files", cwd=tmp_path)
    assert done.returncode == 0 and list(tmp_path.iterdir()) == [], done.stderr


@pytest.mark.parametrize(("arguments", "says"), [
    (["--pairs", "no_such"], "could be scanned"), (["--periods", 20], "periods=20"), (["--rate", 2], "rate=2.0"),
    (["--timeframe", "minute7"], "minute7")])
def test_the_command_says_what_is_wrong(tmp_path, arguments, says):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr and says in done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []
