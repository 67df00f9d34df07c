"""Blocks of rows and unit rows, the helpers of every other module here. Knows nothing of what the rows mean."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array, csr_matrix

Codes = csr_array | csr_matrix
"""Concept activations (n_items, n_concepts), sparse rows, >= 0, in embedding units (dictionary rows have unit norm)."""
BLOCK_VALUES = 1 << 22
"""Values of a dense float64 block (32 MiB): bounds the memory of every streaming pass."""


def row_blocks(n_rows: int, width: int) -> Iterator[slice]:
    """Slices that cover `n_rows` rows of `width` values in blocks of about BLOCK_VALUES values (at least one row)."""
    step = max(1, BLOCK_VALUES // max(1, width))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def unit_rows(x: Float[np.ndarray, "n d"], floor: float = 0.0) -> Float[np.ndarray, "n d"]:
    """x_i / ||x_i||, in the precision of `x`. Rows with a norm <= `floor` become zero rows, never NaN."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros_like(x), where=norms > floor)
