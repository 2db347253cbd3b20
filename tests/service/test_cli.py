"The command as a user runs it: a process of its own."

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from support.server import free_port
from support.small_models import save_small_models

from ohlcv_ta.serving.http.schemas import EXAMPLE_FEATURES

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from ohlcv_ta.cli import main; main()"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_small_models(tmp_path_factory.mktemp("models"))


def call(*arguments, **settings):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, **settings)


def refused(done, says):
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("ohlcv-ta: ") and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    return done


def test_help_names_every_command_and_imports_nothing_heavy():
    done = call("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("predict", "serve", "data", "run", "reproduce", "workspace", "book", "space",
                                                 "evaluate-annotated", "screen", "factor", "live", "backtest",
                                                 "schedule", "analyse", "scan"))
    code = "import sys, ohlcv_ta.cli; print({'pandas', 'fastapi', 'gradio', 'sklearn', 'torch'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_the_service_needs_no_torch():
    code = "import sys, ohlcv_ta.serving.http.app, ohlcv_ta.serving.ui.app; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_the_console_command_is_installed():
    command = shutil.which("ohlcv-ta", path=str(Path(sys.executable).parent))
    assert command and subprocess.run([command, "--version"], capture_output=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", ["sample_input.csv", "sample_prediction_request.json"])
def test_predict_prints_what_system_d_shows(models, name):
    done = call("predict", "--input", ROOT / "examples" / name, "--models", models)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout)
    assert list(body) == ["predictions", "probabilities", "num_samples"] and body["num_samples"] == 1
    assert body["predictions"] == [int(body["probabilities"][0] >= 0.5)]
    assert done.stdout.count("\n") == 5 # a list a line
    assert "session_poc" in done.stderr # far above what the model was trained on


def test_both_forms_of_a_file_get_the_same_answer(models):
    names = ("sample_input.csv", "sample_prediction_request.json")
    assert len({call("predict", "-i", ROOT / "examples" / name, "--models", models).stdout for name in names}) == 1


def test_predict_reads_bars(models, tmp_path):
    answer = json.loads(call("predict", "-i", ROOT / "examples" / "bars.csv", "--models", models).stdout)
    assert answer["session"] == "2019-09-28" and answer["val"] <= answer["poc"] <= answer["vah"]
    assert 0 < answer["probability"] < 1 and "to break out" in answer["in_words"].lower()
    shifted = call("predict", "-i", ROOT / "examples" / "bars.csv", "--models", models, "--tz", "Asia/Tokyo")
    assert json.loads(shifted.stdout)["vah"] != answer["vah"]
    lines = (ROOT / "examples" / "bars.csv").read_text().splitlines()
    (tmp_path / "few.csv").write_text("\n".join(lines[:200]))
    refused(call("predict", "-i", tmp_path / "few.csv", "--models", models), "looks back over 14 sessions")
    (tmp_path / "high.csv").write_text("\n".join([*lines[:50], "2019-09-30,1,0.5,0.1,1,1", *lines[50:]]))
    refused(call("predict", "-i", tmp_path / "high.csv", "--models", models), "high.csv")
    refused(call("predict", "-i", ROOT / "examples" / "bars.csv", "--models", models, "--tz", "Mars"), "Mars")


def test_predict_reads_many_rows_wrapped_and_with_more_columns(models, tmp_path):
    rows = [EXAMPLE_FEATURES, {"features": EXAMPLE_FEATURES | {"rsi_14": 20.0}}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    flat = [EXAMPLE_FEATURES, EXAMPLE_FEATURES | {"rsi_14": 20.0}]
    lines = [",".join(["date", *EXAMPLE_FEATURES])] + [",".join(["2024-01-01", *map(str, row.values())]) for row in flat]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    answers = [json.loads(call("predict", "-i", tmp_path / f"rows.{kind}", "--models", models).stdout)
               for kind in ("json", "csv")]
    assert answers[0] == answers[1] and answers[0]["num_samples"] == 2


@pytest.mark.parametrize("name, content, says", [
    ("text.csv", "session_poc\nhello\n", "row 1, session_poc: input should be a valid number"),
    ("missing.json", json.dumps({k: v for k, v in EXAMPLE_FEATURES.items() if k != "rsi_14"}), "row 1, rsi_14: field required"),
    ("swapped.json", json.dumps([EXAMPLE_FEATURES, EXAMPLE_FEATURES | {"session_val": 99999.0}]), "row 2, session_val"),
    ("broken.json", "{", "is not a JSON file"),
    ("empty.csv", "", "No columns"),
])
def test_a_bad_file_gets_one_sentence(models, tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    refused(call("predict", "-i", tmp_path / name, "--models", models), says)


def test_without_a_model(tmp_path):
    refused(call("predict", "-i", ROOT / "examples/sample_input.csv", "--models", tmp_path), "dvc pull")


def test_data_commands():
    assert "BTC-USD" in call("data", "list").stdout
    shown = call("data", "show", "btc-usd", "--timeframe", "1d", "--rows", 3).stdout
    assert "MIT" in shown and "The last 3 of" in shown
    refused(call("data", "show", "BTCUSD"), "BTC-USD")
    refused(call("data", "show", "BTC-USD", "--timeframe", "7x"), "7x")


def test_analyse_tells_a_chart_in_two_languages(tmp_path):
    done = call("analyse", "eth_usd", "--timeframe", "hour4", "--limit", 120, "--chart", tmp_path / "chart.png")
    assert done.returncode == 0, done.stderr
    assert "4-hour bars: the last 120 bars" in done.stdout and "آخرین ۱۲۰ کندل" in done.stdout
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    refused(call("analyse", "no_such"), "no_such")
    refused(call("analyse", "eth_usd", "--timeframe", "day7"), "day7")


def test_pipeline_commands_say_where_they_belong(tmp_path):
    refused(call("run", "no_such_stage", cwd=ROOT), "no_such_stage")
    refused(call("run", "claims", "-p", "model", cwd=ROOT), "NAME=VALUE")
    for command in ("workspace", "params"):
        refused(call(command, "smoke", cwd=tmp_path), "params.yaml")
    refused(call("workspace", "tiny", cwd=ROOT), "there is full, smoke")
    refused(call("workspace", "smoke", "--folder", ROOT, cwd=ROOT), "in other use")


def test_serve_answers_and_stops_when_told(models):
    port = free_port()
    server = subprocess.Popen([*COMMAND, "serve", "--no-warm-up", "--port", str(port), "--models", str(models)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(600):
                try:
                    if (health := client.get("/health").json())["status"] != "starting": break
                except httpx.TransportError:
                    assert server.poll() is None, server.stderr.read()
                time.sleep(0.1)
            assert health["status"] == "healthy"
            assert client.get("/", headers={"Accept": "text/html"}).headers["location"] == "/app"
            assert client.post("/predict", json=EXAMPLE_FEATURES).status_code == 200
            second = refused(call("serve", "--port", port), f"ohlcv-ta serve --port {port + 1}")
            assert second.returncode == 1
    finally:
        server.send_signal(signal.SIGINT)
        said, complained = server.communicate(timeout=30)
    assert f"http://localhost:{port}/app" in said and f"http://localhost:{port}/docs" in said
    assert server.returncode in (0, 130) and "Traceback" not in complained


def test_the_port_of_someone_else():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(call("serve", "--port", taken.getsockname()[1]), "choose one that is free")


def test_annotated_charts_are_measured_into_a_file(tmp_path):
    from ohlcv_ta.data import AnnotatedChart, load_series, rays_to_times, synthetic_levels, write_annotated_chart

    like = load_series("BTC-USD", "1h")
    for seed in range(6):
        bars, levels, rays = synthetic_levels(300, seed, like)
        write_annotated_chart(tmp_path / "charts" / f"{seed}.json", AnnotatedChart(bars, levels, rays_to_times(bars, rays)))
    done = call("evaluate-annotated", tmp_path / "charts", "-o", tmp_path / "out.json", "--folds", 2, "--draws", 50)
    assert done.returncode == 0 and done.stdout.count(" F1 ") == 5, done.stderr
    metrics = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert metrics["data"]["charts"] == 6 and set(metrics["learned"]) == {"by group", "identical returns only", "at random"}


def test_a_folder_without_charts_is_refused(tmp_path):
    refused(call("evaluate-annotated", tmp_path), "There is no annotated chart in")


def test_a_backtest_beside_holding_and_chance(tmp_path):
    done = call("backtest", "SPY", "--from", "2019-12-02", "--to", "2019-12-06", "--forecaster", "rsi", "--draws", 20,
                "-o", tmp_path / "fills.csv")
    assert done.returncode == 0 and "1,950 bars" in done.stdout and "at random times" in done.stdout, done.stderr
    assert {"traded", "held"} <= {line.split()[0] for line in done.stdout.splitlines() if line}
    assert len((tmp_path / "fills.csv").read_text().splitlines()) > 10
    refused(call("backtest", "SPY", "--from", "2030-01-01", "--forecaster", "rsi"), "from 2018-01-02 to 2019-12-31")
    refused(call("backtest", "SPY", "--forecaster", "gold"), "there is no forecaster 'gold'")


def test_a_package_that_is_missing_is_named_with_what_brings_it():
    code = ("import sys; sys.modules['onnxruntime'] = None; from ohlcv_ta.cli import main; "
            f"sys.argv = ['ohlcv-ta', 'screen', {str(ROOT / 'examples' / 'chart.png')!r}, '-o', '-']; main()")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr
    assert "onnxruntime not installed: pip install 'ohlcv-ta[serve]'" in done.stderr
