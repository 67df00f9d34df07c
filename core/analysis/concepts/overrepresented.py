"""Which concepts fire more often on chosen items than on others of the same kind: an exact test, stratified.

1. Within each stratum (a modality, say) the chosen items are drawn from all of it under the null hypothesis: the number
   that a concept fires on is hypergeometric.
2. The numbers of all strata add up; their distribution is the convolution. One-sided p: the chance of at least as many
   (the exact conditional test of Mantel and Haenszel).
3. Corrected for every concept that fires on a tested item (Bonferroni, so that only the listed ones need the exact p).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import hypergeom

from core.analysis.arrays import Codes


@dataclass(frozen=True, eq=False)
class Overrepresented:
    """Concepts that fire on more of the chosen items than expected, most surprising first."""

    concepts: Int[np.ndarray, " t"]
    fires: Int[np.ndarray, " t"]
    """Chosen items on which it fires."""
    expected: Float[np.ndarray, " t"]
    """Of as many items drawn from the same strata."""
    p_value: Float[np.ndarray, " t"]
    """One-sided, of the concept by itself."""
    p_corrected: Float[np.ndarray, " t"]
    """Times the number of concepts that were tested, at most 1."""
    chosen: int
    tested: int
    """Concepts that fire on at least one item."""


def overrepresented(
    codes: Codes, chosen: Bool[np.ndarray, " n"], strata: np.ndarray | None = None, top: int = 20
) -> Overrepresented:
    """The `top` concepts by how far the chosen items exceed what their strata let expect.

    `codes` (n, c), `chosen` (n,) 0/1, `strata` (n,) a name per item; None: one stratum. The order is that of the
    standardised excess; p is exact.
    """
    fires = (codes > 0).astype(np.int64).tocsr()
    number = np.zeros(len(chosen), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    tables = []  # per stratum: items, chosen items, and per concept items it fires on, chosen ones among them
    for stratum in range(int(number.max()) + 1 if len(number) else 0):
        here = np.flatnonzero(number == stratum)
        picked = here[chosen[here]]
        if len(picked):
            on_all, on_picked = (np.asarray(fires[rows].sum(axis=0)).ravel() for rows in (here, picked))
            tables.append((len(here), len(picked), on_all, on_picked))
    seen = sum((on for _, _, _, on in tables), np.zeros(codes.shape[1], dtype=np.int64))
    expected, variance = np.zeros(codes.shape[1]), np.zeros(codes.shape[1])
    for items, picked_n, on, _ in tables:
        share = on / items
        expected += picked_n * share
        variance += picked_n * share * (1 - share) * (items - picked_n) / max(1, items - 1)
    excess = np.where(variance > 0, (seen - expected) / np.sqrt(np.maximum(variance, 1e-12)), 0.0)
    tested = int(np.sum(np.asarray(fires.sum(axis=0)).ravel() > 0))
    best = np.argsort(-excess, kind="stable")[:top]
    best = best[excess[best] > 0]
    p = np.array([tail([(m, int(on[k]), n) for m, n, on, _ in tables], int(seen[k])) for k in best])
    order = np.argsort(p, kind="stable")
    best, p = best[order], p[order]
    corrected = np.minimum(1.0, p * tested)
    return Overrepresented(best, seen[best], expected[best], p, corrected, int(chosen.sum()), tested)


def tail(tables: list[tuple[int, int, int]], observed: int) -> float:
    """P(sum of independent hypergeometric numbers >= observed); each of (items, marked ones, drawn ones)."""
    chances, least = np.ones(1), 0
    for items, marked, drawn in tables:
        low, high = max(0, drawn + marked - items), min(drawn, marked)
        one = hypergeom.pmf(np.arange(low, high + 1), items, marked, drawn)
        kept = np.flatnonzero(one > 0)  # the rest is below the smallest number there is
        chances = np.convolve(chances, one[kept[0] : kept[-1] + 1])
        least += low + int(kept[0])
    return float(min(1.0, chances[max(0, observed - least) :].sum())) if observed - least < len(chances) else 0.0
