"State that survives: a full, read-only and vanished disk, a Redis that is away, a failed scan."

import logging
import shutil
import subprocess
from contextlib import contextmanager, suppress

import httpx
import pytest
from support.attacks import small_disk
from support.lbank import LBank, failure, open_lbank
from support.redis_server import needs_redis, running_redis
from support.server import running
from support.small_models import small_models
from support.waiting import wait_for

from ohlcv_ta.serving.cache_backends import DiskBackend
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.http.schemas import EXAMPLE_FEATURES
from ohlcv_ta.serving.settings import Settings


class Disk:
    "A small file system of its own."
    def __init__(self, folder):
        self.folder, self.cache, self.ballast = folder, folder / "cache", folder / "ballast"

    def fill(self):
        with suppress(OSError), open(self.ballast, "ab", buffering=0) as file:
            while True: file.write(bytes(1024))

    def mount(self, *options):
        return subprocess.run(["mount", *options, str(self.folder)], capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "8m") as folder: yield Disk(folder)


@contextmanager
def service(cache, scans, **given):
    "A service over real HTTP."
    settings = Settings(**{"cache": cache, "scan_folder": scans, "scan_pairs": 2, "cache_memory": 0} | given)
    with running(create_app(small_models(), settings)) as url, httpx.Client(base_url=url, timeout=120) as client:
        yield client


def asked(client, method, what):
    return client.request(method, f"/api/v1/scheduler/{what}")


def plan(client):
    "What status says, which must be the same in all of its fields."
    status = asked(client, "GET", "status")
    assert status.status_code == 200, status.text
    said = status.json()
    assert (said["status"] == "running") == said["is_running"] == bool(said["jobs"]) == bool(said["schedule_type"]), said
    return said["schedule_type"]


def refused(client, what, status, *words):
    "A request that changes nothing, and says why without a path."
    before, answer = plan(client), asked(client, "POST", what)
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["status"] == "error" and said["message"].endswith(".") and all(word in said["message"] for word in words), said
    assert "Traceback" not in answer.text and "/disk" not in answer.text
    assert plan(client) == before


def works(client):
    "What needs no state is answered, again and again, and a scan too."
    for limit in (60, 61, 62):
        assert client.get("/health").status_code == 200
        assert client.post("/predict", json=EXAMPLE_FEATURES).status_code == 200
        said = client.post("/api/v1/analyze", json={"pair": "eth_usdt", "limit": limit})
        assert said.status_code == 200, said.text
    run = asked(client, "POST", "run-manual")
    assert run.status_code == 200 and run.json()["success"] is True, run.text
    assert asked(client, "GET", "status").json()["last_runs"][0] == run.json()


def failures(caplog, what):
    return [record for record in caplog.records if record.getMessage().startswith(f"{what} failed")]


def test_a_full_disk_refuses_the_schedule_and_nothing_else(disk, tmp_path, caplog):
    with service(disk.cache, tmp_path / "scans") as client:
        assert client.post("/api/v1/analyze", json={"pair": "btc_usdt"}).status_code == 200 # the cache is open
        disk.fill()
        refused(client, "start?schedule_type=cron", 507, "space", "OHLCV_TA_CACHE")
        works(client)
        disk.ballast.unlink()
        assert asked(client, "POST", "start?schedule_type=cron").status_code == 200 and plan(client) == "cron"
        disk.fill()
        refused(client, "stop", 507)
        refused(client, "start?schedule_type=interval", 507)
        works(client)
        assert len(failures(caplog, "The schedule's state")) in (1, 2) # two outages; the second may have begun in the first
        assert 1 <= len(failures(caplog, "The cache")) <= 2
        assert not [record for record in caplog.records if record.exc_info], caplog.text
        disk.ballast.unlink()
        assert asked(client, "POST", "stop").status_code == 200 and plan(client) is None
    with service(disk.cache, tmp_path / "scans") as client: assert plan(client) is None


def test_a_full_disk_keeps_no_parts_of_files(disk):
    "What can't be written whole would otherwise stay, and take the space that is freed."
    shelf = DiskBackend(disk.cache)
    disk.fill()
    with open(disk.ballast, "rb+") as file: file.truncate(disk.ballast.stat().st_size - 200 * 1024)
    before = shutil.disk_usage(disk.folder).free
    for k in range(5):
        with pytest.raises(OSError, match="space"): shelf.put(f"chart {k}", bytes(2**20), 60)
    assert shutil.disk_usage(disk.folder).free > before - 100 * 1024
    shelf.put("small", b"x" * 100, 60)
    assert shelf.get("small") == b"x" * 100


def test_a_read_only_disk_refuses_the_schedule_and_nothing_else(disk, tmp_path):
    disk.cache.mkdir()
    assert disk.mount("-o", "remount,ro").returncode == 0
    with service(disk.cache, tmp_path / "scans", schedule="interval") as client:
        refused(client, "start", 503, "Read-only", "OHLCV_TA_CACHE")
        works(client)
        assert disk.mount("-o", "remount,rw").returncode == 0
        assert asked(client, "POST", "start?schedule_type=cron").status_code == 200 and plan(client) == "cron"


def test_a_folder_that_vanished_refuses_the_schedule_and_nothing_else(tmp_path):
    cache = tmp_path / "disk" / "cache"
    with service(cache, tmp_path / "scans") as client:
        assert asked(client, "POST", "start?schedule_type=cron").status_code == 200
        shutil.rmtree(cache)
        refused(client, "stop", 503, "OHLCV_TA_CACHE")
        refused(client, "start?schedule_type=interval", 503)
        works(client)
        for name in ("answers", "schedule"): (cache / name).mkdir(parents=True, exist_ok=True)
        assert plan(client) == "cron"
        assert asked(client, "POST", "stop").status_code == 200 and plan(client) is None
    with service(cache, tmp_path / "scans") as client: assert plan(client) is None


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_scan_files_that_cannot_be_written_are_the_outcome_of_the_scan(disk, tmp_path, how):
    disk.fill() if how == "full" else disk.mount("-o", "remount,ro")
    with service(tmp_path / "cache", disk.folder / "scans") as client:
        answer = asked(client, "POST", "run-manual")
        run = answer.json()
        assert (answer.status_code, run["success"], run["type"]) == (200, False, "manual"), answer.text
        assert {"full": "No space left", "read-only": "Read-only"}[how] in run["message"] and "/disk" not in run["message"]
        assert run["summary"]["pairs"] == {"asked": 2, "scanned": 2, "scored": 2, "failed": 0}
        assert asked(client, "GET", "status").json()["last_runs"][0]["message"] == run["message"]
        assert 'ohlcv_ta_scans_total{outcome="failed"} 1.0' in client.get("/metrics").text


class Partly(LBank):
    "An exchange that does not know the bars of one pair."
    def said(self, path, query):
        return failure(10017) if "kline" in path and query.get("symbol") == "eth_usdt" else super().said(path, query)


@contextmanager
def scanning(tmp_path, address):
    exchange = {"source": "lbank", "source_url": address, "source_tries": 1, "source_wait": 0, "source_timeout": 5}
    with service(tmp_path / "cache", tmp_path / "scans", scan_pairs=3, **exchange) as client: yield client


def test_a_scan_of_which_all_pairs_failed_has_failed(tmp_path):
    with scanning(tmp_path, "http://127.0.0.1:9") as client:
        answer = asked(client, "POST", "run-manual")
        run = answer.json()
        assert (answer.status_code, run["success"]) == (200, False), answer.text
        assert set(run) >= {"timestamp", "type", "success", "message", "summary", "seconds"}
        assert run["message"].startswith("3 of 3 pairs failed; the most common reason, of 3: ") and "LBank" in run["message"]
        assert run["summary"]["pairs"]["failed"] == 3
        assert 'ohlcv_ta_scans_total{outcome="failed"} 1.0' in client.get("/metrics").text


def test_a_scan_of_which_one_pair_failed_says_so(tmp_path):
    with open_lbank(Partly(pairs={"btc_usdt": 9e8, "eth_usdt": 5e8, "doge_usdt": 1e8})) as address, scanning(
            tmp_path, address) as client:
        run = asked(client, "POST", "run-manual").json()
        assert run["success"] is True and run["message"].startswith("1 of 3 pairs failed; "), run
        assert run["summary"]["pairs"] == {"asked": 3, "scanned": 2, "scored": 2, "failed": 1}


@needs_redis
def test_a_service_without_its_redis_refuses_what_needs_it(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with running_redis() as redis, service(tmp_path / "cache", tmp_path / "scans", redis_url=redis.url) as client:
        assert asked(client, "POST", "start?schedule_type=cron").status_code == 200
        redis.kill()
        refused(client, "stop", 503, "Redis")
        refused(client, "start?schedule_type=interval", 503, "Redis")
        refused(client, "run-manual", 503, "Redis")
        assert client.post("/predict", json=EXAMPLE_FEATURES).status_code == client.get("/health").status_code == 200
        redis.start()
        wait_for(lambda: asked(client, "POST", "run-manual").status_code == 200)
        assert plan(client) == "cron"
        assert asked(client, "POST", "stop").status_code == 200 and plan(client) is None
