"The set-up of cron and systemd, run with stand-ins for crontab and systemctl, and the units checked by systemd itself."

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.daemons import needs
from typer.testing import CliRunner

from ohlcv_ta.cli import app as command_line

HERE = Path(__file__).parents[2] / "deploy" / "schedule"
CRONTAB = """#!/bin/sh
case $1 in
  -l) cat "$TABLE" ;;
  -r) rm "$TABLE" ;;
  -) cat > "$TABLE" ;;
esac
"""


class Machine:
    "A user's home with a table of cron, systemctl and our command, each of which records its arguments."
    def __init__(self, folder):
        self.folder, self.table, self.calls = folder, folder / "table", folder / "calls"
        (folder / "bin").mkdir(parents=True)
        self.put("crontab", CRONTAB)
        for name in ("systemctl", "logger"): self.put(name, f'#!/bin/sh\necho "{name} $*" >> "{self.calls}"\n')
        self.command = self.put("ohlcv-ta", f'#!/bin/sh\necho "$PWD: ohlcv-ta $*" >> "{self.calls}"\n')

    def put(self, name, text):
        tool = self.folder / "bin" / name
        tool.write_text(text)
        tool.chmod(0o755)
        return tool

    def run(self, *command):
        known = os.environ | {"HOME": str(self.folder), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                              "TABLE": str(self.table), "SYSTEMD_UNITS": str(self.folder / "units")}
        known.pop("XDG_CONFIG_HOME", None)
        return subprocess.run([str(part) for part in command], env=known, capture_output=True, text=True)

    def setup(self, script, *options):
        return self.run("bash", HERE / script, "--folder", self.folder, "--command", self.command, *options)

    def files(self):
        return {str(path.relative_to(self.folder)): path.read_text() for path in self.folder.rglob("*")
                if path.is_file() and "bin" not in path.parts}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "a home & more") # paths are rarely so, and must not break


@needs("flock")
def test_cron_runs_what_was_set_up_and_forgets_it_again(machine):
    machine.table.write_text("1 2 * * * backup\n")
    assert machine.setup("setup_cron.sh").returncode == 0
    table = machine.table.read_text()
    assert table.startswith("1 2 * * * backup\n") and table.count("ohlcv-ta' scan") == 1
    line = next(line for line in table.splitlines() if line.startswith("*/5 * * * * "))
    assert machine.run("sh", "-c", line.removeprefix("*/5 * * * * ")).returncode == 0 # as cron would
    assert f"{machine.folder}: ohlcv-ta scan" in machine.calls.read_text()
    machine.setup("setup_cron.sh")
    assert machine.table.read_text() == table, "a second time changes nothing"
    machine.setup("setup_cron.sh", "--every", "10")
    assert machine.table.read_text().count("*/10 * * * *") == 1 and "*/5 * * * *" not in machine.table.read_text()
    assert machine.setup("setup_cron.sh", "--uninstall").returncode == 0
    assert machine.table.read_text() == "1 2 * * * backup\n"


@needs("flock")
def test_a_scan_that_runs_keeps_cron_from_another(machine):
    machine.setup("setup_cron.sh")
    line = next(line for line in machine.table.read_text().splitlines() if line.startswith("*/5"))
    machine.run("flock", machine.folder, "sh", "-c", line.removeprefix("*/5 * * * * "))
    assert "ohlcv-ta scan" not in machine.calls.read_text()


@needs("flock")
def test_an_empty_table_goes_with_our_line(machine):
    machine.setup("setup_cron.sh")
    machine.setup("setup_cron.sh", "--uninstall")
    assert not machine.table.exists()


@pytest.mark.parametrize("script", ["setup_cron.sh", "setup_systemd.sh"])
def test_a_dry_run_shows_and_does_nothing(machine, script):
    shown = machine.setup(script, "--dry-run")
    assert shown.returncode == 0 and "scan" in shown.stdout and not machine.files()


@pytest.mark.parametrize("script", ["setup_cron.sh", "setup_systemd.sh"])
@pytest.mark.parametrize(("options", "status", "said"), [
    (["--every", "0"], 2, "1 to 59 minutes"), (["--every", "often"], 2, "1 to 59 minutes"), (["--nonsense"], 2, "--nonsense"),
    (["--command", "/nowhere/ohlcv-ta"], 1, "make install"), (["--command", "/odd%path"], 1, "path")])
def test_what_cannot_be_is_refused_in_words(machine, script, options, status, said):
    answer = machine.setup(script, *options)
    assert answer.returncode == status and said in answer.stderr and not machine.files()


@pytest.mark.parametrize(("options", "unit"), [([], "ohlcv-ta-scan.timer"), (["--schedule"], "ohlcv-ta-schedule.service")])
@pytest.mark.parametrize("scope", ["system", "user"])
def test_systemd_gets_units_that_it_accepts_once(machine, scope, options, unit):
    options = [*options, *(["--user"] if scope == "user" else ["--run-as", "daemon"])]
    done = machine.setup("setup_systemd.sh", *options)
    assert done.returncode == 0, done.stderr
    place = machine.folder / ("units" if scope == "system" else ".config/systemd/user")
    units = sorted(place.glob("ohlcv-ta-*.*er*"))
    assert len([path for path in units if path.is_file()]) == 3
    assert all("@" not in path.read_text().replace("@system-service", "") for path in place.rglob("*") if path.is_file())
    assert ("User=daemon" in "".join(machine.files().values())) == (scope == "system")
    called = machine.calls.read_text()
    assert f"systemctl --{scope} enable --now {unit}" in called and called.count("daemon-reload") == 1
    if shutil.which("systemd-analyze"):
        judged = subprocess.run(["systemd-analyze", "verify", *(str(path) for path in units if path.is_file())],
                                capture_output=True, text=True)
        assert judged.returncode == 0 and not judged.stderr, judged.stderr
    before = machine.files()
    machine.setup("setup_systemd.sh", *options)
    assert machine.calls.read_text().count("daemon-reload") == 1, "a second time changes nothing"
    assert {name: text for name, text in machine.files().items() if name != "calls"} == {
        name: text for name, text in before.items() if name != "calls"}
    machine.setup("setup_systemd.sh", "--uninstall", *(["--user"] if scope == "user" else []))
    assert set(machine.files()) == {"calls"}
    assert f"systemctl --{scope} disable --now {unit}" in machine.calls.read_text()


def test_the_commands_exist_with_their_options():
    units = "".join(path.read_text() for path in HERE.glob("ohlcv-ta*"))
    for name, options in {"scan": [], "schedule": ["--schedule-type", "--interval-minutes"]}.items():
        assert f' {name}' in units and all(option in units for option in options)
        known = CliRunner().invoke(command_line, [name, "--help"])
        assert known.exit_code == 0 and all(option in known.output for option in options)
