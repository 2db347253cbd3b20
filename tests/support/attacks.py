"Attacks on a running service: what is sent, a limit on its memory, an observer of its health, and many clients at once."

import asyncio
import base64
import io
import json
import os
import random
import struct
import subprocess
import threading
import time
import zlib
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class ControlGroup:
    "Memory of a process and its children, limited and measured by the kernel."
    def __init__(self, limit):
        one = (V1 / "memory.limit_in_bytes").exists()
        self.folder = (V1 if one else V2) / f"ohlcv-ta-{uuid4().hex[:8]}"
        self.folder.mkdir()
        most, self.peak_name = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if one else ("memory.max", "memory.peak")
        (self.folder / most).write_text(str(limit))
        with suppress(OSError): (self.folder / "memory.swap.max").write_text("0")

    def prefix(self):
        "What a command is started with to be in the group from its first byte."
        return ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh"]

    def peak(self): # bytes of what processes hold, without files that the kernel keeps in spare memory
        names = dict(line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return int(names.get("rss", names.get("anon", 0)))

    def killed(self):
        name = "memory.oom_control" if self.folder.parent == V1 else "memory.events"
        return int(dict(line.split() for line in (self.folder / name).read_text().splitlines())["oom_kill"])

    def close(self):
        with suppress(OSError): self.folder.rmdir()


def memory_limit(limit):
    "A control group where one can be made; None elsewhere."
    try:
        return ControlGroup(limit)
    except OSError:
        return None


@contextmanager
def small_disk(folder, size):
    "A file system of its own in memory, such as 64m."
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, text=True)
    if made.returncode and os.environ.get("CI") != "true": pytest.skip(f"no file system can be mounted here: {made.stderr}")
    assert made.returncode == 0, made.stderr
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class Observer(threading.Thread):
    "Asks for /health every 100 ms, and notes how long each answer takes and how much memory is held."
    def __init__(self, url, process, group=None):
        super().__init__(daemon=True)
        self.url, self.process, self.group, self.ended = url, process, group, threading.Event()
        self.times, self.failures, self.peak = [], [], 0

    def held(self): # bytes
        if self.group: return self.group.peak()
        total = 0
        for one in (self.process, *self.process.children(recursive=True)):
            with suppress(psutil.Error): total += one.memory_full_info().pss
        return total

    def run(self):
        with httpx.Client(timeout=60) as client:
            while not self.ended.wait(0.1):
                began = time.perf_counter()
                try:
                    if (answer := client.get(f"{self.url}/health")).status_code != 200: self.failures.append(answer.text)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self.times.append(time.perf_counter() - began)
                self.peak = max(self.peak, self.held())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(60)


ROOT = Path(__file__).parents[2]
LIMIT = 1536 * 2**20 # as the manifests say
MALLOC = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
FEATURES = json.loads((ROOT / "examples" / "sample_prediction_request.json").read_text())
FEATURES = FEATURES.get("features", FEATURES)


def chunk(name, content=b""):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height):
    "A valid picture of black pixels, packed as well as PNG can."
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(1 + 3 * width)) for _ in range(height)) + rows.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND")


def promised(width, height):
    "Only the header of such a picture, and a few bytes."
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND")


def photograph(width=3264, height=2448):
    grain = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    Image.fromarray(grain).resize((width, height)).save(file := io.BytesIO(), "JPEG", quality=85)
    return file.getvalue()


def as_json(picture):
    return json.dumps({"image_base64": base64.b64encode(picture).decode()}).encode()


def batch(row, size):
    text = json.dumps(row).encode()
    return b"[" + b",".join([text] * (size // (len(text) + 1))) + b"]"


UNKNOWN = {f"key{k}": k for k in range(20)}
ATTACKS = {
    "1,000,000 x 16 pixels": ("/predict", lambda: as_json(png(1_000_000, 16)), {413}),
    "16 x 1,000,000 pixels": ("/predict", lambda: as_json(png(16, 1_000_000)), {413}),
    "30,000 x 30,000 pixels": ("/predict", lambda: as_json(promised(30_000, 30_000)), {413}),
    "4,000 x 4,000 pixels": ("/predict", lambda: as_json(png(4000, 4000)), {200}),
    "a batch of 31 MB": ("/batch-predict", lambda: batch(FEATURES, 31_000_000), {413}),
    "unknown keys, 31 MB": ("/batch-predict", lambda: batch(UNKNOWN, 31_000_000), {413}),
    "unknown keys, 2 MB": ("/batch-predict", lambda: batch(UNKNOWN, 2_000_000), {413, 422}),
    "empty lists, 2 MB": ("/batch-predict", lambda: b"[" + b",".join([b"[]"] * 699_000) + b"]", {413, 422}),
    "features of 20 MB": ("/predict", lambda: batch(FEATURES, 20_000_000), {413}),
    "100,000 deep": ("/predict", lambda: b"[" * 100_000 + b"]" * 100_000, {413, 422}),
    "100,000 deep, batch": ("/batch-predict", lambda: b"[" * 100_000 + b"]" * 100_000, {413, 422}),
    "deep in a form": ("/api/v1/levels", "form", {413, 422}),
    "a large analysis": ("/api/v1/analyze", lambda: b'{"pair": "' + b"x" * 1_000_000 + b'"}', {413}),
    "bars of 31 MB": ("/api/v1/trend", lambda: b'{"bars": ' + batch({"time": 0}, 31_000_000) + b"}", {413}),
}


def post(url, path, body):
    if body == "form":
        return httpx.post(url + path, files={"image": promised(100, 100)}, data={"axis": "[" * 100_000}, timeout=120)
    return httpx.post(url + path, content=body(), headers={"Content-Type": "application/json"}, timeout=120)


def chart(width=900, height=450):
    image = np.full((height, width, 3), 255, np.uint8)
    image[height // 3] = 20
    Image.fromarray(image).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


ANALYSES = [{"pair": pair, "timeframe": timeframe} for pair in ("btc_usdt", "eth_usdt")
            for timeframe in ("hour1", "hour4", "day1")]
MIX = [("/health", None)] * 2 + [("/predict", FEATURES)] * 3 + [("/batch-predict", [FEATURES] * 20)] + [
    ("/predict", {"image_base64": base64.b64encode(chart()).decode()})] * 2 + [("/api/v1/analyze", one) for one in ANALYSES]


def kind_of(path, body):
    return "picture" if isinstance(body, dict) and "image_base64" in body else path


async def mixed_load(url, clients, seconds, pause=1.0, seed=0):
    "Clients that ask, wait a little, and ask again: kind -> seconds of each answer, and every answer that is none."
    took, wrong, until = defaultdict(list), [], time.monotonic() + seconds

    async def one(number):
        dice = random.Random(f"{seed} {number}")
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            while time.monotonic() < until:
                await asyncio.sleep(pause * dice.uniform(0.5, 1.5))
                path, body = dice.choice(MIX)
                began = time.perf_counter()
                answer = await (client.get(path) if body is None else client.post(path, json=body))
                took[kind_of(path, body)].append(time.perf_counter() - began)
                if answer.status_code != 200: wrong.append((path, answer.status_code, answer.text[:200]))

    await asyncio.gather(*(one(number) for number in range(clients)))
    return dict(took), wrong
