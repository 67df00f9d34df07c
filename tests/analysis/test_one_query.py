"""Similarities of one query: the definition, whatever the blocks and threads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.analysis.retrieval import one_query


@pytest.mark.parametrize("threads", [1, 3])
def test_every_similarity_is_the_rounded_exact_product(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_query, "SMALL", 0)
    monkeypatch.setattr(one_query, "BLOCK_VALUES", 50)
    monkeypatch.setattr(one_query, "THREADS", threads)
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((37, 12)).astype(np.float32)
    rows[20:30] = rows[5]
    query = rng.standard_normal(12).astype(np.float32)
    slow = [math.fsum(float(a) * float(b) for a, b in zip(row, query, strict=True)) for row in rows]
    result = one_query.similarities(query, rows)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.array(slow, dtype=np.float32))


def test_no_candidates() -> None:
    assert one_query.similarities(np.ones(3, np.float32), np.zeros((0, 3), np.float32)).shape == (0,)
