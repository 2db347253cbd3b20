"A factor written by the workers of a Dask cluster."

import pytest
from joblib import parallel_config
from support.small_models import save_small_trend

from ohlcv_ta.data import load_series
from ohlcv_ta.market.factor import write_factor
from ohlcv_ta.market.screening import find_sources


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_small_trend(tmp_path_factory.mktemp("models") / "trend") / "crypto"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name in ("BTC-USD", "ETH-USD"): load_series(name, "30m", "bitfinex").tail(400).to_csv(folder / f"{name}.csv")
    return folder


def test_a_dask_cluster_writes_the_same_factor(network, files, tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'ohlcv-ta[cluster]'")
    write_factor(tmp_path / "here", find_sources(files), network, jobs=1)
    with (distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
          parallel_config("dask", scheduler_host=cluster.scheduler_address)):
        write_factor(tmp_path / "there", find_sources(files), network)
    for name in ("factor.npy", "axes.json", "factors.csv"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
