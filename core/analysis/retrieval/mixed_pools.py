"""Pools of several modalities: which modality answers a query, and which one it wants.

In: unit rows of both sides under one variant, the modality of every candidate, relevant pairs. Out: `PoolAnswers`, a
few numbers per query.

- A query **wants** the modalities of its relevant candidates; it may want several. One without a relevant candidate
  wants none and is left out of every share.
- The wanted modality is **missed** where the best-ranked candidate is of another one: the failure that MM-Embed (Lin et
  al. 2025, arXiv 2411.02571) calls modality bias and MMEB-V3 (Huang et al. 2026, arXiv 2604.23321) a missed target
  modality.
- The **modality bias** of a query towards m is the share of m among its k nearest candidates minus the share of m in
  the pool: the set difference of Yang & Stoyanovich (2017, arXiv 1610.08559) at one cut-off, without its normaliser.
  The biases of a query sum to 0. Its **size** is half the sum of their absolute values, 0 to 1: the share of the k
  nearest that would have to be of another modality for the list to look like the pool.
- The **rival** of a query is its nearest candidate of a modality that it does not want. Where the wanted modality is
  missed the rival stands first, and the margin between the best relevant candidate and the rival is not positive.

Ranking is exact, with the rules of ranking.py: products in float64, rounded to float32, ties by candidate order. Knows
nothing of variants nor of concepts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import hypergeom

from core.analysis.retrieval.ranking import rank_top_k
from core.errors import NotAvailable
from core.records import MODALITIES

NEAREST = 10
"""Candidates of a query that its bias is measured over."""


@dataclass(frozen=True, eq=False)
class PoolAnswers:
    """What answers n queries in a pool of m modalities."""

    modalities: tuple[str, ...]
    """Those in the pool, in the order of `MODALITIES`."""
    wanted: Bool[np.ndarray, "n m"]
    answered: Int[np.ndarray, " n"]
    """Column of the modality of the best-ranked candidate."""
    top_share: Float[np.ndarray, "n m"]
    """Share of each modality among the k nearest candidates, 0-1."""
    pool_share: Float[np.ndarray, " m"]
    right: Int[np.ndarray, " n"]
    """Best relevant candidate; -1 where there is none."""
    rival: Int[np.ndarray, " n"]
    """Nearest candidate of a modality that is not wanted; -1 where every modality is wanted, or none."""
    nearest: int
    """k: min(`NEAREST`, candidates)."""

    @property
    def judged(self) -> Bool[np.ndarray, " n"]:
        """Queries that want a modality."""
        return np.asarray(self.wanted.any(axis=1))

    @property
    def missed(self) -> Bool[np.ndarray, " n"]:
        """Whether the best-ranked candidate is of a modality that is not wanted; False where none is wanted."""
        return np.asarray(self.judged & ~self.wanted[np.arange(len(self.wanted)), self.answered])

    @property
    def bias(self) -> Float[np.ndarray, "n m"]:
        """Bias of every query towards every modality, -1 to 1; rows sum to 0."""
        return self.top_share - self.pool_share

    @property
    def bias_size(self) -> Float[np.ndarray, " n"]:
        """Half the sum of the absolute biases of each query, 0-1."""
        return np.abs(self.bias).sum(axis=1) / 2

    @property
    def preferences(self) -> Int[np.ndarray, "f 3"]:
        """(query, right, rival) of every query whose wanted modality is missed, ascending."""
        rows = np.flatnonzero(self.missed)
        return np.column_stack([rows, self.right[rows], self.rival[rows]])


def pool_answers(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    modality: np.ndarray,
    pairs: Int[np.ndarray, "p 2"],
    k: int = NEAREST,
) -> PoolAnswers:
    """Which modality answers every query. `modality`: (m,) of the candidates.

    Raises:
        NotAvailable: the candidates are of one modality.
    """
    present = tuple(one for one in MODALITIES if (modality == one).any())
    if len(present) < 2:
        raise NotAvailable(
            "all candidates are of one modality, so every answer is of the wanted one",
            got=", ".join(present) or "no candidate",
            todo="choose a run whose pool holds texts, images or both together, such as demo-mixed",
        )
    column = np.array([present.index(one) for one in modality.tolist()])
    top = column[rank_top_k(queries, candidates, k).candidates]
    wanted = np.zeros((len(queries), len(present)), dtype=bool)
    wanted[pairs[:, 0], column[pairs[:, 1]]] = True
    return PoolAnswers(
        modalities=present,
        wanted=wanted,
        answered=top[:, 0],
        top_share=np.stack([(top == m).mean(axis=1) for m in range(len(present))], axis=1),
        pool_share=np.bincount(column, minlength=len(present)) / len(column),
        right=_best_relevant(queries, candidates, pairs),
        rival=_rivals(queries, candidates, column, wanted),
        nearest=top.shape[1],
    )


def bias_by_chance(sizes: Int[np.ndarray, " m"], k: int) -> float:
    """Expected size of the bias of k candidates drawn at random from a pool with these numbers of each modality, 0-1.

    By linearity half the sum of E|X_m / k - N_m / N|, X_m hypergeometric.
    """
    total, drawn = int(sizes.sum()), np.arange(k + 1)
    expected = [
        float((hypergeom.pmf(drawn, total, int(size), k) * np.abs(drawn / k - size / total)).sum()) for size in sizes
    ]
    return sum(expected) / 2


def _best_relevant(queries: np.ndarray, candidates: np.ndarray, pairs: np.ndarray) -> Int[np.ndarray, " n"]:
    """The relevant candidate of highest score of every query, ties by candidate order; -1 where there is none."""
    scores = np.einsum("pd,pd->p", queries[pairs[:, 0]], candidates[pairs[:, 1]], dtype=np.float64).astype(np.float32)
    order = np.lexsort((pairs[:, 1], -scores, pairs[:, 0]))
    rows, first = np.unique(pairs[order, 0], return_index=True)
    best = np.full(len(queries), -1, dtype=np.int64)
    best[rows] = pairs[order, 1][first]
    return best


def _rivals(queries: np.ndarray, candidates: np.ndarray, column: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The nearest candidate of a modality that is not wanted, ties by candidate order; -1 where there is none."""
    n, m = wanted.shape
    rows, scores = np.empty((n, m), dtype=np.int64), np.empty((n, m))
    for one in range(m):
        own = np.flatnonzero(column == one)
        best = rank_top_k(queries, candidates[own], 1)
        rows[:, one], scores[:, one] = own[best.candidates[:, 0]], best.scores[:, 0]
    scores[wanted] = -np.inf
    # Of equal scores the earlier candidate: the row breaks the tie.
    order = np.lexsort((rows, -scores), axis=1)[:, 0]
    nearest = rows[np.arange(n), order]
    return np.where(wanted.any(axis=1) & ~wanted.all(axis=1), nearest, -1)
