"""Shape annotations of core.analysis are checked while its tests run; a small random world that every test may use."""

from importlib.util import find_spec

import numpy as np
import pytest
from jaxtyping import install_import_hook
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

if find_spec("beartype"):
    install_import_hook("core.analysis", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


def sparse_codes(rng: np.random.Generator, n: int, c: int, k: int) -> csr_array:
    """Exactly k active concepts per row, float32, as an SAE gives them."""
    columns = np.argsort(rng.random((n, c)), axis=1)[:, :k]
    values = rng.exponential(size=(n, k)).astype(np.float32) + 0.1
    return csr_array((values.ravel(), columns.ravel(), np.arange(0, n * k + 1, k)), shape=(n, c))


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """Matrices here are tiny: threads of the linear algebra would only wait for each other on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def world():
    """FitData of 40 queries, 50 candidates, d = 16, c = 60, K = 5, with a support split; h = z D + u + e."""
    from core.analysis.variants.fitdata import FitData

    rng = np.random.default_rng(7)
    dictionary = rng.standard_normal((60, 16)).astype(np.float32)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    sizes = {"q": 40, "c": 50, "sq": 45, "sc": 45}
    codes = {name: sparse_codes(rng, n, 60, 5) for name, n in sizes.items()}
    shift = {"q": 1.0, "c": -0.5, "sq": 1.0, "sc": -0.5}
    rows = {
        name: (z @ dictionary + shift[name] + 0.3 * rng.standard_normal((sizes[name], 16))).astype(np.float32)
        for name, z in codes.items()
    }
    pairs = np.column_stack([np.repeat(np.arange(40), 2), rng.integers(0, 50, 80)])
    return FitData(
        queries=rows["q"],
        candidates=rows["c"],
        query_codes=codes["q"],
        candidate_codes=codes["c"],
        pairs=pairs,
        dictionary=dictionary,
        support_queries=rows["sq"],
        support_candidates=rows["sc"],
        support_query_codes=codes["sq"],
        support_candidate_codes=codes["sc"],
        support_pairs=np.column_stack([np.arange(45), np.arange(45)]),
    )
