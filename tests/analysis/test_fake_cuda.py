"""The engine's lines on a GPU: on a fake one at the shapes of a 7B model, where a tensor left in main memory fails; and
on a real one where there is one.

torch's FakeTensorMode knows devices and shapes and computes nothing. What has to look at numbers (which pairs are
close, the error bound) is tried in main memory by tests/analysis/test_exact_ranking.py, with the same lines.
"""

import numpy as np
import pytest

from core.analysis import retrieval as r
from core.analysis.arrays import unit
from core.analysis.engine import Engine, available, computing_on, namespace, row_squares
from core.analysis.variants import FitData, fit_variant
from core.analysis.variants.moments import _centred_sums

WIDTH, BLOCK = 3584, 4096
CUDA = "cuda:0"


@pytest.fixture
def fake():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode() as mode:
        yield mode


def rows_on(device, n, dtype="float32"):
    import torch

    return torch.empty(n, WIDTH, dtype=getattr(torch, dtype), device=device)


def test_an_engine_puts_arrays_on_its_device(fake):
    put = Engine(CUDA).put(np.zeros((2, 3), np.float32), "float64")
    assert (str(put.device), str(put.dtype), tuple(put.shape)) == (CUDA, "torch.float64", (2, 3))


def test_moments_stay_on_the_device(fake):
    sums = _centred_sums(rows_on(CUDA, BLOCK, "float64"))
    assert {str(x.device) for x in (sums.mean, sums.scatter, sums.third)} == {CUDA}
    assert tuple(sums.scatter.shape) == (WIDTH, WIDTH)
    values, vectors = namespace(sums.scatter).linalg.eigh(sums.scatter)
    assert (str(values.device), tuple(vectors.shape)) == (CUDA, (WIDTH, WIDTH))


def test_units_and_products_stay_on_the_device(fake):
    queries, candidates = (unit(rows_on(CUDA, n)) for n in (BLOCK, 2 * BLOCK))
    scores = queries @ candidates.T
    assert (str(scores.device), tuple(scores.shape)) == (CUDA, (BLOCK, 2 * BLOCK))
    assert tuple(row_squares(scores).shape) == (BLOCK,)


def test_a_tensor_left_behind_fails(fake):
    """What the tests above would show."""
    with pytest.raises(RuntimeError, match="device"):
        rows_on(CUDA, 8) @ rows_on("cpu", 8).T


@pytest.mark.skipif(not available("cuda"), reason="no CUDA device")
def test_a_real_gpu_gives_the_same_lists():
    rng = np.random.default_rng(0)
    candidates = rng.standard_normal((30_000, 512), dtype=np.float32)
    candidates[20_000:] = candidates[:10_000]
    data = FitData(queries=candidates[:700] + rng.standard_normal((700, 512), dtype=np.float32), candidates=candidates)
    pairs = np.column_stack([np.arange(700), rng.integers(0, 30_000, 700)])
    lists = []
    fitted = fit_variant("realign", data)
    for device in ("cpu", "cuda"):
        with computing_on(device):
            unit_rows = [np.ascontiguousarray(unit(rows)) for rows in (data.queries, candidates)]
            ranked, top = r.rank_relevant(*unit_rows, pairs), r.rank_top_k(*unit_rows)
            lists.append([ranked.first, ranked.pessimistic, ranked.ndcg10, top.candidates, top.scores])
            assert np.isfinite(r.top_k_variant(fitted, data).scores).all()
    for one, other in zip(*lists, strict=True):
        np.testing.assert_array_equal(one, other)
