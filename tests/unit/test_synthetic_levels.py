"Synthetic charts with known levels: valid frames, levels on the chart, the same for a seed."

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ohlcv_ta.data import check, random_walk, synthetic_levels

LIKE = random_walk(2000, seed=5, timeframe="15m")


@settings(deadline=None, max_examples=40)
@given(st.integers(40, 600), st.integers(0, 10_000), st.integers(1, 4))
def test_levels_and_rays_lie_on_a_valid_chart(n, seed, bounces):
    frame, levels, rays = synthetic_levels(n, seed, LIKE, bounces)
    assert check(frame).shape == (n, 5)
    assert ((levels > frame.Low.min() * 0.98) & (levels < frame.High.max() * 1.02)).all()
    assert (np.diff(levels) > 0).all() and rays.shape[1] == 4
    assert ((rays[:, 0] >= 0) & (rays[:, 2] - rays[:, 0] >= 30) & (rays[:, 2] < n)).all()


def test_the_same_seed_gives_the_same_chart():
    one, other = (synthetic_levels(300, 7, LIKE) for _ in range(2))
    assert one[0].equals(other[0])
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_array_equal(one[2], other[2])


def test_times_and_volumes_are_those_of_the_template():
    frame, _, _ = synthetic_levels(300, 1, LIKE)
    assert frame.index.isin(LIKE.index).all()
    assert (frame.Volume == LIKE.Volume.loc[frame.index]).all()
