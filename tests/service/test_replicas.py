"Replicas of the schedule: a Redis that is restarted, clocks that differ, and a process that is killed in a scan."

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
from support.redis_server import needs_redis, running_redis
from support.waiting import wait_for

from ohlcv_ta.serving.locks import LEASE_SECONDS
from ohlcv_ta.serving.scheduler import JobRunning, Scheduler
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.state import open_state

REPLICA = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ohlcv_ta.serving.scheduler import Scheduler
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.state import open_state

def write(text):
    with open(sys.argv[2], "a") as file: file.write(f"{text}\\n")

class Noted(Scheduler):
    def _slot(self, now):
        self.slot = super()._slot(now)
        return self.slot

def scan():
    write(f"{schedule.slot[0]} {sys.argv[3]}")
    time.sleep(float(sys.argv[5]))
    return {}

late = timedelta(seconds=float(sys.argv[4]))
schedule = Noted(scan, open_state(Settings(cache=Path(sys.argv[1]))), minutes=1 / 60, clock=lambda: datetime.now(UTC) - late,
                 lease=float(sys.argv[6]))
schedule.begin("interval")
write(f"ready {sys.argv[3]}")
time.sleep(600)
"""


@contextmanager
def replicas(folder, redis_url="", lates=(0.0, 1.0), seconds=0.05, lease=LEASE_SECONDS):
    "Processes that each have a disk of their own, and clocks that differ."
    started = []
    for k, late in enumerate(lates):
        command = [sys.executable, "-c", REPLICA, folder / f"disk{k}", folder / "scans", f"replica{k}", late, seconds, lease]
        started.append(subprocess.Popen([str(part) for part in command], env=os.environ | {"REDIS_URL": redis_url}))
    try:
        wait_for(lambda: "".join(lines(folder)).count("ready") == len(lates) or any(process.poll() for process in started))
        assert not any(process.poll() for process in started), "a replica ended"
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def lines(folder):
    return (folder / "scans").read_text().splitlines() if (folder / "scans").exists() else []


def slots(folder):
    return [int(line.split()[0]) for line in lines(folder) if line[0].isdigit()]


def more(folder, count):
    before = len(slots(folder))
    wait_for(lambda: len(slots(folder)) >= before + count)


SLOTS_LOST = 5 # after a restart: 2 seconds to settle, 1 because Redis counts whole seconds, 1 by which clocks differ, and 1


def restarted(folder, kept):
    "Ticks that were scanned while Redis was restarted, with or without its data, and ticks that may have been left out."
    with running_redis(str(folder) if kept else None) as redis, replicas(folder, redis.url):
        more(folder, 3)
        first, lost = slots(folder)[-1], set() # both take part now
        for away in (0, 0, 2.5): # the first replica has just claimed a tick that the second one has still to come to
            more(folder, 1)
            killed = slots(folder)[-1]
            redis.kill()
            time.sleep(away)
            redis.start()
            back = int(time.time() - datetime(2024, 1, 1, tzinfo=UTC).timestamp())
            more(folder, 4) # it goes on
            lost |= set(range(killed - 1, back + SLOTS_LOST))
        return first, Counter(slots(folder)), lost


@needs_redis
def test_no_tick_runs_twice_when_redis_is_restarted_and_none_is_lost_otherwise(tmp_path):
    folders = {tmp_path / "without": False, tmp_path / "with": True}
    for folder in folders: folder.mkdir()
    with ThreadPoolExecutor(2) as pool: outcomes = list(pool.map(restarted, folders, folders.values())) # most of it is waiting
    for first, scanned, lost in outcomes:
        assert len(scanned) >= 10 and set(scanned.values()) == {1}, scanned
        assert set(range(first, max(scanned))) - set(scanned) <= lost, (sorted(scanned), sorted(lost))


@needs_redis
def test_replicas_scan_nothing_while_redis_is_away(tmp_path):
    with running_redis() as redis, replicas(tmp_path, redis.url):
        more(tmp_path, 2)
        redis.kill()
        time.sleep(1)
        before = slots(tmp_path)
        time.sleep(4)
        assert slots(tmp_path) == before
        redis.start()
        more(tmp_path, 2)


@pytest.mark.parametrize("where", ["disk", pytest.param("redis", marks=needs_redis)])
def test_who_is_killed_in_a_scan_holds_its_lock_as_long_as_a_lease_at_most(tmp_path, where, lease=4.0):
    with running_redis() as redis:
        url = redis.url if where == "redis" else None
        with replicas(tmp_path, url or "", lates=(0.0,), seconds=300, lease=lease) as (process,):
            more(tmp_path, 1)
            other = Scheduler(dict, open_state(Settings(cache=tmp_path / "disk0", redis_url=url)))
            time.sleep(1.5 * lease) # it is renewed for as long as the scan takes
            with pytest.raises(JobRunning): other.run_manual()
            process.kill()
            killed = time.monotonic()
            while True:
                with suppress(JobRunning):
                    other.run_manual()
                    break
                time.sleep(0.1)
            assert time.monotonic() - killed < lease + 3
    assert LEASE_SECONDS + 3 <= 15 # what a service promises
