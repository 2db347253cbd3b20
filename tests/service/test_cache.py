"The cache with a real Redis: computed once over processes, and unharmed by a Redis that dies and comes back."

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import diskcache
import httpx
import pytest
from support.redis_server import needs_redis, running_redis
from support.server import running

from ohlcv_ta.serving.cache import Cache, open_cache
from ohlcv_ta.serving.cache_backends import DiskBackend, FallbackBackend, MemoryBackend, RedisBackend
from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.settings import Settings

ASKS = """
import sys, time
from pathlib import Path
from ohlcv_ta.serving.cache import open_cache
from ohlcv_ta.serving.settings import Settings

def compute():
    with open(sys.argv[2], "a") as file: file.write("computed\\n")
    time.sleep(1)
    return b"an answer"

print(open_cache(Settings(cache=Path(sys.argv[1]))).get_or_compute("key", 60, compute).decode())
"""


def asked_by_processes(folder, redis_url="", count=4):
    "Answers of processes that ask for the same at the same time, and how often it was computed."
    told = folder / "computed"
    command, known = [sys.executable, "-c", ASKS, str(folder / "cache"), str(told)], {"REDIS_URL": redis_url}
    processes = [subprocess.Popen(command, env=os.environ | known, stdout=subprocess.PIPE, text=True)
                 for _ in range(count)]
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    return answers, told.read_text().count("computed")


@needs_redis
def test_a_stampede_of_processes_computes_once_with_redis(tmp_path):
    with running_redis() as redis:
        assert asked_by_processes(tmp_path, redis.url) == (["an answer"] * 4, 1)


def test_a_stampede_of_processes_computes_once_with_the_disk(tmp_path):
    assert asked_by_processes(tmp_path) == (["an answer"] * 4, 1)


@pytest.mark.parametrize("open_shelf", [MemoryBackend, None], ids=["memory", "disk"])
def test_a_stampede_of_threads_computes_once(tmp_path, open_shelf):
    cache, computed = Cache(open_shelf() if open_shelf else DiskBackend(tmp_path)), []

    def compute():
        computed.append(1)
        time.sleep(0.2)
        return b"an answer"

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda k: cache.get_or_compute(f"key{k % 2}", 60, compute), range(64)))
    assert (set(answers), len(computed)) == ({b"an answer"}, 2)


def test_a_failure_is_told_to_all_who_wait_and_kept_from_nobody_after(tmp_path):
    cache, computed, go = Cache(MemoryBackend()), [], threading.Event()

    def fail():
        computed.append(1)
        go.wait(10)
        raise ConnectionError("gone")

    def ask(_):
        try:
            return cache.get_or_compute("key", 60, fail)
        except ConnectionError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(ask, k) for k in range(8)]
        while not computed: time.sleep(0.01)
        time.sleep(0.2)
        go.set()
        assert {one.result() for one in waiting} == {"gone"}
    assert cache.get_or_compute("key", 60, lambda: b"back") == b"back"


@needs_redis
def test_shelves_agree(tmp_path):
    "All replicas follow a request to one of them."
    with running_redis() as redis:
        for shelf in (MemoryBackend(), DiskBackend(tmp_path / "disk"), RedisBackend(redis.url),
                      FallbackBackend(RedisBackend(redis.url, "shared:"), DiskBackend(tmp_path / "spare"))):
            assert shelf.get("a") is None
            shelf.put("a", b"\x00\xff" * 30_000, 60)
            assert shelf.get("a") == b"\x00\xff" * 30_000 and shelf.count() >= 1
            assert shelf.add("lock", b"me", 60) and not shelf.add("lock", b"you", 60)
            assert shelf.renew("lock", b"me", 60) and not shelf.renew("lock", b"you", 60)
            assert not shelf.drop("lock", b"you") and shelf.drop("lock", b"me") and shelf.add("lock", b"you", 0.2)
            shelf.put("short", b"x", 0.2)
            time.sleep(0.4)
            assert shelf.get("short") is None and shelf.add("lock", b"another", 5), shelf.name


@needs_redis
def test_a_redis_that_dies_is_left_and_found_again(tmp_path):
    with running_redis() as redis:
        cache = open_cache(Settings(cache=tmp_path, redis_url=redis.url, cache_memory=0))
        cache.backend.breaker.cooldown = 0.2
        assert cache.get_or_compute("a", 600, lambda: b"first") == b"first"
        assert cache.stats()["backend"] == "redis" and redis.client.keys("*")
        redis.kill()
        assert cache.get_or_compute("a", 600, lambda: b"second") == b"first" # it was kept on the disk too
        assert cache.get_or_compute("b", 600, lambda: b"third") == b"third"
        stats = cache.stats()
        assert (stats["backend"], stats["configured"], stats["reachable"]) == ("disk", "redis", False) and stats["errors"] >= 1
        redis.start()
        time.sleep(0.3)
        assert cache.get_or_compute("b", 600, lambda: b"fourth") == b"third"
        assert cache.get_or_compute("c", 600, lambda: b"fifth") == b"fifth"
        assert cache.stats()["backend"] == "redis" and redis.client.keys("*")


@needs_redis
def test_no_request_fails_while_redis_is_killed_and_started(tmp_path):
    with running_redis() as redis:
        asked = Settings(cache=tmp_path, redis_url=redis.url, cache_memory=0, rate_limit="100000/minute", scan_pairs=1)
        with running(create_app({}, asked)) as url:
            statuses, done = [], threading.Event()

            def ask(number):
                with httpx.Client(base_url=url, timeout=60) as client:
                    k = number
                    while not done.is_set():
                        k += 7
                        answer = (client.post("/api/v1/analyze", json={"pair": "eth_usdt", "limit": 60 + k % 5}), client.get(
                            "/api/v1/cache-stats"), client.get("/api/v1/scheduler/status"))[k % 3]
                        statuses.append((answer.status_code, answer.request.url.path))

            with ThreadPoolExecutor(6) as pool:
                asking = [pool.submit(ask, k) for k in range(6)]
                for _ in range(3):
                    before = len(statuses)
                    while len(statuses) < before + 60: time.sleep(0.05)
                    redis.kill()
                    before = len(statuses)
                    while len(statuses) < before + 60: time.sleep(0.05)
                    redis.start()
                done.set()
                for one in asking: one.result()
            assert len(statuses) > 360 and {status for status, _ in statuses} == {200}
            while httpx.get(f"{url}/api/v1/cache-stats").json()["backend"] != "redis": # it is found again when next asked
                httpx.post(f"{url}/api/v1/analyze", json={"pair": "eth_usdt", "limit": 61}, timeout=60)
                time.sleep(0.1)


def test_only_bytes_lie_on_the_disk(tmp_path):
    "No pickle: neither in what the cache writes nor read from what somebody else wrote."
    cache = Cache(DiskBackend(tmp_path))
    cache.get_or_compute("a", 60, lambda: json.dumps({"a": 1}).encode() * 10_000)
    cache.get_or_compute("b", 60, lambda: b"small")
    with sqlite3.connect(tmp_path / "cache.db") as database:
        modes = {mode for mode, in database.execute("select mode from Cache")}
        raws = {raw for raw, in database.execute("select raw from Cache")}
    assert modes <= {1, 2} and raws == {1} # plain values and plain files; a pickle would be 4, a pickled name 0
    diskcache.Cache(str(tmp_path)).set("c", print)
    assert DiskBackend(tmp_path).get("c") is None
