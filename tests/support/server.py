"A real server on loopback for tests, in this process or as one of its own."

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import uvicorn


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(app):
    "The application behind a real server on loopback; gives its address."
    config = uvicorn.Config(app, host="127.0.0.1", port=free_port(), log_level="error", proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    assert server.started, "the server did not start"
    try:
        yield f"http://127.0.0.1:{server.config.port}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def started(models, *options, warm_up=False, prefix=(), wait=True, **environment):
    "The service as a process of its own, as an image runs it; gives its address and the process."
    port, known = free_port(), os.environ | {"OHLCV_TA_MODELS": str(models)} | environment
    warm = "--warm-up" if warm_up else "--no-warm-up"
    command = [*prefix, Path(sys.executable).with_name("ohlcv-ta"), "serve", "--port", str(port), warm, *options]
    server = subprocess.Popen(command, env=known, stdout=subprocess.DEVNULL)
    try:
        if wait: wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait(30)


def wait_for(url, process):
    "The first answer of a process that is starting."
    while True:
        with suppress(httpx.TransportError):
            answer = httpx.get(url, timeout=60)
            if answer.status_code != 503: return answer # it is warm
        assert process.poll() is None, "the process ended"
        time.sleep(0.1)
