"""Every test carries the marker of its folder; the longest folder comes first. Property tests run one way: the same examples
each time, no limit on the time of one."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["support.browser"] # a browser where a test asks for one

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=25) # for make check
settings.load_profile("steady")

os.environ.setdefault("OMP_WAIT_POLICY", "passive") # threads that spin while they wait slow what runs beside them
kept = tempfile.TemporaryDirectory(prefix="ohlcv-ta-tests-") # nothing that a person's own service keeps is read or changed
os.environ["OHLCV_TA_CACHE"] = kept.name
os.environ["OHLCV_TA_UPLOADS"] = os.path.join(kept.name, "uploads")

HERE = Path(__file__).parent
FOLDERS = ("pipeline", "service", "browser", "unit") # by the time they take: what is long starts first, the rest fills up


@pytest.hookimpl(tryfirst=True) # before -m chooses
def pytest_collection_modifyitems(items):
    "Mark each test by its folder, and sort the folders."
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder not in FOLDERS: raise pytest.UsageError(f"{item.path.name} belongs into one of tests/{{{','.join(FOLDERS)}}}")
        item.add_marker(folder)
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(HERE).parts[0]))
