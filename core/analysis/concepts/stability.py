"""How far two dictionaries agree: the same directions, one to one or not, and the same subspaces (docs/study.md section
3).

In: dictionaries of unit rows over the same d dimensions. Cosines keep their sign: a concept that fires for the opposite
is another concept. `match`   for every row of the first the nearest row of the second (max-cosine matching; one row may
serve several) `assign`  one to one, the assignment with the largest sum of cosines (Hungarian, scipy), as Paulo &
Belrose 2025 compare seeds `span_overlap`  principal angles between the spans of two sets of rows Knows nothing of
codes: weights and which concepts are alive are given.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from core.analysis.arrays import row_blocks, unit_rows
from core.analysis.subspaces import removal_basis
from core.errors import ShapeMismatch, UserError

SAME, NEARLY_SAME = 0.9, 0.7
"""Cosines from which two concepts are called the same, or nearly so."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Pairs of rows of two dictionaries, first ascending."""

    first: Int[np.ndarray, " p"]
    second: Int[np.ndarray, " p"]
    cosine: Float[np.ndarray, " p"]
    """-1 to 1, float64."""

    def mean(self, weights: Float[np.ndarray, " c1"] | None = None) -> float:
        """Mean cosine over the pairs. `weights`: >= 0, one per row of the first dictionary, as its energy. NaN without
        pairs or weight."""
        return _average(self.cosine, self._weights(weights))

    def share_above(self, threshold: float, weights: Float[np.ndarray, " c1"] | None = None) -> float:
        """Share of pairs (of their weight) with a cosine above `threshold`, 0-1. NaN without pairs or weight."""
        return _average((self.cosine > threshold).astype(np.float64), self._weights(weights))

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        return np.ones(len(self.first)) if weights is None else np.asarray(weights, dtype=np.float64)[self.first]


@dataclass(frozen=True, eq=False)
class SpanOverlap:
    """How much two subspaces share."""

    cosines: Float[np.ndarray, " r"]
    """Cosines of the principal angles, largest first; r is the smaller of the two ranks."""
    ranks: tuple[int, int]
    by_chance: float
    """What `mean_squared` is on average for random subspaces of these ranks: max(ranks) / d."""

    @property
    def mean_squared(self) -> float:
        """Mean of the squared cosines: 1 where the smaller subspace lies in the larger, 0 where they are orthogonal.
        NaN without any."""
        return float(np.mean(self.cosines**2)) if len(self.cosines) else float("nan")


def match(
    first: Float[np.ndarray, "c1 d"], second: Float[np.ndarray, "c2 d2"], alive: Bool[np.ndarray, " c1"] | None = None
) -> Matching:
    """The nearest row of `second` for every row of `first` (of those `alive`); ties to the earlier row."""
    a, b = _unit_pair(first, second)
    rows = np.arange(len(a)) if alive is None else np.flatnonzero(alive)
    partner, cosine = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
    for block in row_blocks(len(rows), len(b)):
        cosines = a[rows[block]] @ b.T
        partner[block], cosine[block] = cosines.argmax(axis=1), cosines.max(axis=1)
    return Matching(rows, partner, cosine)


def assign(
    first: Float[np.ndarray, "c1 d"],
    second: Float[np.ndarray, "c2 d2"],
    alive: Bool[np.ndarray, " c1"] | None = None,
    alive_second: Bool[np.ndarray, " c2"] | None = None,
) -> Matching:
    """One-to-one pairs of the alive rows, as many as the smaller side has, with the largest sum of cosines."""
    a, b = _unit_pair(first, second)
    rows = np.arange(len(a)) if alive is None else np.flatnonzero(alive)
    columns = np.arange(len(b)) if alive_second is None else np.flatnonzero(alive_second)
    cosines = a[rows] @ b[columns].T
    i, j = linear_sum_assignment(cosines, maximize=True)
    return Matching(rows[i], columns[j], cosines[i, j])


def span_overlap(
    first: Float[np.ndarray, "m1 d"], second: Float[np.ndarray, "m2 d2"], energy_share: float = 0.99
) -> SpanOverlap:
    """Principal angles between the main directions of two sets of rows, as `removal_basis` finds them: what a removal
    takes away."""
    a, b = (removal_basis(rows, energy_share) for rows in (first, second))
    if a.shape[1] != b.shape[1]:
        raise ShapeMismatch("the rows do not fit", got=f"widths {a.shape[1]}, {b.shape[1]}", allowed="equal widths")
    cosines = np.linalg.svd(a @ b.T, compute_uv=False) if len(a) and len(b) else np.zeros(0)
    return SpanOverlap(np.clip(cosines, 0.0, 1.0), (len(a), len(b)), max(len(a), len(b)) / a.shape[1])


def _unit_pair(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if first.shape[1] != second.shape[1]:
        raise ShapeMismatch(
            "the dictionaries do not fit", got=f"widths {first.shape[1]}, {second.shape[1]}", allowed="equal widths"
        )
    if not len(first) or not len(second):
        raise UserError("nothing to match", got=f"{len(first)} and {len(second)} concepts", allowed="at least 1 each")
    return unit_rows(np.asarray(first, dtype=np.float64)), unit_rows(np.asarray(second, dtype=np.float64))


def _average(values: np.ndarray, weights: np.ndarray) -> float:
    total = float(weights.sum())
    return float(values @ weights) / total if total > 0 else float("nan")
