"The assembled Space: complete, small, and able to start with nothing but itself and its requirements."

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml
from support.server import free_port
from support.small_models import save_small_models

from ohlcv_ta.serving.space import assemble_space

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return assemble_space(folder / "space", save_small_models(folder / "models"))


def test_the_folder_is_complete_and_small(space):
    files = {str(path.relative_to(space)) for path in space.rglob("*") if path.is_file()}
    wheel = next(name for name in files if name.endswith(".whl"))
    assert {"app.py", "README.md", "requirements.txt", "data/catalog.json", "models/breakout/relative/config.json"} <= files
    assert not any(name.endswith((".pkl", ".pyc", ".ipynb")) for name in files)
    assert (space / "requirements.txt").read_text().splitlines()[-1].endswith(wheel)
    assert sum(path.stat().st_size for path in space.rglob("*") if path.is_file()) < 12e6
    assert not space.with_name(".space.new").exists()


def test_requirements_are_pinned_to_the_lock(space):
    lock = (ROOT / "requirements.lock").read_text()
    for line in (space / "requirements.txt").read_text().splitlines()[:-1]:
        name, version = line.split("==")
        assert re.search(rf"^{name.replace('-', '[-_]')}=={re.escape(version)}(;|$)", lock, re.M | re.I), line


def test_front_matter_agrees_with_the_lock(space):
    front = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "mit")
    assert f"gradio=={front['sdk_version']}\n" in (ROOT / "requirements.lock").read_text()
    assert len(front["short_description"]) <= 60


def test_it_starts_with_nothing_but_itself(space, tmp_path):
    wheel = next(space.glob("*.whl"))
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target",
                    tmp_path / "site", wheel], check=True)
    port = free_port()
    hidden = {name: value for name, value in os.environ.items() if not name.startswith("OHLCV_TA_")}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=space, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           env=hidden | {"PYTHONPATH": str(tmp_path / "site"), "GRADIO_SERVER_PORT": str(port)})
    try:
        answer = first_answer(app, f"http://127.0.0.1:{port}")
        assert "BTC-USD (bitfinex)" in answer and "SPY (nyse)" in answer and "IFL8" not in answer
    finally:
        app.terminate()
        app.communicate(timeout=30)


def first_answer(process, url):
    for _ in range(1800): # patience, not a measurement: other processes may take the processor
        try:
            return httpx.get(f"{url}/config").text
        except httpx.TransportError:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
    raise AssertionError("the app did not answer within three minutes")
