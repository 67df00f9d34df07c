"""Search by workers: blocks of queries over shards of candidates, exact, and the nearest neighbours that follow.

Each worker ranks one block against one shard with `core.analysis.retrieval.ranking.rank_top_k`; lists of one block are
merged by score, then by place. So the lists are those of one process, whatever the sizes of blocks and shards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core.analysis.retrieval.ranking import TopK, rank_top_k
from core.engine.blocks import computed, sent
from core.engine.cluster import Session
from core.errors import UserError

QUERIES, CANDIDATES = 8192, 65536
"""Rows of a block and of a shard: float64 products of some seconds a piece."""


def search(
    session: Session,
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    k: int = 10,
    *,
    ties: Int[np.ndarray, " m"] | None = None,
    block: int = QUERIES,
    shard: int = CANDIDATES,
) -> TopK:
    """`rank_top_k` by workers: the min(k, m) best candidates of every query. Both sides may be memmaps.

    `ties`: see there.
    """
    n, m = len(queries), len(candidates)
    places = np.arange(m) if ties is None else np.asarray(ties)
    best = TopK(np.empty((n, 0), np.int64), np.empty((n, 0), np.float32))
    starts = range(0, n, block)
    wanted = [(at, start) for at in range(0, m, shard) for start in starts]

    def pieces() -> Iterator[tuple[Any, ...]]:
        asked = [sent(np.asarray(queries[start : start + block])) for start in starts]
        for at in range(0, m, shard):
            columns = slice(at, at + shard)
            # Within a shard, places need only be in the same order.
            order = None if ties is None else np.argsort(np.argsort(places[columns]))
            there = sent(np.asarray(candidates[columns]))
            for one in asked:
                yield one, there, k, order

    lists: dict[int, TopK] = {}
    for (at, start), top in zip(wanted, computed(session, _ranked, pieces()), strict=True):
        found = TopK(top.candidates + at, top.scores)
        lists[start] = found if start not in lists else _merged(lists[start], found, places, k)
    if not lists:
        return best
    ordered = [lists[start] for start in starts]
    return TopK(np.concatenate([one.candidates for one in ordered]), np.concatenate([one.scores for one in ordered]))


def neighbours(session: Session, rows: Float[np.ndarray, "n d"], k: int = 15) -> TopK:
    """The min(k, n - 1) rows of largest dot product with each row, itself left out; equal ones by row number.

    Raises:
        UserError: fewer than two rows.
    """
    if len(rows) < 2:
        raise UserError("one item has no neighbours", got=f"{len(rows)} items", allowed="2 or more")
    wanted = min(k, len(rows) - 1)
    top = search(session, rows, rows, wanted + 1)
    # Equal rows may stand before a row itself, even so many that it is not in its own list: then the last one goes.
    itself = top.candidates == np.arange(len(rows))[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(rows), wanted)
    return TopK(top.candidates[~itself].reshape(shape), top.scores[~itself].reshape(shape))


def _ranked(queries: np.ndarray, candidates: np.ndarray, k: int, ties: np.ndarray | None) -> TopK:
    return rank_top_k(queries, candidates, k, ties=ties)


def _merged(one: TopK, other: TopK, places: np.ndarray, k: int) -> TopK:
    """The k best of two lists of the same queries: by score, then by place."""
    columns = np.hstack([one.candidates, other.candidates])
    scores = np.hstack([one.scores, other.scores])
    order = np.lexsort((places[columns], -scores), axis=1)[:, :k]
    return TopK(np.take_along_axis(columns, order, 1), np.take_along_axis(scores, order, 1))
