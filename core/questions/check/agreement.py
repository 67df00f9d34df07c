"""How far given vectors are from reference vectors: pure functions on arrays.

The difference of a row is ||given - reference|| / ||reference||: 0 where they are equal, 1 where the given row is zero,
no upper end. Where rows are compared whatever their length, it is the same of the unit rows (a chord, 0 to 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.analysis.arrays import row_blocks, unit_rows

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Distance from 1 to the next number of a type."""
NEAREST = 8
"""Rows of a large pool that can be a row's partner: its nearest."""
WHOLE_POOL = 4096
"""Rows up to which every row of a pool can be any row's partner."""
SAME = 1e-6
"""Chord below which two vectors are one: what float32 leaves of equal rows."""


@dataclass(frozen=True)
class Tolerance:
    """The largest difference that counts as equal, and where it comes from."""

    value: float
    why: str


def default_tolerance(compute: str, stored: str) -> Tolerance:
    """The square root of the compute type's epsilon, and the storage type's epsilon once.

    A forward pass rounds at every operation: batches, kernels and devices differ by far more than one epsilon and by
    far less than its root. Writing the result down rounds once.
    """
    root, once = EPSILON[compute] ** 0.5, EPSILON.get(stored, 0.0)
    return Tolerance(root + once, f"root of the epsilon of {compute}, plus the epsilon of {stored} numbers")


def differences(given: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) relative differences of rows of one width, float64."""
    lengths = np.linalg.norm(reference, axis=1)
    gaps = np.linalg.norm(given - reference, axis=1)
    return np.divide(gaps, lengths, out=np.full(len(gaps), np.inf), where=lengths > 0)


def chords(given: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) distances of the unit rows, 0 to 2, float64."""
    return np.linalg.norm(unit_rows(given) - unit_rows(reference), axis=1)


def length_gap(given: np.ndarray, reference: np.ndarray) -> float:
    """Median of |log of the ratio of lengths|: 0 where rows are as long as the reference's."""
    a, b = (np.linalg.norm(rows, axis=1) for rows in (given, reference))
    return float(np.median(np.abs(np.log(np.maximum(a, 1e-30) / np.maximum(b, 1e-30)))))


def rounded(rows: np.ndarray, dtype: str) -> np.ndarray:
    """Rows as a type stores them, float64 again."""
    if dtype != "bfloat16":
        return rows.astype(dtype).astype(np.float64)
    import torch

    return torch.from_numpy(rows).to(torch.bfloat16).double().numpy()


def nearest_chords(reference: np.ndarray, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each reference row the `NEAREST` rows of a pool: chords (n, k) and positions (n, k), nearest first."""
    unit = unit_rows(reference)
    best = np.full((len(unit), 0), np.inf)
    at = np.empty((len(unit), 0), dtype=np.int64)
    for block in row_blocks(*pool.shape):
        cosines = unit @ unit_rows(np.asarray(pool[block], dtype=np.float64)).T
        best = np.concatenate([best, np.sqrt(np.maximum(0, 2 - 2 * cosines))], axis=1)
        at = np.concatenate([at, np.broadcast_to(np.arange(block.start, block.stop), cosines.shape)], axis=1)
        order = np.argsort(best, axis=1, kind="stable")[:, : max(NEAREST, 1)]
        best, at = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
    return best, at


def partners(reference: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(n,) positions of the pool, each used once, so that the sum of squared chords is smallest."""
    candidates = np.arange(len(pool)) if len(pool) <= WHOLE_POOL else np.unique(nearest_chords(reference, pool)[1])
    rows = unit_rows(np.asarray(pool[candidates], dtype=np.float64))
    _, chosen = linear_sum_assignment(2 - 2 * (unit_rows(reference) @ rows.T))
    return candidates[chosen]


def all_equal(rows: np.ndarray) -> bool:
    """Whether two or more rows are one vector."""
    return len(rows) > 1 and bool((chords(rows, np.broadcast_to(rows[0], rows.shape)) < SAME).all())
