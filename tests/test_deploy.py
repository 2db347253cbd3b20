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
import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from service import running, small_models
from typer.testing import CliRunner

from ohlcv_ta.cli import app as command_line
from ohlcv_ta.serving.api import PORT, create_app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
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
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["app"]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert service["ports"] == [f"{PORT}:{PORT}"] and service["read_only"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
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
def test_the_script_is_sound(checker):
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is not installed")
    subprocess.run([*checker, DEPLOY / "deploy.sh"], check=True)


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
    for name in ("GRADIO_TEMP_DIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        assert f"{name}=/tmp/" in environment
