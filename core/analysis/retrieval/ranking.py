"""Exact ranking: top-k by cosine and the rank of the first relevant candidate, blocked, deterministic.

In: unit (or zero) rows of both sides, as `transform` gives them; pairs (p, 2) of relevant row numbers (score > 0).
1. Scores of a block of queries against a block of candidates: products in float64, rounded to float32. So equal rows
   score equal whatever block or BLAS kernel they fall into, and results do not depend on the block size.
   (`precision="float32"` is faster, without that promise: there rounding may tell duplicates apart.)
2. Equal scores rank by candidate order. The pessimistic rank puts every irrelevant tie first.
3. Top-k and ranks come from one pass; nothing of size queries x candidates is kept.
Rows of `rank_relevant` may be sparse (CSR, any length): next-word distributions are ranked by their dot products.
Knows nothing of variants nor of metrics over queries.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array, csr_matrix, issparse

from core.analysis.retrieval.resampling import shared_answers
from core.errors import ShapeMismatch, UserError
from core.waiting import checkpoint

Precision = Literal["float64", "float32"]
Rows: TypeAlias = np.ndarray | csr_matrix
"""(n, d) unit rows, dense or sparse. Plain types: a jaxtyping shape in an alias is no type to a checker."""
QUERY_BLOCK, CANDIDATE_BLOCK = 1024, 4096
_LAST = np.int64(2**32 - 1)


@dataclass(frozen=True, eq=False)
class TopK:
    """The k best candidates of every query, best first."""

    candidates: Int[np.ndarray, "n k"]
    """Candidate rows, int64."""
    scores: Float[np.ndarray, "n k"]
    """Cosines, float32, -1 to 1."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """What evaluation needs to know of every query."""

    first: Int[np.ndarray, " n"]
    """Rank of the first relevant candidate, 1 = best; 0 where the pool holds none. Ties by candidate order."""
    pessimistic: Int[np.ndarray, " n"]
    """The same with every irrelevant tie ahead."""
    ndcg10: Float[np.ndarray, " n"]
    """nDCG@10, 0-1: linear gains, log2 discount, ideal over the relevant candidates in the pool; 0 where there are
    none."""
    n_candidates: int
    clusters: Int[np.ndarray, " n"] | None = None
    """Queries of the same number share a relevant candidate (`resampling.shared_answers`); None where none do."""

    def arrays(self) -> dict[str, np.ndarray]:
        """As plain arrays, to be stored. Clusters follow from the pairs: they are given again when read."""
        return {
            "first": self.first, "pessimistic": self.pessimistic, "ndcg10": self.ndcg10,
            "n_candidates": np.array([self.n_candidates], dtype=np.int64),
        }  # fmt: skip

    @classmethod
    def from_arrays(
        cls,
        array: Callable[[str], np.ndarray] | Mapping[str, np.ndarray],
        clusters: Int[np.ndarray, " n"] | None = None,
    ) -> "Ranked":
        """Back from `arrays()`; takes a mapping or a function from name to array."""
        get = array.__getitem__ if isinstance(array, Mapping) else array
        first, pessimistic, ndcg10 = (np.asarray(get(name)) for name in ("first", "pessimistic", "ndcg10"))
        return cls(first, pessimistic, ndcg10, int(get("n_candidates")[0]), clusters)


def rank_top_k(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    k: int = 10,
    *,
    ties: Int[np.ndarray, " m"] | None = None,
    block: int = CANDIDATE_BLOCK,
    precision: Precision = "float64",
) -> TopK:
    """The min(k, m) best candidates of every query by dot product of unit rows.

    `ties`: each candidate's place among candidates of equal score, 0 to m - 1, each once; None: candidate order.
    """
    if k < 1:
        raise UserError("cannot rank so few", got=f"k = {k}", allowed="k >= 1")
    places = np.arange(len(candidates)) if ties is None else ties
    keys = np.empty((len(queries), min(k, len(candidates))), dtype=np.int64)
    for rows in _query_blocks(queries):
        best = np.empty((rows.stop - rows.start, 0), dtype=np.int64)
        for start, scores in _score_blocks(queries[rows], candidates, block, precision):
            best = _best_keys(best, scores, places[start : start + scores.shape[1]], k)
        keys[rows] = best
    top = _decode(keys)
    return top if ties is None else TopK(np.argsort(ties)[top.candidates], top.scores)


def first_relevant_rank(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    pairs: Int[np.ndarray, "p 2"],
    *,
    pessimistic: bool = False,
    block: int = CANDIDATE_BLOCK,
    precision: Precision = "float64",
) -> Int[np.ndarray, " n"]:
    """Exact rank of the best relevant candidate of every query; 0 where the pool holds none."""
    ranked = rank_relevant(queries, candidates, pairs, block=block, precision=precision)
    return ranked.pessimistic if pessimistic else ranked.first


def rank_relevant(
    queries: Rows,
    candidates: Rows,
    pairs: Int[np.ndarray, "p 2"],
    gains: Float[np.ndarray, " p"] | None = None,
    *,
    block: int = CANDIDATE_BLOCK,
    precision: Precision = "float64",
) -> Ranked:
    """Ranks and nDCG@10 of every query in one pass. `gains`: qrels scores for nDCG; None: 1 each. A pair given twice
    counts once."""
    n, m = queries.shape[0], candidates.shape[0]
    relevance = _relevance(pairs, gains, n, m)
    first, pessimistic, ndcg = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n)
    for rows in _query_blocks(queries):
        part = relevance[rows]
        target = _best_relevant(queries[rows], candidates, part, precision)
        ahead, tied = np.zeros((2, len(target.column)), dtype=np.int64)
        best = np.empty((len(target.column), 0), dtype=np.int64)
        for start, scores in _score_blocks(queries[rows], candidates, block, precision):
            # The block's product and the pair's own product may round differently: a candidate must tie with itself.
            target.pin(scores, start)
            columns = np.arange(start, start + scores.shape[1])
            best = _best_keys(best, scores, columns, 10)
            equal = scores == target.score[:, None]
            ahead += (scores > target.score[:, None]).sum(1) + (equal & (columns < target.column[:, None])).sum(1)
            tied += (scores > target.score[:, None]).sum(1) + equal.sum(1)
        first[rows] = np.where(target.exists, ahead + 1, 0)
        pessimistic[rows] = np.where(target.exists, tied - target.relevant_ties + 1, 0)
        ndcg[rows] = _ndcg(part, _decode(best).candidates)
    return Ranked(first, pessimistic, ndcg, m, shared_answers(pairs, queries.shape[0]))


@dataclass(frozen=True, eq=False)
class _Target:
    """The best relevant candidate of every query of a block: its score, its column, how many relevant ones have the
    same score."""

    score: np.ndarray
    column: np.ndarray
    relevant_ties: np.ndarray
    exists: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
    """(row, column, score) of every relevant pair."""

    def pin(self, scores: np.ndarray, start: int) -> None:
        """Write the pairs' own scores over the block's, so that no rounding tells a candidate from itself."""
        rows, columns, values = self.pairs
        here = (columns >= start) & (columns < start + scores.shape[1])
        scores[rows[here], columns[here] - start] = values[here]


def _best_relevant(queries: Rows, candidates: Rows, relevance: csr_array, precision: Precision) -> _Target:
    """Scores of all relevant pairs, and the best of every query; of equal ones that of the lowest column."""
    n = relevance.shape[0]
    rows, columns = np.repeat(np.arange(n), np.diff(relevance.indptr)), relevance.indices.astype(np.int64)
    values = np.empty(len(rows), dtype=np.float32)
    for i in range(0, len(rows), CANDIDATE_BLOCK):
        j = slice(i, i + CANDIDATE_BLOCK)
        left, right = queries[rows[j]].astype(precision), candidates[columns[j]].astype(precision)
        products = left.multiply(right).sum(axis=1).ravel() if issparse(left) else np.einsum("pd,pd->p", left, right)
        values[j] = products
    values += 0.0  # -0.0 becomes 0.0: the two are equal, but their keys are not
    score = np.full(n, -np.inf, dtype=np.float32)
    np.maximum.at(score, rows, values)
    best = values == score[rows]
    column = np.full(n, candidates.shape[0], dtype=np.int64)
    np.minimum.at(column, rows[best], columns[best])
    return _Target(
        score, column, np.bincount(rows[best], minlength=n), np.diff(relevance.indptr) > 0, (rows, columns, values)
    )


def _relevance(pairs: np.ndarray, gains: np.ndarray | None, n: int, m: int) -> csr_array:
    """Gains as (n, m) CSR with sorted columns; the largest gain of a repeated pair. Pairs outside the rows are
    refused."""
    if len(pairs) and (pairs.min() < 0 or pairs[:, 0].max() >= n or pairs[:, 1].max() >= m):
        raise ShapeMismatch(
            "pairs name rows that do not exist", got=f"up to {pairs.max(axis=0).tolist()}", allowed=f"{n} x {m} rows"
        )
    gains = np.ones(len(pairs)) if gains is None else np.asarray(gains, dtype=np.float64)
    order = np.lexsort((-gains, pairs[:, 1], pairs[:, 0]))
    unique, firsts = np.unique(pairs[order], axis=0, return_index=True)
    return csr_array((gains[order][firsts], (unique[:, 0], unique[:, 1])), shape=(n, m))


def _ndcg(relevance: csr_array, top: np.ndarray) -> np.ndarray:
    """sum_r gain_r / log2(r + 1) over the first 10, over the same sum of the best possible order."""
    scores = np.zeros(relevance.shape[0])
    discounts = 1 / np.log2(np.arange(2, 12))
    for i in np.flatnonzero(np.diff(relevance.indptr)):
        span = slice(relevance.indptr[i], relevance.indptr[i + 1])
        columns, gains = relevance.indices[span], relevance.data[span]
        ideal = np.sort(gains)[::-1][:10]
        hits = columns[None, :] == top[i][:, None]
        scores[i] = (hits @ gains) @ discounts[: len(top[i])] / (ideal @ discounts[: len(ideal)])
    return scores


def _query_blocks(queries: Rows) -> Iterator[slice]:
    """Slices of QUERY_BLOCK queries."""
    n = queries.shape[0]
    for start in range(0, n, QUERY_BLOCK):
        yield slice(start, min(start + QUERY_BLOCK, n))


def _score_blocks(
    queries: Rows, candidates: Rows, block: int, precision: Precision
) -> Iterator[tuple[int, np.ndarray]]:
    """(first column, float32 scores) of every block of candidates; -0.0 becomes 0.0, whose key differs."""
    if queries.shape[1] != candidates.shape[1]:
        raise ShapeMismatch(
            "queries and candidates differ",
            got=f"widths {queries.shape[1]}, {candidates.shape[1]}",
            allowed="equal widths",
        )
    left = queries.astype(precision)
    for start in range(0, candidates.shape[0], block):
        checkpoint()
        scores = left @ candidates[start : start + block].astype(precision).T
        scores = scores.toarray() if issparse(scores) else scores
        yield start, scores.astype(np.float32) + np.float32(0.0)


def _best_keys(best: np.ndarray, scores: np.ndarray, places: np.ndarray, k: int) -> np.ndarray:
    """The k largest keys of `best` and of the new scores, largest first. A key orders by score, then by earlier
    place."""
    # Read as integers, float32 order as they should once the other bits of negative numbers are flipped. The lower half
    # of a key is larger for an earlier place, so that one partition also settles ties.
    bits = scores.view(np.int32)
    ordered = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    keys = (ordered << 32) + (_LAST - places)
    if keys.shape[1] > k:
        keys = np.partition(keys, keys.shape[1] - k, axis=1)[:, -k:]
    return -np.sort(-np.hstack([best, keys]), axis=1)[:, :k]


def _decode(keys: np.ndarray) -> TopK:
    """Candidates and scores back from the keys of `_best_keys`."""
    ordered = (keys >> 32).astype(np.int32)
    scores = (ordered ^ ((ordered >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)
    return TopK(_LAST - (keys & _LAST), scores)
