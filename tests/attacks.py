"What attacks on a running service share: a limit on its memory, its peak, and somebody who asks how it is all the while."

import threading
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

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
