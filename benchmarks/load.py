"""How much the service bears, on demand:

python benchmarks/load.py cached      what is kept, at a fixed rate and as fast as it goes, with Redis
python benchmarks/load.py trouble     10,000 mixed requests while Redis, the exchange and the process itself come and go
python benchmarks/load.py clients     one client, then fifty, with the mix of requests that people send
python benchmarks/load.py attacks     what is sent to fill memory or to stop the event loop, under the manifests' memory limit
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np

from ohlcv_ta.data.io import read_json, write_json
from ohlcv_ta.models.training_records import describe_machine

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.attacks import (  # noqa: E402
    ANALYSES,
    ATTACKS,
    LIMIT,
    MALLOC,
    Observer,
    as_json,
    memory_limit,
    mixed_load,
    photograph,
    post,
)
from support.lbank import LBank, open_lbank  # noqa: E402
from support.redis_server import running_redis  # noqa: E402
from support.server import free_port, started, wait_for  # noqa: E402

PAIRS, TIMEFRAMES = ("btc_usdt", "eth_usdt", "doge_usdt", "eth_btc"), ("minute5", "minute15", "hour1", "hour4", "day1")


class Gone(Exception):
    "No connection, or it was closed before a word of an answer came: the request may be sent again."


class Lost(Exception):
    "An answer that began and did not end."


async def ask(port, method, path, body=None, kept=None):
    "One request over a connection of its own, or over one that is kept: status, headers, content."
    try:
        reader, writer = kept or await asyncio.open_connection("127.0.0.1", port)
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                     f"Content-Length: {len(content)}\r\n{'' if kept else 'Connection: close' + chr(13) + chr(10)}\r\n".encode()
                     + content)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (OSError, asyncio.IncompleteReadError) as error:
        if getattr(error, "partial", b""): raise Lost from None
        raise Gone from None
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    try:
        content = await reader.readexactly(int(headers["content-length"]))
    except (OSError, asyncio.IncompleteReadError):
        raise Lost from None
    if not kept: writer.close()
    return int(head.split()[1]), headers, content


def start(port, **environment):
    "The service as a process."
    command = [str(Path(sys.executable).with_name("ohlcv-ta")), "serve", "--no-ui", "--port", str(port)]
    process = subprocess.Popen(command, env=os.environ | {"LOG_LEVEL": "WARNING"} | environment, stdout=subprocess.DEVNULL)
    wait_for(f"http://127.0.0.1:{port}/health", process)
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def quantiles(seconds):
    milliseconds = 1000 * np.asarray(seconds)
    return {f"p{q:g}": round(float(np.percentile(milliseconds, q)), 2) for q in (50, 90, 99, 99.9, 100)}


async def at_rate(port, path, body, rate, seconds, connections=16):
    "Each request at its time, whatever became of those before it; its time counts from when it should have begun."
    free, took, statuses = asyncio.Queue(), [], Counter()
    for _ in range(connections): free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def one(due):
        kept = await free.get()
        status, *_ = await ask(port, "POST", path, body, kept)
        took.append(time.perf_counter() - due)
        statuses[status] += 1
        free.put_nowait(kept)

    began, tasks = time.perf_counter() + 0.1, []
    for k in range(int(rate * seconds)):
        due = began + k / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    spent = time.perf_counter() - began
    return {"asked_per_second": rate, "answered_per_second": round(len(took) / spent, 1), "statuses": dict(statuses),
            "milliseconds": quantiles(took)}


async def as_fast_as_it_goes(port, path, body, seconds, connections=8):
    took, until = [], time.perf_counter() + seconds

    async def one():
        kept = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            status, *_ = await ask(port, "POST", path, body, kept)
            assert status == 200
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(one() for _ in range(connections)))
    return {"answered_per_second": round(len(took) / seconds, 1), "connections": connections, "milliseconds": quantiles(took)}


def cached(seconds):
    "A kept analysis, in Redis and in the process's memory, and in Redis alone."
    found, body = {}, {"pair": "btc_usdt"}
    with running_redis() as redis:
        for name, memory in (("memory and redis", "64"), ("redis alone", "0")):
            with tempfile.TemporaryDirectory() as folder:
                port, known = free_port(), {"REDIS_URL": redis.url, "OHLCV_TA_CACHE": folder, "OHLCV_TA_CACHE_MEMORY": memory}
                process = start(port, **known)
                path = "/api/v1/analyze"
                _, _, content = asyncio.run(ask(port, "POST", path, body))
                asyncio.run(at_rate(port, path, body, 100, 3)) # warm
                found[name] = {f"{rate} a second": asyncio.run(at_rate(port, path, body, rate, seconds)) for rate in (300, 450)}
                found[name] |= {"as fast as it goes": asyncio.run(as_fast_as_it_goes(port, path, body, seconds))}
                found[name]["bytes"] = len(content)
                stop(process)
    return found


def mixed(dice):
    "Requests without end: method, path, body, statuses that they may have."
    while True:
        kind = dice.random()
        if kind < 0.7:
            asked = {"pair": dice.choice(PAIRS), "timeframe": dice.choice(TIMEFRAMES), "limit": dice.choice((60, 200))}
            if dice.random() < 0.06: asked["limit"] = dice.randint(61, 400) # that nobody asked for before
            yield "POST", "/api/v1/analyze", asked, {200, 503}
        elif kind < 0.75: yield "POST", "/api/v1/analyze", {"pair": "nosuch_usdt"}, {404, 503}
        elif kind < 0.8: yield "POST", "/api/v1/analyze", {"pair": "eth_usdt", "limit": 2001}, {400}
        elif kind < 0.88: yield "GET", "/api/v1/cache-stats", None, {200}
        elif kind < 0.95: yield "GET", "/api/v1/scheduler/status", None, {200}
        else: yield "GET", dice.choice(["/health", "/metrics", "/"]), None, {200}


async def trouble_for(port, count, at_once, restart, redis):
    dice, statuses, wrong, again, answered, after = random.Random(0), Counter(), [], Counter(), set(), Counter()
    asked, done = mixed(dice), itertools.count(1)
    last, took = [0], []

    async def one(method, path, body, may):
        key, known = json.dumps(body), json.dumps(body) in answered
        while True:
            try:
                began = time.perf_counter()
                status, headers, content = await asyncio.wait_for(ask(port, method, path, body), 120)
                if status == 503 and (b"is starting" in content or b'"starting"' in content): raise Gone
                took.append(time.perf_counter() - began)
                break
            except Gone:
                again["not yet begun"] += 1
                await asyncio.sleep(0.1)
            except Lost:
                again["lost"] += 1
        statuses[status] += 1
        last[0] = next(done)
        if path.endswith("analyze"): after[headers.get("x-cache", str(status))] += 1
        if status not in may: wrong.append((path, body, status, content[:300].decode()))
        if status == 503 and known: wrong.append((path, body, "503 although there was an answer", content[:300].decode()))
        if status == 200 and body: answered.add(key)

    async def worker():
        while sum(statuses.values()) + len(running) < count:
            running.append(1)
            await one(*next(asked))
            running.pop()

    running = []

    async def killer():
        "Redis every 700 answers, the process every 2,500."
        loop, next_redis, next_process = asyncio.get_running_loop(), 300, 1500
        while True:
            await asyncio.sleep(0.05)
            if last[0] >= next_redis:
                await loop.run_in_executor(None, redis.kill)
                await asyncio.sleep(1.5)
                await loop.run_in_executor(None, redis.start)
                again["redis killed"], next_redis = again["redis killed"] + 1, last[0] + 700
            if last[0] >= next_process:
                await loop.run_in_executor(None, restart)
                again["process restarted"], next_process = again["process restarted"] + 1, last[0] + 2500

    killing = asyncio.create_task(killer())
    await asyncio.gather(*(worker() for _ in range(at_once)))
    killing.cancel()
    with contextlib.suppress(asyncio.CancelledError): await killing
    return {"statuses": dict(sorted(statuses.items())), "analyses": dict(after), **again, "wrong": wrong[:20],
            "milliseconds": quantiles(took)}


def trouble(count, at_once=24):
    "Everything fails at times but the service."
    moods = {"good": 10, "busy": 2, "broken": 3} # 429 or 503 a third of the time
    lbank = LBank(moods=moods, rest=0.2)
    with running_redis() as redis, open_lbank(lbank) as address, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        known = {"REDIS_URL": redis.url, "OHLCV_TA_CACHE": folder, "OHLCV_TA_SOURCE": "lbank", "OHLCV_TA_SOURCE_URL": address,
                 "OHLCV_TA_SOURCE_WAIT": "0.1", "OHLCV_TA_SOURCE_TRIES": "2", "LOG_LEVEL": "ERROR"}
        process = [start(port, **known)]

        def restart():
            stop(process[0])
            process[0] = start(port, **known)

        try:
            found = asyncio.run(trouble_for(port, count, at_once, restart, redis))
        finally:
            stop(process[0])
        return found | {"exchange": {name: lbank.counts[name] for name in ("busy", "broken")} | {
            "questions": sum(count for name, count in lbank.counts.items() if name.startswith("/"))}}


def clients(seconds):
    "The time of each kind of request, for one client and for fifty; analyses are known after the first of each."
    with (tempfile.TemporaryDirectory() as folder,
          started(ROOT / "models", warm_up=True, OHLCV_TA_CACHE=folder, LOG_LEVEL="ERROR", **MALLOC) as (url, process)):
        first = [timed(httpx.post, f"{url}/api/v1/analyze", json=one, timeout=120) for one in ANALYSES]
        found = {"first analyses": quantiles(first)}
        for count, pause in ((1, 0.05), (50, 1.0)):
            took, wrong = asyncio.run(mixed_load(url, count, seconds, pause))
            found[f"{count} client{'s' if count > 1 else ''}"] = {
                "answered_per_second": round(sum(map(len, took.values())) / seconds, 1), "wrong": len(wrong),
                "kinds": {kind: {"answers": len(one)} | quantiles(one) for kind, one in sorted(took.items())}}
        held = sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True)))
        return found | {"megabytes": round(held / 2**20)}


def timed(function, *given, **named):
    began = time.perf_counter()
    function(*given, **named).raise_for_status()
    return time.perf_counter() - began


def crowd(url, _, body):
    with ThreadPoolExecutor(200) as pool: return list(pool.map(lambda _: post(url, "/predict", body), range(200)))


def attacks():
    "The peak of memory and the longest wait for /health during each attack, of a service with everything in it."
    group, rows, eight = memory_limit(LIMIT), [], as_json(photograph())
    every = {**{name: (path, body, post) for name, (path, body, _) in ATTACKS.items()},
             "200 pictures of 8 megapixels": ("/predict", lambda: eight, crowd)}
    with (tempfile.TemporaryDirectory() as folder,
          started(ROOT / "models", warm_up=True, prefix=group.prefix() if group else (), OHLCV_TA_CACHE=folder,
                  LOG_LEVEL="ERROR", **MALLOC) as (url, process)):
        for name, (path, body, send) in every.items():
            with Observer(url, process, group) as observer:
                time.sleep(0.5)
                began, answers = time.perf_counter(), send(url, path, body)
                seconds = time.perf_counter() - began
            codes = Counter(str(one.status_code) for one in (answers if isinstance(answers, list) else [answers]))
            rows.append({"attack": name, "statuses": dict(codes), "seconds": round(seconds, 2), "peak_megabytes":
                         round(observer.peak / 2**20), "worst_health_ms": round(1000 * max(observer.times), 1)})
    if group: group.close()
    return {"limit_megabytes": LIMIT // 2**20, "rows": rows}


MEASURED = {"cached": lambda given: cached(given.seconds), "trouble": lambda given: trouble(given.count),
            "clients": lambda given: clients(given.seconds), "attacks": lambda given: attacks()}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(MEASURED))
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--count", type=int, default=10_000, help="of mixed requests")
    given = parser.parse_args()
    path, machine = ROOT / "benchmarks" / "load.json", describe_machine()
    kept = read_json(path) if path.exists() else {}
    if kept.get("machine") != machine: kept = {"machine": machine} # numbers of two machines do not go into one file
    write_json(path, kept := kept | {given.what: MEASURED[given.what](given)})
    print(json.dumps(kept[given.what], indent=1, ensure_ascii=False))
