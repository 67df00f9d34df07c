"""Exact nearest neighbours within one set of rows, and how often they are of another kind than chance has it.

In: unit rows (n, d), and a kind per row. Nothing of size n x n is kept. Whoever offers the same from many machines has
the same signature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.retrieval.ranking import rank_top_k
from core.analysis.retrieval.resampling import Clusters, bootstrap_means
from core.errors import UserError


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest other rows of every row, nearest first."""

    rows: Int[np.ndarray, "n k"]
    """int64; never the row itself."""
    cosines: Float[np.ndarray, "n k"]
    """float32, -1 to 1, falling."""


def neighbours(rows: Float[np.ndarray, "n d"], k: int = 15) -> Neighbours:
    """The min(k, n - 1) rows of largest dot product with each row, itself left out; equal ones by row number.

    Exact, in blocks (`ranking.rank_top_k`).

    Raises:
        UserError: fewer than two rows.
    """
    if len(rows) < 2:
        raise UserError("one item has no neighbours", got=f"{len(rows)} items", allowed="2 or more")
    wanted = min(k, len(rows) - 1)
    top = rank_top_k(rows, rows, wanted + 1)
    # Equal rows may stand before a row itself, even so many that it is not in its own list: then the last one goes.
    itself = top.candidates == np.arange(len(rows))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(rows), wanted)
    return Neighbours(top.candidates[~itself].reshape(shape), top.scores[~itself].reshape(shape))


@dataclass(frozen=True)
class Mixing:
    """How far the kinds of items mix among nearest neighbours; ratios 0-1."""

    share: float
    """Neighbours of another kind than the item's own, mean over items."""
    low: float
    """95% bootstrap interval over items; those of one cluster are drawn together. NaN where there are too few."""
    high: float
    expected: float
    """The same share where kinds do not matter: mean over items of (items of other kinds) / (n - 1)."""
    items: int
    k: int
    """Neighbours of each item."""


def mixing(
    nearest: Int[np.ndarray, "n k"], kinds: np.ndarray, clusters: Clusters = None
) -> tuple[Mixing, Float[np.ndarray, " n"]]:
    """The mixing of `kinds` (n,), and the share of other kinds among the neighbours of every item."""
    n, k = nearest.shape
    _, number, sizes = np.unique(np.asarray(kinds, dtype=str), return_inverse=True, return_counts=True)
    share = (number[nearest] != number[:, None]).mean(axis=1)
    expected = float(np.mean((n - sizes[number]) / (n - 1)))
    low, high = bootstrap_means(share[:, None], clusters=clusters)
    return Mixing(float(share.mean()), float(low[0]), float(high[0]), expected, n, k), share
