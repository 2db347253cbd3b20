"What can be known of the deployment files without Docker or a cluster."

import json
import re
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from ohlcv_ta.cli import app as command_line
from ohlcv_ta.serving.api import PORT, create_app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PULLED = {"models", "data"} # fetched by `dvc pull`, so not in every clone


def instructions():
    "The Dockerfile as (instruction, rest) pairs."
    text = re.sub(r"\\\n", " ", (DEPLOY / "Dockerfile").read_text())
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


def test_every_file_that_is_written_goes_to_tmp():
    "The root file system is read-only in compose and in Kubernetes."
    environment = " ".join(rest for name, rest in instructions() if name == "ENV")
    for name in ("GRADIO_TEMP_DIR", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        assert f"{name}=/tmp/" in environment
