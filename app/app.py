"The app as a Hugging Face Space: the package, with the data and the models that lie beside this file."

import os
from pathlib import Path

for name in ("data", "models"):
    beside = Path(__file__).resolve().parent / name
    if beside.is_dir():
        os.environ.setdefault(f"OHLCV_TA_{name.upper()}", str(beside))

from ohlcv_ta.serving.app import launch  # noqa: E402

if __name__ == "__main__":
    launch()
