"The schedule over processes: each tick once, a plan that outlives whoever made it, and the command."

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from support.redis_server import needs_redis, running_redis
from support.server import running

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.scheduler import Scheduler
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.state import open_state

SCANS = """
import sys, time
from pathlib import Path
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.scheduler import Scheduler
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.state import open_state

def scan():
    with open(sys.argv[2], "a") as file: file.write(f"{sys.argv[3]} begins\\n")
    time.sleep(0.2)
    with open(sys.argv[2], "a") as file: file.write(f"{sys.argv[3]} ends\\n")
    return {"pairs": 3}

schedule = Scheduler(scan, open_state(Settings(cache=Path(sys.argv[1]))), minutes=0.01)
schedule.begin()
schedule.start("interval")
time.sleep(600)
"""
TICK = 0.6 # seconds


def replica(folder, name, redis_url=""):
    command = [sys.executable, "-c", SCANS, str(folder / "cache"), str(folder / "scans"), name]
    return subprocess.Popen(command, env=os.environ | {"REDIS_URL": redis_url})


def lines(folder):
    return (folder / "scans").read_text().splitlines() if (folder / "scans").exists() else []


def more(folder, count, wanted=lambda line: True):
    "Waits for more lines; they must come."
    before, until = len([line for line in lines(folder) if wanted(line)]), time.monotonic() + 120
    while len([line for line in lines(folder) if wanted(line)]) < before + count:
        assert time.monotonic() < until, lines(folder)
        time.sleep(0.02)


def shared(folder, redis_url=""):
    replicas = [replica(folder, name, redis_url) for name in ("one", "two", "three")]
    try:
        more(folder, 2)
        began, before = time.monotonic(), len(lines(folder)) // 2
        more(folder, 20)
        runs, ticks = len(lines(folder)) // 2 - before, (time.monotonic() - began) / TICK
        assert runs <= ticks + 2, f"{runs} scans in {ticks:.1f} ticks" # three apart from each other would make three a tick
        said = lines(folder)
        for begins, ends in zip(said[::2], said[1::2], strict=False):
            assert (begins.split()[0], begins.split()[1], ends.split()[1]) == (ends.split()[0], "begins", "ends"), said
        last = said[-1].split()[0] # whoever is at work is killed; the others go on
        next(one for name, one in zip(("one", "two", "three"), replicas, strict=True) if name == last).kill()
        more(folder, 4, lambda line: not line.startswith(last))
    finally:
        for one in replicas:
            one.kill()
            one.wait()


@needs_redis
def test_three_replicas_with_redis_scan_once_a_tick(tmp_path):
    with running_redis() as redis: shared(tmp_path, redis.url)


def test_three_processes_of_a_machine_scan_once_a_tick(tmp_path):
    shared(tmp_path)


def test_a_plan_outlives_the_service(tmp_path):
    def ask(method, path, folder="cache", **asked):
        with running(create_app({}, Settings(cache=tmp_path / folder, **asked))) as url: # each is another service
            return httpx.request(method, f"{url}/api/v1/scheduler/{path}", timeout=30).json()

    assert ask("GET", "status")["status"] == "stopped"
    ask("POST", "start?schedule_type=cron")
    status = ask("GET", "status")
    assert (status["status"], status["schedule_type"], len(status["jobs"])) == ("running", "cron", 1)
    ask("POST", "stop")
    # Who stopped it is not overruled by what a new process does by default.
    assert ask("GET", "status", schedule="interval")["status"] == "stopped"
    assert ask("GET", "status", "new", schedule="interval")["schedule_type"] == "interval"


@needs_redis
def test_a_replica_does_what_another_was_told(tmp_path):
    with running_redis() as redis:
        def one(name): return Scheduler(dict, open_state(Settings(cache=tmp_path / name, redis_url=redis.url)))

        first, second = one("first"), one("second")
        first.start("cron")
        assert second.status()["status"] == "running" and second.status()["jobs"]
        redis.kill()
        redis.start() # empty
        assert second.status()["status"] == first.status()["status"] == "running" # each has it on its disk too
        second.stop()
        assert first.status()["status"] == "stopped"
        for schedule in (first, second): schedule.end()


def test_a_run_that_fails_is_told_and_the_next_one_is_made(tmp_path):
    def broken(): raise ConnectionError("no exchange")

    schedule = Scheduler(broken, open_state(Settings(cache=tmp_path)))
    schedule._tick()
    assert schedule.status()["last_runs"][0]["message"] == "ConnectionError: no exchange"
    schedule.runner.job = lambda: {"pairs": 3}
    schedule.run_manual()
    assert [run["success"] for run in schedule.status()["last_runs"]] == [True, False]


def test_the_command_keeps_its_times_until_it_is_stopped(tmp_path):
    command = [Path(sys.executable).with_name("ohlcv-ta"), "schedule", "--schedule-type", "interval", "--interval-minutes", "5"]
    known = os.environ | {"OHLCV_TA_CACHE": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    assert "interval[0:05:00]" in said and "replay" in said
    process.send_signal(signal.SIGTERM)
    complained = process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "Traceback" not in complained
    wrong = subprocess.run([*command[:2], "--cron", "every day"], env=known, capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith("ohlcv-ta: ") and "every day" in wrong.stderr


def test_plans_and_runs_are_plain_json(tmp_path):
    store = open_state(Settings(cache=tmp_path))
    schedule = Scheduler(lambda: {"pairs": 3}, store)
    schedule.start("interval")
    schedule.run_manual()
    schedule.stop()
    schedule.end()
    assert json.loads(store.get("plan")) == {"started": False, "schedule_type": None}
    assert json.loads(store.get("runs"))[0]["summary"] == {"pairs": 3}
