"""Property tests run one way: the same examples each time, no limit on the time of one. The longest files come first."""

import os
import tempfile

from hypothesis import settings

pytest_plugins = ["browsing"] # a browser where a test asks for one

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

os.environ.setdefault("OMP_WAIT_POLICY", "passive") # threads that spin while they wait slow what runs beside them
kept = tempfile.TemporaryDirectory(prefix="ohlcv-ta-tests-") # nothing that a person's own service keeps is read or changed
os.environ["OHLCV_TA_CACHE"] = kept.name
os.environ["OHLCV_TA_UPLOADS"] = os.path.join(kept.name, "uploads")


def pytest_collection_modifyitems(items):
    "The small runs of the pipeline take as long as all else, so they start first, side by side."
    items.sort(key=lambda item: not item.path.name.startswith("test_pipeline"))
