"What the README tells a reader to paste works."

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_import_examples_work_as_pasted(tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S))
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "levels.png").stat().st_size > 20_000
    assert re.match(r"value area [\d,]+ to [\d,]+, point of control [\d,]+", done.stdout)
