"""Search under a variant whose candidates are never whole: the lists of the rows it would have, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from core.analysis import retrieval as r
from core.analysis.engine import NUMPY, Engine, computing_on
from core.analysis.retrieval.rows import VariantRows
from core.analysis.variants import FitData, fit_variant, transform
from core.waiting import NobodyWaits, watched


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    candidates = (rng.standard_normal((900, 24)) * np.linspace(1, 0.1, 24) + 0.5).astype(np.float32)
    candidates[600:] = candidates[:300]
    queries = candidates[:120] + 0.3 * rng.standard_normal((120, 24)).astype(np.float32)
    return FitData(
        queries=queries,
        candidates=candidates,
        pairs=np.column_stack([np.arange(120), rng.integers(0, 900, 120)]),
        query_modality=np.array(["image"] * 120),
        candidate_modality=np.where(np.arange(900) % 3 > 0, "text", "image"),
    )


@pytest.mark.parametrize("engine", [NUMPY, Engine("cpu")], ids=["numpy", "torch"])
@pytest.mark.parametrize("variant", ["none", "center", "realign", "zca", "center(statistics=per-modality)"])
def test_the_lists_of_the_rows_written_out(data, variant, engine):
    with computing_on(engine, block_mib=1):
        fitted = fit_variant(variant, data)
        source = VariantRows.candidates(data, fitted.candidate)
        source.take(np.unique(data.pairs[:, 1]))
        written = np.vstack([np.asarray(rows) for _, rows in source.blocks(100, engine)])
        queries = transform(data.queries, fitted.query, modality=data.query_modality)
        scores = (queries.astype(np.float64) @ written.astype(np.float64).T).astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")
        np.testing.assert_array_equal(r.top_k_variant(fitted, data).candidates, order[:, :10])
        ranked = r.rank_variant(fitted, data, data.pairs)
        places = np.argsort(order, axis=1)
        assert ranked.first.tolist() == (places[data.pairs[:, 0], data.pairs[:, 1]] + 1).tolist()
        whole = transform(data.candidates, fitted.candidate, modality=data.candidate_modality)
        np.testing.assert_allclose(written, whole, atol=2e-7)


def test_engines_fit_the_same_map(data):
    records = []
    for engine in (NUMPY, Engine("cpu")):
        with computing_on(engine):
            records.append(fit_variant("realign", FitData(queries=data.queries, candidates=data.candidates)).candidate)
    np.testing.assert_allclose(records[0].mean, records[1].mean, rtol=1e-12)
    np.testing.assert_allclose(records[0].matrix, records[1].matrix, rtol=1e-8, atol=1e-10)


def test_a_row_that_was_taken_is_the_row_of_its_block(data):
    fitted = fit_variant("realign", data)
    source = VariantRows.candidates(data, fitted.candidate)
    taken = source.take(np.array([3, 250, 899]))
    blocks = np.vstack([rows for _, rows in source.blocks(97, NUMPY)])
    np.testing.assert_array_equal(blocks[[3, 250, 899]], taken)


def test_memory_does_not_grow_with_the_candidates(tmp_path):
    """From a file, in blocks of 1 MiB: what is taken for 64 MiB of candidates is a few blocks."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.standard_normal((2**16, 256), dtype=np.float32))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    data = FitData(queries=rng.standard_normal((50, 256), dtype=np.float32), candidates=rows)
    with computing_on("cpu", block_mib=1):
        fitted = fit_variant("realign", data)
        tracemalloc.start()
        r.top_k_variant(fitted, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 24 * 2**20


def test_ranking_stops_when_nobody_waits(data):
    asked = iter([True] * 4 + [False] * 99)
    fitted = fit_variant("realign", data)
    with watched(lambda: next(asked)), pytest.raises(NobodyWaits), computing_on("cpu", block_mib=1):
        for _ in range(9):
            r.rank_variant(fitted, data, data.pairs)
