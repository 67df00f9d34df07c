"""One query's ranking: who stands where, under one variant or under two side by side.

In: similarities (n_candidates,) of one query. Out: records and tables of the best candidates. Knows nothing of how the
similarities were made: a stored query and a typed one are ranked alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.questions.answers import item_frame
from core.run import Run


@dataclass(frozen=True, eq=False)
class Rankings:
    """The top candidates of one query before and after: rank, row, id, modality, text, similarity, relevant,
    rank_other."""

    before: pd.DataFrame
    after: pd.DataFrame


@dataclass(frozen=True)
class Place:
    """Where one candidate stands in a query's ranking; rank 1 is best, equal scores by candidate order."""

    row: int
    rank: int
    similarity: float
    relevant: bool


@dataclass(frozen=True)
class Contest:
    """The best-ranked relevant candidate of a query and the best-ranked one that is not; None where the pool holds no
    such candidate."""

    right: Place | None
    wrong: Place | None


def side_by_side(run: Run, before: np.ndarray, after: np.ndarray, relevant: set[int], top: int = 10) -> Rankings:
    """Two similarities (n_candidates,) of one query as two rankings; `relevant`: candidate rows."""
    first, second = ranks_of(before), ranks_of(after)
    return Rankings(
        _ranking(run, before, first, second, relevant, top), _ranking(run, after, second, first, relevant, top)
    )


def ranks_of(similarity: np.ndarray) -> np.ndarray:
    """Rank of every candidate, 1 = best; equal scores by candidate order."""
    ranks = np.empty(len(similarity), dtype=np.int64)
    ranks[np.argsort(-similarity, kind="stable")] = np.arange(1, len(similarity) + 1)
    return ranks


def place_of(similarity: np.ndarray, ranks: np.ndarray, row: int, relevant: set[int]) -> Place:
    """Where one candidate row stands."""
    return Place(row, int(ranks[row]), float(similarity[row]), row in relevant)


def _ranking(
    run: Run, similarity: np.ndarray, mine: np.ndarray, other: np.ndarray, relevant: set[int], top: int
) -> pd.DataFrame:
    rows = np.argsort(mine)[:top]
    frame = item_frame(run, "candidates", rows)
    frame.insert(0, "rank", mine[rows])
    return frame.assign(
        similarity=similarity[rows].astype(float), relevant=[int(r) in relevant for r in rows], rank_other=other[rows]
    )
