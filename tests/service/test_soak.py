"A minute with fifty clients: no error, nothing grows, and nobody waits much longer than a lone client does."

import asyncio

import httpx
import numpy as np
from support.attacks import ANALYSES, FEATURES, MALLOC, mixed_load
from support.server import started
from support.small_models import save_small_models


def p99(seconds): return float(np.percentile(seconds, 99))


def megabytes(process):
    return sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True))) / 2**20


def test_a_minute_with_fifty_clients(tmp_path):
    models = save_small_models(tmp_path / "models")
    with started(models, "--no-ui", warm_up=True, OHLCV_TA_CACHE=str(tmp_path / "cache"), LOG_LEVEL="WARNING",
                 **MALLOC) as (url, process):
        for one in ANALYSES: assert httpx.post(f"{url}/api/v1/analyze", json=one, timeout=120).status_code == 200
        alone, wrong = asyncio.run(mixed_load(url, 1, 8, pause=0.05))
        before = megabytes(process)
        together, more = asyncio.run(mixed_load(url, 50, 60))
        grown = megabytes(process) - before
        assert httpx.post(f"{url}/predict", json=FEATURES).status_code == 200
    for kind in together:
        print(f"{kind:20} {len(together[kind]):5} answers, p99 {1000 * p99(together[kind]):6.0f} ms; "
              f"alone {1000 * p99(alone.get(kind, [0])):6.0f} ms")
    assert not [*wrong, *more] and sum(map(len, together.values())) > 1000
    assert grown < 150
    # fifty who ask at once wait for one another, and not much longer than that
    assert all(p99(together[kind]) < 50 * p99(alone[kind]) + 1 for kind in together)
