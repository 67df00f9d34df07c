"""Similarities of one query to every candidate, as exact as the ranking of all queries and fast enough for a page.

In: one unit row and the candidates' unit rows. Out: (m,) cosines, summed in float64 and rounded to float32. The
candidates are read block by block, each widened to float64 in memory that is used again, by a few threads: a float64
copy of a large pool would take longer than its products.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float

BLOCK_VALUES = 2**18
"""Values widened at a time: 2 MiB, which stay in a core's cache."""
THREADS = min(4, os.cpu_count() or 1)
SMALL = 2**22
"""Values up to which one thread is faster than several."""


def similarities(query: Float[np.ndarray, " d"], candidates: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    """Dot products of `query` with every row of `candidates`, float32 of float64 sums."""
    wide, out = query.astype(np.float64), np.empty(len(candidates), dtype=np.float32)
    if candidates.size <= SMALL or THREADS == 1:
        _fill(out, wide, candidates, 0, len(candidates))
        return out
    ends = np.linspace(0, len(candidates), THREADS + 1, dtype=int).tolist()
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(_fill, out, wide, candidates, a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    for job in jobs:
        job.result()
    return out


def _fill(out: np.ndarray, query: np.ndarray, candidates: np.ndarray, start: int, stop: int) -> None:
    """Similarities of the candidates from `start` to `stop`."""
    step = max(1, BLOCK_VALUES // max(1, candidates.shape[1]))
    buffer = np.empty((min(step, stop - start), candidates.shape[1]))
    for at in range(start, stop, step):
        rows = candidates[at : min(at + step, stop)]
        widened = buffer[: len(rows)]
        np.copyto(widened, rows)
        out[at : at + len(rows)] = widened @ query
