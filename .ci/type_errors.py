"""Count type errors by folder and hold them against .ci/type_errors.json, whose numbers only fall.

python .ci/type_errors.py          fails where a folder has more errors than are stored; stores lower numbers
python .ci/type_errors.py --move   stores numbers that moved from folder to folder, if their sum has not risen
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
STORED = Path(__file__).with_suffix(".json")
PACKAGE = ROOT / "ohlcv_ta"


def type_errors():
    "Errors as pyright tells them."
    done = subprocess.run([sys.executable, "-m", "pyright", "--outputjson"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 1): sys.exit(done.stdout + done.stderr)
    return [one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] == "error"]


def folder_of(path, names):
    "The longest of `names` that holds a file; otherwise the first part of its path in the package, without .py."
    within = Path(path).relative_to(PACKAGE).with_suffix("")
    holding = [name for name in names if within == Path(name) or Path(name) in within.parents]
    return max(holding, key=len, default=within.parts[0])


def line_of(error):
    where = Path(error["file"]).relative_to(ROOT)
    rule = f" ({error['rule']})" if "rule" in error else ""
    return f"{where}:{error['range']['start']['line'] + 1}: {error['message']}{rule}"


def main(arguments):
    stored, found = json.loads(STORED.read_text()), type_errors()
    counts = dict.fromkeys(stored, 0) | Counter(folder_of(error["file"], stored) for error in found)
    more = {name: count for name, count in counts.items() if count > stored.get(name, 0)}
    moved = "--move" in arguments and sum(counts.values()) <= sum(stored.values())
    if more and not moved:
        print(*(line_of(error) for error in found if folder_of(error["file"], stored) in more), sep="\n")
        for name, count in more.items(): print(f"{name}: {count} type errors; at most {stored.get(name, 0)} are allowed")
        return 1
    if counts != stored:
        STORED.write_text(json.dumps(dict(sorted(counts.items())), indent=2) + "\n")
        print(f"Fewer type errors: commit {STORED.relative_to(ROOT)}")
    print(f"{sum(counts.values())} type errors in {len(counts)} folders, none more than are stored")
    return 0


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
