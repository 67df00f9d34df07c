"""Moments of rows by workers: each takes a block, and their moments are merged pairwise, in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.analysis.arrays import row_blocks
from core.analysis.variants.moments import CovarianceAccumulator, Moments, moments_of
from core.engine.blocks import computed
from core.engine.cluster import Session


def moments(session: Session, *parts: np.ndarray) -> Moments:
    """Moments of the rows (n, d) of all parts together: `moments_of`, up to rounding in float64.

    Raises:
        UserError: NaN, infinity, or fewer than two rows in all.
    """

    def blocks() -> Iterator[tuple[np.ndarray]]:
        for part in parts:
            for block in row_blocks(*part.shape):
                yield (np.asarray(part[block]),)

    whole = CovarianceAccumulator(parts[0].shape[1])
    for made in computed(session, _of_block, blocks()):
        if isinstance(made, Moments):
            whole.add(made)
        else:
            whole.add_batch(made)
    return whole.compute()


def _of_block(rows: np.ndarray) -> Moments | np.ndarray:
    """Moments of a block; a block of a single row, which has none, comes back as it is."""
    return moments_of(rows) if len(rows) > 1 else rows
