"A Redis on a free port of loopback that tests start, kill and start again."

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
from redis import Redis
from redis.exceptions import RedisError

from support.server import free_port

needs_redis = pytest.mark.skipif(not shutil.which("redis-server") and os.environ.get("CI") != "true",
                                 reason="needs redis-server (apt-get install redis-server)")


class RedisServer:
    "Without a folder it keeps nothing on the disk: after a kill it comes back empty."
    def __init__(self, folder=None):
        self.port, self.process, self.folder = free_port(), None, folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis(port=self.port)

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", self.folder, "--appendonly", "yes", "--appendfsync", "always"] if self.folder else []
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.answers():
            assert self.process.poll() is None, "redis-server ended"
            time.sleep(0.02)

    def answers(self):
        try:
            return self.client.ping()
        except RedisError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running_redis(
    folder=None, # where it keeps its data over a restart
):
    "A Redis, and what kills and starts it."
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
