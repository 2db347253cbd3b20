"Many charts at once: real files, a broken one among them, pictures, names that mean nothing, and the same table every way."

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from PIL import Image
from support.small_models import save_small_masks

from ohlcv_ta.charts import STYLES, draw_chart
from ohlcv_ta.data import load_series, write_annotated_chart
from ohlcv_ta.data.annotated_charts import AnnotatedChart, rays_to_times
from ohlcv_ta.features import find_levels, find_rays
from ohlcv_ta.market import find_lines, find_sources, list_embedded_sources, screen, select_nearest
from ohlcv_ta.market.image_screening import IMAGE_LINE_COLUMNS
from ohlcv_ta.market.screening import LINE_COLUMNS

COMMAND = [sys.executable, "-c", "from ohlcv_ta.cli import main; main()", "screen"]


def call(*arguments, **settings):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=900, **settings)


def refused(done, says):
    assert done.returncode == 1 and done.stdout == "" and "Traceback" not in done.stderr, done.stderr
    assert says in done.stderr.splitlines()[-1] and done.stderr.splitlines()[-1].startswith("ohlcv-ta: "), done.stderr


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    "Four windows of a real series in three formats, a broken file, and one that is no chart."
    folder = tmp_path_factory.mktemp("charts")
    series = load_series("BTC-USD", "1h")
    windows = [series.iloc[200 * k:200 * k + 320] for k in range(4)]
    windows[0].to_csv(folder / "a.csv")
    windows[1].to_parquet(folder / "b.parquet")
    unlabeled = AnnotatedChart(windows[2], np.array([]), rays_to_times(windows[2], np.empty((0, 4))))
    write_annotated_chart(folder / "c.json", unlabeled)
    windows[3].to_csv(folder / "d.CSV")
    lines = (folder / "a.csv").read_text().splitlines()
    (folder / "broken.csv").write_text("\n".join([*lines[:9], lines[9].replace(",", ",x", 1), *lines[10:]]))
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "README.md").write_text("not a chart")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for name, size, row in (("one.png", (512, 256), 100), ("two.webp", (700, 400), 150), ("three.jpg", (512, 256), 200)):
        image = np.full((size[1], size[0], 3), 255, np.uint8)
        image[row - 1:row + 2] = 20
        Image.fromarray(image).save(folder / name)
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:200])
    save_small_masks(folder / "models" / "masks")
    return folder


def test_every_format_gives_the_lines_that_its_bars_have(charts):
    screened = screen(find_sources(charts), bars=300)
    assert list(screened.table.chart.unique()) == ["a.csv", "b.parquet", "c.json", "d.CSV"]
    assert list(screened.table) == ["chart", *LINE_COLUMNS]
    bars = load_series("BTC-USD", "1h").iloc[220:520]
    found = screened.table[screened.table.chart == "b.parquet"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.drop(columns="chart"), find_lines(bars))
    levels, rays = (found[found.line == kind].reset_index(drop=True) for kind in ("level", "ray"))
    wanted, same = find_levels(bars), ["price", "strength", "kind", "distance"]
    pd.testing.assert_frame_equal(levels[same], wanted[same])
    assert (levels.first_touch == bars.index[wanted.first_touch.astype(int)]).all()
    assert rays.slope.tolist() == find_rays(bars).slope.tolist()


def test_a_broken_file_is_told_and_the_others_are_screened(charts):
    skipped = screen(find_sources(charts)).skipped.set_index("chart").problem
    assert set(skipped.index) == {"broken.csv", "empty.parquet"}
    assert skipped["broken.csv"].startswith("line 10, column Open: 'x") and "the file is empty" in skipped["empty.parquet"]


def test_two_processes_leave_the_same_table(charts):
    one, two = (screen(find_sources(charts, charts), jobs=jobs) for jobs in (1, 2))
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.skipped, two.skipped)


def test_pictures(pictures):
    screened = screen(find_sources(pictures), models=pictures / "models", reader="networks")
    assert list(screened.table) == ["chart", *IMAGE_LINE_COLUMNS] and screened.skipped.chart.tolist() == ["cut.png"]
    assert "damaged" in screened.skipped.problem[0]
    levels = screened.table[screened.table.line == "level"].set_index("chart")
    assert levels.index.tolist() == ["one.png", "three.jpg", "two.webp"]
    np.testing.assert_allclose(levels.y0 * levels.height, [100.5, 200.5, 150.5], atol=1.5)


def test_pictures_by_two_processes(pictures):
    one, two = (screen(find_sources(pictures), models=pictures / "models", reader="networks", jobs=jobs).table
                for jobs in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_pictures_need_networks(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc pull"):
        screen(find_sources(pictures), models=tmp_path, reader="networks")


def test_pictures_of_charts_have_prices_without_networks(tmp_path):
    bars = load_series("BTC-USD", "4h", end="2018-06-30").tail(120)
    image, geometry = draw_chart(bars, STYLES["dark"], 1200, 640)
    Image.fromarray(image).save(tmp_path / "chart.png")
    Image.fromarray(np.full_like(image, 255)).save(tmp_path / "page.png")
    screened = screen(find_sources(tmp_path), models=tmp_path, pictures=tmp_path / "drawn")
    assert screened.skipped.chart.tolist() == ["page.png"] and "no chart" in screened.skipped.problem[0]
    assert (screened.table.reader == "bars").all() and screened.table.price.notna().all()
    error = np.abs(geometry.price(screened.table.y0 * 640) - screened.table.price) / (geometry.high - geometry.low)
    assert error.max() < 0.003 and [path.name for path in (tmp_path / "drawn").iterdir()] == ["chart.png.png"]


def test_what_is_no_source(tmp_path, charts, pictures):
    with pytest.raises(ValueError, match="There is no chart in"): find_sources(tmp_path)
    with pytest.raises(LookupError, match="is no file and no folder"): find_sources("NO-SUCH-THING")
    with pytest.raises(ValueError, match="two folders"): find_sources(charts, pictures)
    with pytest.raises(ValueError, match="no chart to screen"): screen([])
    with pytest.raises(ValueError, match="scorer="): screen(find_sources(charts), scorer="best")


def test_the_whole_catalog_has_one_name_a_chart():
    names = [source.name for source in list_embedded_sources("1d")]
    assert len(names) == len(set(names)) and "BTC-USD" in " ".join(names)


def test_scorers_differ_and_top_is_kept(charts):
    for scorer in ("rule", "clustered", "density"):
        table = screen(find_sources(charts / "a.csv"), scorer=scorer, top=2, rays=0).table
        assert len(table) <= 2 and (table.line == "level").all()


def test_the_command_writes_the_same_table_as_csv_and_parquet(charts, tmp_path):
    for name in ("levels.csv", "levels.parquet"):
        done = call(charts, "-o", tmp_path / "new" / name, "--pictures", tmp_path / "pictures", "--jobs", 1)
        assert done.returncode == 0 and "Nearest to a level" in done.stdout, done.stderr
        assert done.stderr.count("Skipped ") == 2 and "Skipped broken.csv: " in done.stderr
    stored = pd.read_parquet(tmp_path / "new" / "levels.parquet")
    times = [name for name in stored if isinstance(stored[name].dtype, pd.DatetimeTZDtype)]
    read = pd.read_csv(tmp_path / "new" / "levels.csv", parse_dates=times)
    pd.testing.assert_frame_equal(read.astype(stored.dtypes), stored)
    drawn = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert drawn == ["a.csv.png", "b.parquet.png", "c.json.png", "d.CSV.png"]
    printed = call(charts, "-o", "-", "--jobs", 2)
    assert printed.stdout == (tmp_path / "new" / "levels.csv").read_text()
    assert select_nearest(stored).chart.nunique() == 4


def test_the_command_says_what_is_wrong_before_any_work(charts, pictures, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.csv").write_text("nothing")
    refused(call("BTC-USDX"), "is no file and no folder")
    refused(call("BTC-USD", "-o", tmp_path / "levels.xlsx"), "name a .csv or a .parquet file")
    refused(call("BTC-USD", "-o", tmp_path / "file" / "levels.csv"), "file")
    refused(call(tmp_path / "broken", "-o", tmp_path / "levels.csv"), "none of 1 charts could be read")
    refused(call(pictures, "--models", tmp_path, "--reader", "networks", "-o", tmp_path / "levels.csv"), "dvc pull")
    assert not (tmp_path / "levels.csv").exists()


@pytest.fixture(scope="module")
def cluster():
    "A Dask scheduler and a worker, each a process of its own, as on a cluster."
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'ohlcv-ta[cluster]'")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_dask_cluster_leaves_the_same_table(cluster, charts, tmp_path):
    here = screen(find_sources(charts))
    with parallel_config("dask", scheduler_host=cluster):
        there = screen(find_sources(charts))
    pd.testing.assert_frame_equal(there.table, here.table)
    pd.testing.assert_frame_equal(there.skipped, here.skipped)
    done = call(charts, "-o", tmp_path / "levels.parquet", "--dask", cluster)
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "levels.parquet"), here.table)
