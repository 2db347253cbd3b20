"Parts of the deployment at work: backups of Redis, the health check, the example notebook, pins from a registry."

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from support.daemons import needs, redis_server
from support.deploy_files import COMPOSE, DEPLOY, ROOT, instructions
from support.server import running
from support.small_models import small_models

from ohlcv_ta.serving.http.app import PORT, create_app
from ohlcv_ta.serving.server import create_status_app, serve_in_thread


@pytest.fixture
def kept(tmp_path):
    "A Redis with our settings on a folder, and a function that runs one of our scripts with it."
    config = tmp_path / "redis.conf" # our own, but for its folder
    config.write_text((DEPLOY / "redis" / "redis.conf").read_text().replace("dir /data\n", ""))
    folders = {name: tmp_path / name for name in ("data", "backup", "other")}
    for folder in folders.values(): folder.mkdir()

    def script(name, *options, **known):
        known = {"PATH": os.environ["PATH"], "BACKUP_FOLDER": str(folders["backup"]), **{k: str(v) for k, v in known.items()}}
        return subprocess.run(["sh", DEPLOY / "redis" / name, *map(str, options)], env=known, capture_output=True, text=True)

    return config, folders, script


@needs("redis-server", "redis-cli")
def test_a_snapshot_of_redis_is_taken_kept_and_brought_back(kept):
    config, folders, script = kept
    for k in range(4): (folders["backup"] / f"redis-2026010{k + 1}T000000Z.rdb").write_text("REDIS, an old one")
    with redis_server(folders["data"], config, password="secret") as (port, redis):
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-lru"}
        redis.set("plan", "every five minutes")
        redis.set("answer", "soon old", ex=1000)
        known = {"REDIS_PORT": port, "REDISCLI_AUTH": "secret", "BACKUP_KEEP": 3}
        refused = script("backup.sh", "once", **known | {"REDISCLI_AUTH": "wrong"})
        assert refused.returncode == 1 and "WRONGPASS" in refused.stderr
        taken = script("backup.sh", "once", **known)
        assert taken.returncode == 0 and "3 kept" in taken.stdout, taken.stderr
        assert script("backup.sh", "check").returncode == 0
        redis.set("plan", "never")
    names = sorted(path.name for path in folders["backup"].iterdir())
    assert names[:2] == ["redis-20260103T000000Z.rdb", "redis-20260104T000000Z.rdb"] and len(names) == 3
    wrong = script("restore.sh", config, DATA_FOLDER=folders["data"])
    assert wrong.returncode == 1 and "no snapshot" in wrong.stderr
    for folder in ("data", "other"): # in place of what there was, and on an empty disk
        back = script("restore.sh", folders["backup"] / names[2], DATA_FOLDER=folders[folder], RESTORE_PORT=port)
        assert back.returncode == 0 and "2 keys" in back.stdout, back.stderr
        with redis_server(folders[folder], config) as (_, redis):
            assert redis.get("plan") == b"every five minutes" and 0 < redis.ttl("answer") <= 1000
    assert (folders["data"] / "appendonlydir.before").exists()


@needs("redis-server", "redis-cli")
def test_the_sidecar_goes_on_where_redis_was_away_and_ends_when_it_is_told(kept):
    config, folders, script = kept
    old = folders["backup"] / "redis-20260101T000000Z.rdb"
    old.write_text("REDIS")
    os.utime(old, (0, 0))
    assert script("backup.sh", "check").returncode == 1 and script("backup.sh", "nonsense").returncode == 2
    with redis_server(folders["data"], config) as (port, _): pass
    known = os.environ | {"REDIS_PORT": str(port), "BACKUP_FOLDER": str(folders["backup"]), "BACKUP_EVERY": "1"}
    with subprocess.Popen(["sh", DEPLOY / "redis" / "backup.sh"], env=known, stderr=subprocess.PIPE) as sidecar:
        assert b"Could not connect" in sidecar.stderr.readline()
        again = ["redis-server", config, "--port", str(port), "--dir", folders["data"], "--bind", "127.0.0.1"]
        with subprocess.Popen(again, stdout=subprocess.DEVNULL) as redis:
            while len(list(folders["backup"].glob("redis-*.rdb"))) < 2: time.sleep(0.05)
            redis.terminate()
        sidecar.terminate()


def test_the_health_check_passes_where_the_service_runs_and_fails_where_it_does_not():
    check = json.loads(dict(instructions())["HEALTHCHECK"].split("CMD", 1)[1])
    with serve_in_thread(create_status_app(create_app(small_models())), "127.0.0.1", 0) as port:
        command = [*check[:2], check[2].replace(str(PORT + 1), str(port))]
        assert subprocess.run(command).returncode == 0
    gone = subprocess.run(command, capture_output=True)
    assert gone.returncode == 1


def test_the_notebook_that_tests_the_service_runs_against_one(monkeypatch):
    notebook = nbformat.read(ROOT / "examples" / "test_service.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    with running(create_app(small_models())) as url:
        monkeypatch.setenv("OHLCV_TA_URL", url)
        monkeypatch.delenv("MPLBACKEND", raising=False) # or figures would not be shown
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "examples")}}).execute()
    pictures = [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) == 3


MANIFEST = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'


class Registry(BaseHTTPRequestHandler):
    "A registry that speaks version 2 of the API: it asks for a token, hands one out, and serves manifests."
    def do_GET(self):
        path = self.path.partition("?")[0]
        here = f"http://127.0.0.1:{self.server.server_port}"
        self.server.asked[path] += 1
        if path == "/token": return self.answer(200, b'{"token": "for-anybody"}')
        if self.headers["Authorization"] != "Bearer for-anybody":
            return self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{here}/token",service="here",scope="pull"'})
        tag = path.rpartition("/")[2]
        if tag == "gone": return self.answer(404, b"{}")
        assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
        content = MANIFEST + path.encode()
        digest = "sha256:" + sha256(b"other" if tag == "tampered" else content).hexdigest()
        self.answer(200, content, {"Docker-Content-Digest": digest})

    def answer(self, status, content, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items(): self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_): pass


@contextmanager
def registry():
    "A registry on loopback; yields its address and the requests that it received."
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.asked = Counter()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def clone(tmp_path):
    "The files that hold pins, in a copy, and repositories of the actions that they use."
    for pattern in ("deploy/Dockerfile", "deploy/compose.yaml", "deploy/kubernetes/**/*.yaml", ".github/workflows/*.yml"):
        for path in ROOT.glob(pattern):
            (tmp_path / "clone" / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "clone" / path.relative_to(ROOT))
    workflows = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").iterdir())
    for name, tag in set(re.findall(r"uses: ([\w.-]+/[\w.-]+)@(?:[0-9a-f]{40} # )?(\S+)", workflows)):
        there, who = tmp_path / "git" / name, ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        there.mkdir(parents=True, exist_ok=True)
        for command in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", tag], ["tag", "-a", tag, "-m", tag]):
            subprocess.run(["git", *who, *command], cwd=there, check=True)

    def pin(*options):
        command = [sys.executable, DEPLOY / "pin.py", "--folder", tmp_path / "clone", "--git", tmp_path / "git", *options]
        return subprocess.run(command, capture_output=True, text=True)

    return tmp_path, pin


def test_images_and_actions_are_pinned_and_stay_so(clone):
    folder, pin = clone
    with registry() as (address, asked):
        done = pin("--registry", address)
        assert done.returncode == 0, done.stderr
        compose = yaml.safe_load((folder / "clone" / "deploy" / "compose.yaml").read_text())["services"]
        digest = sha256(MANIFEST + b"/v2/library/redis/manifests/7.4.11-alpine").hexdigest()
        assert compose["redis"]["image"] == f"redis:7.4.11-alpine@sha256:{digest}"
        assert compose["app"]["image"] == COMPOSE["services"]["app"]["image"], "ours is in no registry"
        manifest = (folder / "clone" / "deploy" / "kubernetes" / "production" / "redis.yaml").read_text()
        assert f"image: redis:7.4.11-alpine@sha256:{digest}\n" in manifest
        assert "/v2/cadvisor/cadvisor/manifests/v0.55.1" in asked and "/v2/prom/prometheus/manifests/v3.13.3" in asked
        assert max(count for path, count in asked.items() if path != "/token") <= 2, "once, and once again with a token"
        there = folder / "git" / "actions" / "checkout"
        head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=there, text=True).strip()
        assert re.search(rf"actions/checkout@{head} # v\d+\n", (folder / "clone/.github/workflows/tests.yml").read_text())
        written = {path: path.read_text() for path in (folder / "clone").rglob("*") if path.is_file()}
        assert pin("--check").returncode == 0
        again = pin("--registry", address)
    assert again.returncode == 0 and written == {path: path.read_text() for path in written}
    for path, text in written.items():
        before = (ROOT / path.relative_to(folder / "clone")).read_text()
        assert len(text.splitlines()) == len(before.splitlines())
        if path.suffix in (".yaml", ".yml"): assert list(yaml.safe_load_all(text))


@pytest.mark.parametrize(("tag", "says"), [("gone", "404"), ("tampered", "not what its digest says")])
def test_what_a_registry_does_not_have_is_named_and_nothing_is_written(clone, tag, says):
    folder, pin = clone
    compose = folder / "clone" / "deploy" / "compose.yaml"
    compose.write_text(compose.read_text().replace("grafana/loki:3.7.3", f"grafana/loki:{tag}"))
    before = {path: path.read_text() for path in (folder / "clone").rglob("*") if path.is_file()}
    with registry() as (address, _): done = pin("--registry", address)
    assert done.returncode == 1 and f"grafana/loki, tag {tag}" in done.stderr and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and before == {path: path.read_text() for path in before}
    loose = pin("--check")
    assert loose.returncode == 1 and "make pin" in loose.stderr and f"grafana/loki:{tag}" in loose.stderr


@needs("cyclonedx-py")
def test_the_list_of_packages_is_the_lock(tmp_path):
    command = re.search(r"^\t@(cyclonedx-py .*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    command = command.replace("sbom.cdx.json", str(tmp_path / "sbom"))
    offline = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    subprocess.run(shlex.split(command), cwd=ROOT, env=offline, check=True, capture_output=True)
    made = json.loads((tmp_path / "sbom").read_text())
    lock = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M))
    assert made["bomFormat"] == "CycloneDX" and {one["name"]: one["version"] for one in made["components"]} == lock
