"What can be known of the deployment files without Docker or a cluster."

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from configparser import ConfigParser
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
from ohlcv_ta.serving.settings import variables

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PRODUCTION = sorted((DEPLOY / "kubernetes" / "production").iterdir())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
PULLED = {"models", "data"} # fetched by `dvc pull`, so not in every clone


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
    assert said["USER"] == "10001" and said["EXPOSE"] == str(PORT)
    command, subcommand, *options = json.loads(said["CMD"])
    known = CliRunner().invoke(command_line, [subcommand, "--help"])
    assert command == "ohlcv-ta" and known.exit_code == 0
    assert all(option in known.output for option in options if option.startswith("--"))
    check = json.loads(said["HEALTHCHECK"].split("CMD", 1)[1])
    compile(check[2], "HEALTHCHECK", "exec")
    assert f"127.0.0.1:{PORT}/health" in check[2]


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
    assert service["ports"] == [f"{PORT}:{PORT}", f"8000:{PORT}"] and service["read_only"]


DESCRIBED = {"app": 8000, "redis": 6379, "prometheus": 9090, "grafana": 3000, "loki": 3100, "node-exporter": 9100,
             "cadvisor": 8080}


@pytest.mark.parametrize("name", list(COMPOSE["services"]))
def test_a_container_has_no_more_rights_than_it_needs_and_says_how_it_is(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", [])) <= {"DAC_READ_SEARCH", "SYSLOG"} and not service.get("privileged")
    assert service["mem_limit"] and service["networks"] and service["logging"]["options"]["max-size"]
    assert "healthcheck" in service or ("build" in service and "HEALTHCHECK" in dict(instructions()))
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-alpine)?", service["image"]), "a version that stays"
    published = service.get("ports", [])
    assert name in ("app", "grafana") or all(port.startswith("127.0.0.1:") for port in published)
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
    assert set_ <= {*variables(), "OHLCV_TA_DATA", "OHLCV_TA_MODELS"}


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
    deployment, service = (yaml.safe_load(path.read_text()) for path in MANIFESTS)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {"requests": {"cpu": "250m", "memory": "512Mi"},
                                      "limits": {"cpu": "500m", "memory": "1Gi"}}
    routes = create_app({}).openapi()["paths"]
    assert all(container[f"{probe}Probe"]["httpGet"]["path"] in routes for probe in ("startup", "liveness", "readiness"))
    assert service["spec"]["ports"][0]["port"] == PORT
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


def test_a_pod_has_as_long_to_start_as_half_a_core_needs():
    container = yaml.safe_load(MANIFESTS[0].read_text())["spec"]["template"]["spec"]["containers"][0]
    probe = container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 180 # a start took 11 s of processor time with nothing compiled
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
    for name in ("minikube", "kubectl", "docker"):
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
    called = [line.split()[:2] for line in (tmp_path / "calls").read_text().splitlines()]
    assert called == [["minikube", "status"], ["minikube", "docker-env"], ["docker", "build"], ["kubectl", "apply"],
                      ["kubectl", "rollout"], ["kubectl", "rollout"], ["kubectl", "get"]]
    assert subprocess.run(["bash", script, "nonsense"], env=known, capture_output=True).returncode == 2


def test_the_script_applies_every_manifest_of_the_names_it_waits_for():
    script = (DEPLOY / "deploy.sh").read_text()
    names = {yaml.safe_load(path.read_text())["metadata"]["name"] for path in MANIFESTS}
    assert names == {"ohlcv-ta"} and "deployment/ohlcv-ta" in script and f"service/ohlcv-ta {PORT}:{PORT}" in script


def test_the_health_check_passes_where_the_service_runs_and_fails_where_it_does_not():
    check = json.loads(dict(instructions())["HEALTHCHECK"].split("CMD", 1)[1])
    with running(create_app(small_models())) as url:
        assert subprocess.run([*check[:2], check[2].replace(f"http://127.0.0.1:{PORT}", url)]).returncode == 0
    gone = subprocess.run([*check[:2], check[2].replace(f"http://127.0.0.1:{PORT}", url)], capture_output=True)
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
    "The root file system is read-only in compose and in Kubernetes."
    environment = " ".join(rest for name, rest in instructions() if name == "ENV")
    for name in ("OHLCV_TA_UPLOADS", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "OHLCV_TA_CACHE"):
        assert f"{name}=/tmp/" in environment


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
    assert set(held) <= {*variables(), "REDIS_PASSWORD"}
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
