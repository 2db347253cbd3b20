"The app as a Hugging Face Space: the package, with the data and the models that lie beside this file."

import os
import sys
from pathlib import Path

for name in ("data", "models"):
    beside = Path(__file__).resolve().parent / name
    if beside.is_dir():
        os.environ.setdefault(f"OHLCV_TA_{name.upper()}", str(beside))

from ohlcv_ta.serving.settings import read_settings  # noqa: E402

if __name__ == "__main__":
    try:
        read_settings(open_demo=True) # anyone may visit a Space, so it starts with no secret at all
    except ValueError as error:
        sys.exit(f"app.py: {error}")
    from ohlcv_ta.serving.app import launch

    launch()
