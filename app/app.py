"Launch the app as a Hugging Face Space, with the data and models in the folder of this file."

import os
import sys
from pathlib import Path

for name in ("data", "models"):
    folder = Path(__file__).resolve().parent / name
    if folder.is_dir():
        os.environ.setdefault(f"OHLCV_TA_{name.upper()}", str(folder))

from ohlcv_ta.serving.settings import read_settings  # noqa: E402

if __name__ == "__main__":
    try:
        read_settings(open_demo=True) # a Space is public and starts without a secret
    except ValueError as error:
        sys.exit(f"app.py: {error}")
    from ohlcv_ta.serving.ui.app import launch_ui

    launch_ui()
