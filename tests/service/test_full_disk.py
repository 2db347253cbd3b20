"A temporary folder of 64 MB, filled by uploads: what needs no disk is answered, and an hour later there is room again."

import os
import time

import httpx
import pytest
from support.attacks import small_disk
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.http.schemas import EXAMPLE_FEATURES
from ohlcv_ta.serving.settings import Settings
from ohlcv_ta.serving.ui.app import mount_ui


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "64m") as folder: yield folder


def upload(client, number, size=15_000_000):
    return client.post("/app/gradio_api/upload", files={"files": (f"bars{number}.csv", os.urandom(size))}).status_code


def test_uploads_fill_the_disk(disk):
    folders = {"cache": disk / "cache", "uploads": disk / "uploads", "scan_folder": disk / "scans"}
    service = mount_ui(create_app(small_models(), Settings(**folders, upload_quota=1000)))
    with running(service) as url, httpx.Client(base_url=url, timeout=60) as client:
        codes = [upload(client, number) for number in range(10)]
        rest = [upload(client, number, 200_000) for number in range(80)]
        assert codes[:3] == [200, 200, 200] and codes[-1] == rest[-1] == 507
        assert client.post("/predict", json=EXAMPLE_FEATURES).status_code == 200 and client.get("/health").status_code == 200
        started = client.post("/api/v1/scheduler/start")
        status = client.get("/api/v1/scheduler/status").json()
        assert started.status_code in (200, 507)
        assert status["is_running"] is bool(status["jobs"]) is (started.status_code == 200)
        an_hour_ago = time.time() - 3700 # as if that much time had gone by
        for path in sorted(folders["uploads"].rglob("*"), reverse=True): os.utime(path, (an_hour_ago, an_hour_ago))
        assert upload(client, 99) == 200
        assert client.post("/api/v1/scheduler/start").status_code == 200
        assert client.get("/api/v1/scheduler/status").json()["is_running"] is True
        client.post("/api/v1/scheduler/stop")
