"""What `make check` runs: style, types, unit tests, and the library notebooks that differ from the branch main.

Steps run side by side, each on a core of its own. What a step printed is shown where it failed.
"""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# A notebook that starts processes of joblib's waits five minutes for them to end; threads that spin slow what runs beside them.
ENVIRONMENT = os.environ | {"LOKY_MAX_CPU_COUNT": "1", "OMP_WAIT_POLICY": "passive"}


def git(*arguments):
    "Lines that a Git command prints; none where it fails."
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_notebooks():
    "Library notebooks that differ from where this branch left main, committed or not."
    base = next((name for name in ("main", "origin/main") if git("rev-parse", "--verify", "--quiet", name)), "HEAD")
    names = {*git("diff", "--name-only", f"{base}..."), *git("diff", "--name-only", "HEAD"),
             *git("ls-files", "--others", "--exclude-standard")}
    library = re.compile(r"nbs/(?!pipeline/)(.+/)?[^/_.][^/]*\.ipynb")
    return sorted(name for name in names if library.fullmatch(name) and (ROOT / name).exists())


def steps():
    "Commands by what they check, the longest first."
    yield "unit tests", ["pytest", "-q", "tests/unit", "--hypothesis-profile", "quick", "-n", str(CORES), "--dist", "loadfile",
                         "--no-loadscope-reorder"]
    yield "types", [sys.executable, ".ci/type_errors.py"]
    for name in changed_notebooks(): yield name, ["nbdev_test", "--n_workers", "1", "--path", name]
    yield "dependencies", ["ohlcv-ta", "deps", "--check"]
    yield "style", ["ruff", "check", "."]


def run(step):
    "Run a step and tell how it went; whether it passed."
    name, command = step
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    passed = done.returncode == 0
    print(f"{'passed' if passed else 'FAILED'}  {time.monotonic() - began:4.0f} s  {name}", flush=True)
    if not passed: print(done.stdout, flush=True)
    return passed


if __name__ == "__main__":
    with ThreadPoolExecutor(CORES) as pool: passed = list(pool.map(run, steps()))
    sys.exit(not all(passed))
