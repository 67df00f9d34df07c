"""Exact ranking: top-k by cosine and the rank of the first relevant candidate, blocked, deterministic.

In: unit (or zero) rows of both sides, as `transform` gives them; pairs (p, 2) of relevant row numbers (score > 0).
1. A score is the exact dot product rounded to float32 (`products.py`). Equal rows score equal, and results depend
   neither on the block size nor on the machine.
2. Equal scores rank by candidate order. The pessimistic rank puts every irrelevant tie first.
3. Products are in float32. Their error bound says which candidates could change places: those near the k-th best, and
   those near the best relevant one. Only these are scored exactly; where they are many, the whole row of the block is.
4. Candidates come block by block, each once; top-k and ranks come from one pass; nothing of size queries x candidates
   is kept.
Rows may be of any length, float32, float64 or sparse (CSR): next-word distributions are ranked by their dot products.
Candidates may also come from a source that makes them block by block (`rows.RowSource`): then they are never whole.
Knows nothing of variants nor of metrics over queries.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from core.analysis.engine import NUMPY, Engine, block_bytes, engine, full_precision
from core.analysis.retrieval.products import Given, Products, Rows
from core.analysis.retrieval.resampling import shared_answers
from core.analysis.retrieval.rows import RowSource, row_source
from core.errors import ShapeMismatch, UserError
from core.waiting import checkpoint, reached

QUERY_BLOCK = 1024
"""Queries of a block."""
GPU_BLOCKS = 8
"""A block on a GPU has so many times the queries, and so many times the candidates, of one in main memory."""
CROWDED = 32
"""Where more than one in so many candidates of a block is in question, a whole row of exact products is cheaper."""
_LAST = np.int64(2**32 - 1)
_NONE = np.iinfo(np.int64).min + 1
"""The key of a place among the best that is still free; its negative is a number too."""


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
    candidates: Float[np.ndarray, "m d"] | RowSource,
    k: int = 10,
    *,
    ties: Int[np.ndarray, " m"] | None = None,
    block: int | None = None,
) -> TopK:
    """The min(k, m) best candidates of every query by dot product.

    `ties`: each candidate's place among candidates of equal score, 0 to m - 1, each once; None: candidate order.
    `block`: candidates at a time; None: as many as `engine.block_bytes` allows.
    """
    if k < 1:
        raise UserError("cannot rank so few", got=f"k = {k}", allowed="k >= 1")
    source = row_source(candidates)
    n, m = queries.shape[0], source.shape[0]
    places = np.arange(m) if ties is None else ties
    keys = np.full((n, min(k, m)), _NONE)
    for rows, start, products in _product_blocks(queries, source, block):
        _take_best(keys[rows], products, places[start : start + products.shape[1]], in_order=ties is None)
    top = _decode(keys)
    return top if ties is None else TopK(np.argsort(ties)[top.candidates], top.scores)


def first_relevant_rank(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"] | RowSource,
    pairs: Int[np.ndarray, "p 2"],
    *,
    pessimistic: bool = False,
    block: int | None = None,
) -> Int[np.ndarray, " n"]:
    """Exact rank of the best relevant candidate of every query; 0 where the pool holds none."""
    ranked = rank_relevant(queries, candidates, pairs, block=block)
    return ranked.pessimistic if pessimistic else ranked.first


def rank_relevant(
    queries: Given,
    candidates: Given | RowSource,
    pairs: Int[np.ndarray, "p 2"],
    gains: Float[np.ndarray, " p"] | None = None,
    *,
    block: int | None = None,
) -> Ranked:
    """Ranks and nDCG@10 of every query in one pass. `gains`: qrels scores for nDCG; None: 1 each. A pair given twice
    counts once."""
    source = row_source(candidates)
    n, m = queries.shape[0], source.shape[0]
    relevance = _relevance(pairs, gains, n, m)
    target = _best_relevant(queries, source, relevance)
    ahead_of, level = np.zeros((2, n), dtype=np.int64)
    keys = np.full((n, min(10, m)), _NONE)
    for rows, start, products in _product_blocks(queries, source, block):
        columns = np.arange(start, start + products.shape[1])
        _take_best(keys[rows], products, columns, in_order=True)
        above, equal_before, equal = _beside(products, target.score[rows], target.column[rows], columns)
        ahead_of[rows] += above + equal_before
        level[rows] += above + equal
    first = np.where(target.exists, ahead_of + 1, 0)
    pessimistic = np.where(target.exists, level - target.relevant_ties + 1, 0)
    return Ranked(first, pessimistic, _ndcg(relevance, _decode(keys).candidates), m, shared_answers(pairs, n))


def _product_blocks(queries: Given, source: RowSource, block: int | None) -> Iterator[tuple[slice, int, Products]]:
    """(rows of queries, first candidate, their products): candidate blocks in order, all queries before the next."""
    n, (m, width) = queries.shape[0], source.shape
    if queries.shape[1] != width:
        got = f"widths {queries.shape[1]}, {width}"
        raise ShapeMismatch("queries and candidates differ", got=got, allowed="equal widths")
    place = engine(2.0 * n * m * width, float64=False)
    step = QUERY_BLOCK * (GPU_BLOCKS if place.on_gpu else 1)
    left = [(slice(i, min(i + step, n)), Rows.of(queries[i : i + step], place)) for i in range(0, n, step)]
    with full_precision():
        for start, given in source.blocks(block or _candidate_block(place, width), place):
            reached(start, m)
            right = Rows.of(given, place)
            for rows, one in left:
                checkpoint()
                yield rows, start, Products(one, right, place)


def _candidate_block(place: Engine, width: int) -> int:
    """Candidates of a block: as many as one block of memory holds of their rows, or of their scores."""
    return max(64, block_bytes() // (4 * max(width, QUERY_BLOCK))) * (GPU_BLOCKS if place.on_gpu else 1)


def _take_best(keys: np.ndarray, products: Products, places: np.ndarray, *, in_order: bool) -> None:
    """Put those of a block that belong among the best into `keys` (n, k), in place.

    `in_order`: all of them come after those seen before, so that an equal score does not displace one.
    """
    k = keys.shape[1]
    everyone = np.arange(len(keys))
    if products.single is None:
        _merge_rows(keys, products, everyone, places)
        return
    # The k-th best so far, less what a product can be off, is what a product has to exceed.
    full = keys[:, -1] != _NONE
    worst = np.where(full, _decode(keys[:, -1:]).scores[:, 0].astype(np.float64), -np.inf)
    floor = worst - products.error
    if not in_order:  # where there is no error, an equal score may still win by its place
        floor = np.where(products.error > 0, floor, np.nextafter(floor, -np.inf))
    _raise_floor(floor, products, np.flatnonzero(~full), k)
    i, j = products.above(floor)
    counts = np.bincount(i, minlength=len(keys))
    crowded = np.flatnonzero((counts > max(64, 4 * k)) & full)
    if len(crowded):
        _raise_floor(floor, products, crowded, k)
        left = products.values(i, j) > floor[i]
        i, j = i[left], j[left]
        counts = np.bincount(i, minlength=len(keys))
    whole = counts > max(64, 2 * k, len(places) // CROWDED)
    if whole.any():
        _merge_rows(keys, products, np.flatnonzero(whole), places)
        i, j = i[~whole[i]], j[~whole[i]]
    _merge_pairs(keys, i, _keys(products.scores(i, j), places[j]))


def _raise_floor(floor: np.ndarray, products: Products, rows: np.ndarray, k: int) -> None:
    """In these rows at least k products of the block are as high as the k-th largest, each off by the error at most."""
    if len(rows):
        nth = products.kth_largest(rows, k)
        floor[rows] = np.maximum(floor[rows], np.nextafter(nth - 2 * products.error[rows], -np.inf))


def _beside(
    products: Products, score: np.ndarray, column: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) each: how many of a block are above the target's `score`, equal to it before its `column`, and equal to
    it."""
    n = len(score)
    counts = np.zeros((3, n), dtype=np.int64)
    everyone = np.arange(n)
    whole = everyone
    if products.single is not None:
        low, high = score - products.error, score + products.error
        counts[0], (i, j) = products.around(low, high)
        crowded = np.bincount(i, minlength=n) > max(64, len(columns) // CROWDED)
        whole = everyone[crowded]
        counts[0, whole] = 0
        i, j = i[~crowded[i]], j[~crowded[i]]
        order = products.order(i, j, score[i])
        same, before = order == 0, columns[j] < column[i]
        for row, chosen in enumerate((order > 0, same & before, same)):
            counts[row] += np.bincount(i[chosen], minlength=n)
    for rows, scores in products.score_rows(whole):
        same = scores == score[rows, None]
        counts[0, rows] = np.count_nonzero(scores > score[rows, None], axis=1)
        counts[1, rows] = np.count_nonzero(same & (columns < column[rows, None]), axis=1)
        counts[2, rows] = np.count_nonzero(same, axis=1)
    return counts[0], counts[1], counts[2]


@dataclass(frozen=True, eq=False)
class _Target:
    """The best relevant candidate of every query: its score, its column, how many relevant ones have the same score."""

    score: np.ndarray
    """NaN without one: nothing is above that, below it or beside it."""
    column: np.ndarray
    relevant_ties: np.ndarray
    exists: np.ndarray


def _best_relevant(queries: Given, source: RowSource, relevance: csr_array) -> _Target:
    """Scores of all relevant pairs, and the best of every query; of equal ones that of the lowest column."""
    n = relevance.shape[0]
    rows, columns = np.repeat(np.arange(n), np.diff(relevance.indptr)), relevance.indices.astype(np.int64)
    values = np.empty(len(rows), dtype=np.float32)
    step = _candidate_block(NUMPY, queries.shape[1])
    for i in range(0, len(rows), step):
        checkpoint()
        some = slice(i, i + step)
        # Each query and each candidate once, however many pairs name it.
        one, left = np.unique(rows[some], return_inverse=True)
        other, right = np.unique(columns[some], return_inverse=True)
        both = Rows.of(queries[one], NUMPY), Rows.of(source.take(other), NUMPY)
        values[some] = Products(*both, NUMPY, only_pairs=True).scores(left, right)
    score = np.full(n, -np.inf, dtype=np.float32)
    np.maximum.at(score, rows, values)
    best = values == score[rows]
    column = np.full(n, relevance.shape[1], dtype=np.int64)
    np.minimum.at(column, rows[best], columns[best])
    exists = np.diff(relevance.indptr) > 0
    return _Target(np.where(exists, score, np.float32(np.nan)), column, np.bincount(rows[best], minlength=n), exists)


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


def _keys(scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """int64 that order by score, then by earlier place: the largest is the best."""
    # Read as integers, float32 order as they should once the other bits of negative numbers are flipped. The lower half
    # of a key is larger for an earlier place, so that one sort also settles ties.
    bits = scores.view(np.int32)
    ordered = (bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))).astype(np.int64)
    return (ordered << 32) + (_LAST - places)


def _merge_rows(keys: np.ndarray, products: Products, rows: np.ndarray, places: np.ndarray) -> None:
    """All candidates of a block into the best of these rows, by their exact scores."""
    k = keys.shape[1]
    for some, scores in products.score_rows(rows):
        new = _keys(scores, places)
        if new.shape[1] > k:
            new = np.partition(new, new.shape[1] - k, axis=1)[:, -k:]
        keys[some] = -np.sort(-np.hstack([keys[some], new]), axis=1)[:, :k]


def _merge_pairs(keys: np.ndarray, rows: np.ndarray, new: np.ndarray) -> None:
    """Single candidates, one key each, into the best of their rows; `rows` ascend."""
    if not len(rows):
        return
    some, starts, counts = np.unique(rows, return_index=True, return_counts=True)
    table = np.full((len(some), counts.max()), _NONE)
    table[np.repeat(np.arange(len(some)), counts), np.arange(len(rows)) - np.repeat(starts, counts)] = new
    keys[some] = -np.sort(-np.hstack([keys[some], table]), axis=1)[:, : keys.shape[1]]


def _decode(keys: np.ndarray) -> TopK:
    """Candidates and scores back from their keys."""
    ordered = (keys >> 32).astype(np.int32)
    scores = (ordered ^ ((ordered >> 31) & np.int32(0x7FFFFFFF))).view(np.float32)
    return TopK(_LAST - (keys & _LAST), scores)
