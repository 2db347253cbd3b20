"Programs of others that tests start on loopback, with data in a folder that goes away."

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError

from support.server import free_port


def needs(*tools):
    "Skips where a program is not installed, except in CI."
    missing = [tool for tool in tools if not shutil.which(tool)]
    return pytest.mark.skipif(bool(missing) and os.environ.get("CI") != "true", reason=f"{', '.join(missing)} not installed")


@contextmanager
def daemon(command, answers, log):
    "A program that runs until the end of the block; `answers` says whether it does yet."
    with open(log, "wb") as out: process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)
    try:
        while not answers():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def redis_server(folder, *options, password=None):
    "A Redis on the data of a folder; gives its port and a client."
    port = free_port()
    client = Redis(port=port, password=password)

    def answers():
        try:
            return client.ping()
        except RedisError:
            return False

    command = ["redis-server", *options, "--port", port, "--dir", folder, "--bind", "127.0.0.1"]
    if password: command += ["--requirepass", password]
    with daemon(command, answers, folder / "redis.log"): yield port, client


@contextmanager
def prometheus(folder, config):
    "A Prometheus with a configuration; gives what asks its API."
    port = free_port()
    known = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def answers():
        try:
            return known.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}"]
    with daemon(command, answers, folder / "prometheus.log"):
        yield lambda path, **asked: known.get(f"/api/v1/{path}", params=asked).json()
