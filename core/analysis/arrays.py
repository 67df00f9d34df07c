"""Blocks of rows and unit rows, the helpers of every other module here. Knows nothing of what the rows mean."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array, csr_matrix

from core.analysis.engine import Array, ahead, block_bytes, namespace, row_squares

Codes = csr_array | csr_matrix
"""Concept activations (n_items, n_concepts), sparse rows, >= 0, in embedding units (dictionary rows have unit norm)."""


def row_blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Slices that cover `n_rows` rows of `width` float64 values in blocks of `engine.block_bytes` (at least one row):
    bounds the memory of every streaming pass."""
    step = max(1, block_bytes() // (8 * max(1, width)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def read_blocks(x: Array, step: int | None = None) -> Iterator[tuple[slice, Array]]:
    """(slice, rows) of an array, `step` rows or those of `row_blocks` at a time. A memmap is read by a thread, one
    block ahead of the work."""
    slices = row_blocks(*x.shape) if step is None else (slice(i, i + step) for i in range(0, x.shape[0], step))
    if isinstance(x, np.memmap):
        return ahead((block, np.array(x[block])) for block in slices)
    return ((block, x[block]) for block in slices)


def unit_rows(x: Float[np.ndarray, "n d"], floor: float = 0.0) -> Float[np.ndarray, "n d"]:
    """x_i / ||x_i||, in the precision of `x`. Rows with a norm <= `floor` become zero rows, never NaN."""
    return unit(x, floor)


def unit(x: Array, floor: float = 0.0) -> Array:
    """`unit_rows` on any engine."""
    xp = namespace(x)
    norms = xp.sqrt(row_squares(x))[:, None]
    # The quotient by infinity is the zero row.
    return x / xp.where(norms > floor, norms, xp.full_like(norms, xp.inf))
