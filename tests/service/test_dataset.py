"The folders of system A: complete, aligned, the same every time, and never in the place of something else."

import subprocess
import sys

import pytest

from ohlcv_ta.charts import read_levels
from ohlcv_ta.charts.image_io import read_image
from ohlcv_ta.data import AnnotatedChart, load_series, rays_to_times, synthetic_levels, write_annotated_chart
from ohlcv_ta.models.masks.export import split_annotated_charts, split_embedded_charts, write_dataset

COMMAND = [sys.executable, "-c", "from ohlcv_ta.cli import main; main()", "export-dataset"]
TRAIN = ["full", "input", "mask_horizontal", "mask_ray", "target_horizontal", "target_ray"]


def call(*arguments):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    folder, like = tmp_path_factory.mktemp("annotated"), load_series("BTC-USD", "1h")
    for seed in range(6):
        bars, levels, rays = synthetic_levels(300, seed, like)
        write_annotated_chart(folder / f"chart-{seed}.json", AnnotatedChart(bars, levels, rays_to_times(bars, rays)))
    return folder


def test_the_command_writes_every_folder(annotated, tmp_path):
    done = call(tmp_path / "dataset", "--annotated", annotated, "--look", "dark", "--share", 0.34, "--jobs", 1)
    assert done.returncode == 0 and "4 charts to train with and 2 to test with" in done.stdout, done.stderr
    names = {path.name: sorted(p.name for p in path.iterdir()) for path in (tmp_path / "dataset" / "train").iterdir()}
    assert sorted(names) == TRAIN and all(len(files) == 4 and files == names["input"] for files in names.values())
    tested = [path.name for path in (tmp_path / "dataset" / "test" / "input").iterdir()]
    assert len(tested) == 2 and not set(tested) & set(names["input"])
    assert sorted(p.name for p in (tmp_path / "dataset").iterdir()) == ["README.md", "test", "train"]


def test_masks_have_the_lines_and_only_them(annotated, tmp_path):
    train, _ = split_annotated_charts(annotated, share=0)
    folder = write_dataset(tmp_path / "dataset", train, style_name="random")
    for chart in train:
        mask = read_image((folder / "train" / "mask_horizontal" / f"{chart.series}.png").read_bytes())
        assert mask.shape == (575, 1150, 3) and len(read_levels(mask[..., 0])) == len(chart.levels)
        target = read_image((folder / "train" / "target_horizontal" / f"{chart.series}.png").read_bytes())
        assert target.shape == (256, 512, 3) and target.max() > 200
    full, bare = (read_image((folder / "train" / name / f"{chart.series}.png").read_bytes()) for name in ("full", "input"))
    changed = (full != bare).any(axis=2)
    ray = read_image((folder / "train" / "mask_ray" / f"{chart.series}.png").read_bytes())[..., 0]
    assert changed.any() and not changed[(mask[..., 0] == 0) & (ray == 0)].any()


def test_two_processes_write_the_same_bytes(annotated, tmp_path):
    train, test = split_annotated_charts(annotated, share=0.34)
    one, two = (write_dataset(tmp_path / str(jobs), train, test, "random", jobs=jobs) for jobs in (1, 2))
    files = [path.relative_to(one) for path in one.rglob("*.png")]
    assert len(files) == 6 * 4 + 2 and all((one / f).read_bytes() == (two / f).read_bytes() for f in files)


def test_an_embedded_split_shares_no_bar():
    train, test = split_embedded_charts(20, ["BTC-USD"])
    assert (len(train), len(test)) == (16, 4)
    learned, tested = ({tuple(bar) for chart in part if chart.source == "rule" for bar in chart.bars} for part in (train, test))
    assert learned and tested and not learned & tested


def test_what_is_there_stays(annotated, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for arguments, says in (([tmp_path, "--annotated", annotated], "is there already"),
                            ([tmp_path / "new", "--annotated", annotated, "--look", "pink"], "there is no style 'pink'"),
                            ([tmp_path / "new", "--annotated", tmp_path], "There is no annotated chart"),
                            ([tmp_path / "new", "--symbol", "NOTHING"], "There is no series 'NOTHING'")):
        done = call(*arguments)
        assert done.returncode == 1 and says in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"] and (tmp_path / "mine.txt").read_text() == "mine"
