"Secrets of a service: where they come from, and where they can no longer be found; who may listen beyond loopback without any."

import os
import subprocess
import sys
import traceback
from pathlib import Path

import httpx
import pytest
from support.lbank import LBank, open_lbank
from support.redis_server import needs_redis, running_redis
from support.server import free_port, running, started
from support.small_models import save_small_models

from ohlcv_ta.serving.http.app import create_app
from ohlcv_ta.serving.security import check_exposure
from ohlcv_ta.serving.settings import Settings, list_secret_variables, list_variables, read_settings

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("ohlcv-ta")
SECRET = "s3cret-of-a-test-777"
SECRETS = {"OHLCV_TA_API_KEY": SECRET, "OHLCV_TA_TELEGRAM_TOKEN": f"1:{SECRET}", "LBANK_API_SECRET": f"lbank-{SECRET}",
           "AVALAI_API_KEY": f"sk-{SECRET}", "OHLCV_TA_WEBHOOK": f"http://127.0.0.1:9/{SECRET}"}
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc, which is Linux's")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))


def environment_of(process):
    return Path(f"/proc/{process.pid}/environ").read_bytes()


@pytest.fixture
def secret_file(tmp_path, monkeypatch):
    "Writes a file of a secret, and names it in the environment."
    monkeypatch.chdir(tmp_path) # where there is no .env

    def write(content, variable="OHLCV_TA_API_KEY_FILE"):
        path = tmp_path / variable
        path.write_bytes(content)
        monkeypatch.setenv(variable, str(path))
        return path

    return write


@pytest.mark.parametrize("variable", [name for name, field in list_variables().items() if "Secret" in str(field.annotation)])
def test_every_secret_can_come_from_a_file(secret_file, variable):
    secret_file(f"{SECRET}\r\n".encode(), f"{variable}_FILE")
    settings = read_settings()
    held = {name: value.get_secret_value() for name, value in settings if hasattr(value, "get_secret_value")}
    assert list(held.values()) == [SECRET] and variable in list_secret_variables()


def test_a_file_may_be_named_by_the_env_file(secret_file, tmp_path, monkeypatch):
    path = secret_file(SECRET.encode())
    monkeypatch.delenv("OHLCV_TA_API_KEY_FILE")
    (tmp_path / ".env").write_text(f"OHLCV_TA_API_KEY_FILE={path}\nOHLCV_TA_API_KEY=\n")
    assert read_settings().api_key.get_secret_value() == SECRET
    (tmp_path / ".env").write_text(f"OHLCV_TA_API_KEY_FILE={path}\nOHLCV_TA_API_KEY=another\n")
    with pytest.raises(ValueError, match="OHLCV_TA_API_KEY and OHLCV_TA_API_KEY_FILE are both set"):
        read_settings()


@pytest.mark.parametrize(("content", "fault"), [(b"", "is empty"), (b" \n\n", "is empty"), (SECRET.encode() * 9999, "64 KiB"),
                                                (b"\xff\xfe" + SECRET.encode(), "not UTF-8"),
                                                (f"{SECRET}\n{SECRET}".encode(), "more than one line"),
                                                (f"{SECRET}\0".encode(), "more than one line")])
def test_a_file_that_is_no_secret_is_named_and_not_shown(secret_file, content, fault):
    path = secret_file(content)
    with pytest.raises(ValueError, match=fault) as error: read_settings()
    assert "OHLCV_TA_API_KEY_FILE" in str(error.value) and str(path) in str(error.value)
    assert SECRET not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("path", ["/no/such/file", "/", "/dev/zero"])
def test_a_file_that_cannot_be_read_is_named(monkeypatch, path):
    monkeypatch.setenv("REDIS_URL_FILE", path)
    with pytest.raises(ValueError, match=f"REDIS_URL_FILE names the file {path}, which"):
        read_settings()


def test_a_command_stops_on_such_a_file_with_one_sentence(tmp_path):
    done = subprocess.run([COMMAND, "serve", "--port", str(free_port())], capture_output=True, text=True, timeout=60,
                          cwd=tmp_path, env=os.environ | {"LBANK_API_SECRET_FILE": "/no/such/file"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("ohlcv-ta: LBANK_API_SECRET_FILE names the file /no/such/file, which can't be read")


@linux
def test_a_service_keeps_no_secret_in_its_environment(models):
    with started(models, "--no-ui", OHLCV_TA_SOURCE_WAIT="0.5", **SECRETS) as (url, process):
        held = environment_of(process)
        assert SECRET.encode() not in held and b"OHLCV_TA_SOURCE_WAIT=0.5" in held
        assert not any(SECRET in value for value in process.environ().values())
        assert httpx.get(f"{url}/api/v1/cache-stats").status_code == 401
        assert httpx.get(f"{url}/api/v1/cache-stats", headers={"X-API-Key": SECRET}).status_code == 200


@linux
@needs_redis
def test_a_schedule_keeps_no_secret_in_its_environment(tmp_path):
    with running_redis() as redis, open_lbank(LBank()) as exchange:
        known = {"REDIS_URL": redis.url, "OHLCV_TA_SOURCE_URL": exchange, "OHLCV_TA_CACHE": str(tmp_path)} | SECRETS
        process = subprocess.Popen([COMMAND, "schedule", "--source", "lbank"], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
                                   env=os.environ | known | {"PYTHONUNBUFFERED": "1"})
        try:
            assert "Scanning lbank" in process.stdout.readline()
            held = environment_of(process)
            assert SECRET.encode() not in held and redis.url.encode() not in held and exchange.encode() in held
        finally:
            process.terminate()
            process.communicate(timeout=60)


@linux
def test_a_process_of_a_service_inherits_no_secret():
    code = ("import subprocess; from ohlcv_ta.serving.settings import *; s = read_settings(); remove_secret_variables(); "
            "print(s.api_key.get_secret_value()); subprocess.run('env'); subprocess.run(['cat', '/proc/self/environ'])")
    known = os.environ | SECRETS | {"ohlcv_ta_telegram_token": f"lower-{SECRET}"} # as pydantic reads it, too
    said = subprocess.check_output([sys.executable, "-uc", code], env=known, text=True)
    assert said.startswith(f"{SECRET}\n") and said.count(SECRET) == 1 and "PATH=" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback_a_service_needs_a_key(host, tmp_path):
    known = {name: value for name, value in os.environ.items() if name not in list_variables()}
    done = subprocess.run([COMMAND, "serve", "--host", host, "--port", str(free_port())], capture_output=True, text=True,
                          timeout=60, cwd=tmp_path, env=known)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"ohlcv-ta: Listening on {host} lets other machines in, and there is no key.")
    assert all(way in done.stderr for way in ("OHLCV_TA_API_KEY,", "OHLCV_TA_API_KEY_FILE", "OHLCV_TA_OPEN_DEMO=true"))


@pytest.mark.parametrize("host", ["0", "192.0.2.1", "2001:db8::1", "[::]", "charts.example.invalid", ""])
def test_every_spelling_of_another_address_is_beyond_loopback(host):
    with pytest.raises(ValueError, match="there is no key"): check_exposure(host, Settings())
    check_exposure(host, Settings(open_demo=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_on_loopback_a_service_needs_none(host): check_exposure(host, Settings())


def test_a_key_from_a_file_or_an_open_demo_lets_it_listen(models, tmp_path):
    key = tmp_path / "api_key"
    key.write_text(f"{SECRET}\n")
    with started(models, "--no-ui", "--host", "0.0.0.0", OHLCV_TA_API_KEY_FILE=str(key)) as (url, _):
        assert httpx.get(f"{url}/docs").status_code == 401
        assert httpx.get(f"{url}/docs", headers={"X-API-Key": SECRET}).status_code == 200
        assert [httpx.get(f"{url}/{path}").status_code for path in ("health", "ready", "metrics")] == [200, 200, 200]
    with started(models, "--no-ui", "--host", "0.0.0.0", OHLCV_TA_OPEN_DEMO="true") as (url, _):
        assert httpx.get(f"{url}/docs").status_code == 200


@pytest.mark.parametrize("variable", list_secret_variables())
def test_an_open_demo_holds_no_secret(monkeypatch, variable):
    monkeypatch.setenv("OHLCV_TA_OPEN_DEMO", "true")
    monkeypatch.setenv(variable, SECRET)
    with pytest.raises(ValueError, match=f"an open demo holds no secrets, but {variable} is set") as error:
        read_settings()
    assert SECRET not in str(error.value)


def test_the_space_is_an_open_demo():
    known = {name: value for name, value in os.environ.items() if name not in list_variables()}
    done = subprocess.run([sys.executable, ROOT / "app" / "app.py"], capture_output=True, text=True, timeout=120,
                          env=known | {"LBANK_API_KEY": SECRET})
    assert done.returncode == 1 and "an open demo holds no secrets, but LBANK_API_KEY is set" in done.stderr
    assert SECRET not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("names", ["https://charts.example.org", "charts.example.org:443", "a b", "*", "-a.org", "a..org"])
def test_what_is_no_host_name_is_refused(monkeypatch, names):
    monkeypatch.setenv("OHLCV_TA_TRUSTED_HOSTS", f"localhost,{names}")
    with pytest.raises(ValueError, match=r"OHLCV_TA_TRUSTED_HOSTS: .* is no host name"):
        read_settings()


def test_settings_of_uploads_and_hosts_are_read(monkeypatch):
    for name, value in {"TRUSTED_HOSTS": " Charts.Example.org , 10.0.0.1", "UPLOAD_QUOTA": "64", "UPLOAD_HOURS": "0.5"}.items():
        monkeypatch.setenv(f"OHLCV_TA_{name}", value)
    settings = read_settings()
    assert settings.trusted_hosts == ("charts.example.org", "10.0.0.1")
    assert (settings.upload_quota, settings.upload_hours) == (64, 0.5)
    assert (Settings.model_fields["upload_quota"].default, Settings.model_fields["upload_hours"].default) == (256, 1.0)


def test_an_open_demo_answers_and_changes_nothing():
    with running(create_app({}, Settings(open_demo=True))) as url, httpx.Client(base_url=f"{url}/api/v1") as client:
        for path in ("start", "stop", "run-manual"):
            answer = client.post(f"/scheduler/{path}")
            assert answer.status_code == 403 and "open demo" in answer.json()["message"] and answer.json()["status"] == "error"
        status = client.get("/scheduler/status")
        assert status.status_code == 200 and not status.json()["is_running"], status.text
