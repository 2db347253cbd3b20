"Round trips of annotated charts."

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.data import (
    AnnotatedChart,
    FrameError,
    random_walk,
    rays_to_bars,
    rays_to_times,
    read_annotated_chart,
    read_annotated_folder,
    write_annotated_chart,
)

prices = st.floats(1e-6, 1e6, allow_nan=False)
points = st.tuples(st.integers(0, 48), prices, st.integers(49, 59), prices)


@settings(deadline=None, max_examples=50)
@given(st.lists(prices, max_size=12), st.lists(points, max_size=4))
def test_round_trip_of_a_chart(tmp_path_factory, levels, rays):
    frame = random_walk(60)
    chart = AnnotatedChart(frame, np.array(levels, dtype=float), rays_to_times(frame, rays))
    again = read_annotated_chart(write_annotated_chart(tmp_path_factory.mktemp("chart") / "one.json", chart))
    pd.testing.assert_frame_equal(again.frame, frame, check_names=False, check_freq=False)
    np.testing.assert_array_equal(again.levels, chart.levels)
    np.testing.assert_allclose(rays_to_bars(again), np.array(rays, dtype=float).reshape(-1, 4))


def test_the_file_has_the_keys_of_system_a(tmp_path):
    frame = random_walk(60)
    chart = AnnotatedChart(frame, np.array([99.0]), rays_to_times(frame, [[1, 2, 3, 4]]))
    path = write_annotated_chart(tmp_path / "one.json", chart)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert list(content) == ["ohlcv_data", "labels"] and list(content["labels"]) == ["horizontal_lines", "ray_lines"]
    assert list(content["ohlcv_data"][0]) == ["open", "high", "low", "close", "volume", "time"]
    assert list(content["labels"]["ray_lines"][0]) == ["start_date", "start_price", "end_date", "end_price"]


def test_a_backward_ray_is_reversed():
    frame = random_walk(60)
    assert rays_to_bars(AnnotatedChart(frame, np.array([]), rays_to_times(frame, [[9, 1, 3, 2]]))).tolist() == [[3, 2, 9, 1]]


def test_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("OHLCV_TA_ANNOTATED", raising=False)
    with pytest.raises(FileNotFoundError, match="set OHLCV_TA_ANNOTATED"):
        read_annotated_folder()
    frame = random_walk(60)
    write_annotated_chart(tmp_path / "x.json", AnnotatedChart(frame, np.array([]), rays_to_times(frame, [])))
    monkeypatch.setenv("OHLCV_TA_ANNOTATED", str(tmp_path))
    assert list(read_annotated_folder()) == ["x"]


def test_the_error_names_the_broken_chart(tmp_path):
    (tmp_path / "broken.json").write_text('{"ohlcv_data": [')
    with pytest.raises(FrameError, match=r"broken\.json"):
        read_annotated_folder(tmp_path)
