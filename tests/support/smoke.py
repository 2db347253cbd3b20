"A copy of the project at smoke size, and DVC in it."

import os
import shutil
import subprocess
import sys
from hashlib import md5
from pathlib import Path

import psutil
import yaml

from ohlcv_ta.pipeline import copy_project

ROOT = Path(__file__).parents[2]
# Small runs go side by side, so each keeps to one core.
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
               "LOKY_MAX_CPU_COUNT": "1"}
DVC = [sys.executable, "-m", "dvc"]


def dvc(where, *arguments):
    "What a DVC command printed; a failure shows it."
    done = subprocess.run([*DVC, *arguments], cwd=where, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def prints(where, pattern):
    "A fingerprint of each file."
    return {p.relative_to(where): md5(p.read_bytes()).hexdigest() for p in sorted(where.glob(pattern))}


def copied(there, *kept, only=""):
    """The working tree with its stored results, at smoke size; nothing has run yet.

    What stages that begin with `kept` have stored is there as plain files: they are no stages, since DVC writes its whole lock
    again after each stage. Those that do not begin with `only` are left out.
    `dvc repro --allow-missing` works in it, since charts to learn from are made and not stored.
    """
    copy_project("smoke", there, ROOT)
    for compiled in (ROOT / "ohlcv_ta").rglob("__pycache__"): # loops that Numba has compiled are not compiled again
        shutil.copytree(compiled, there / compiled.relative_to(ROOT), dirs_exist_ok=True)
    keep_stages(there, lambda stage: stage.startswith(only))
    dvc(there, "pull", "--allow-missing")
    if kept: keep_stages(there, lambda stage: not stage.startswith(kept))
    return there


def keep_stages(where, wanted):
    "Leave the other stages out of the pipeline and its lock."
    for name in ("dvc.yaml", "dvc.lock"):
        pipeline = yaml.load((where / name).read_text(), yaml.CSafeLoader)
        stages = {stage: told for stage, told in pipeline["stages"].items() if wanted(stage)}
        (where / name).write_text(yaml.safe_dump(pipeline | {"stages": stages}, sort_keys=False))


def faults(where, pages):
    "Pages that name a folder of this machine, or show a warning."
    return [page for page in pages if any(word in page.read_text() for word in (str(where), str(ROOT), '"stderr"'))]


def kernels(process):
    "Notebook kernels that a process has started."
    below = psutil.Process(process.pid).children(recursive=True)
    return [child for child in below if child.is_running() and "ipykernel_launcher" in child.cmdline()]
