"""Hit rate, recall, nDCG, MAP, MRR and precision as mteb computes and names them: `ndcg_at_10`, `recall_at_5`.

In: the ranking of every query to depth 1000, and the grades of its relevant candidates. mteb scores with trec_eval
(`pytrec_eval`), so these are trec_eval's definitions; r is the number of relevant candidates (grade > 0) that the qrels
name, also of those that are not in the pool, and g_i the grade at place i, 0 where irrelevant:
- hit_rate: 1 where any of the first k is relevant. recall: relevant among the first k, over r. precision: over k.
- ndcg: sum_{i <= k} g_i / log2(i + 1), over the same sum of the best possible order of all r grades.
- map: sum over relevant places i <= k of precision at i, over r. mrr: 1 / first relevant place, 0 beyond k.
Equal scores rank by id, the last in byte order first, as trec_eval and mteb do; all other rankings of this project go
by candidate order. A query without relevant candidates counts 0 in every mean. Ratios 0-1, float64; nothing is rounded,
while mteb rounds all but mrr to five digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.retrieval.ranking import rank_top_k

DEPTHS = (1, 3, 5, 10, 20, 100, 1000)
"""The k of mteb's retrieval tasks; the last is how deep it ranks."""
MEASURES = ("hit_rate", "recall", "ndcg", "map", "mrr", "precision")
NOBODY = -1
"""Stands in a ranking where a candidate was taken out, or the pool has no more."""


@dataclass(frozen=True, eq=False)
class Grades:
    """What the qrels say, relevant candidates only (grade > 0).

    `pairs` are rows (query, candidate), each once; `absent_rows` and `absent` stand for relevant candidates that are
    named and not in the pool.
    """

    pairs: Int[np.ndarray, "p 2"]
    grades: Float[np.ndarray, " p"]
    absent_rows: Int[np.ndarray, " a"]
    absent: Float[np.ndarray, " a"]


def leaderboard_ranking(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    query_ids: Sequence[str],
    candidate_ids: Sequence[str],
    *,
    ignore_identical_ids: bool = False,
    skip_first_result: bool = False,
) -> Int[np.ndarray, "n k"]:
    """Candidate rows of the first 1000 of every query by dot product of unit rows, equal scores by descending id.

    Args:
        ignore_identical_ids: take out the candidate whose id is the query's. skip_first_result: then take out the
            first of what is left. Both after the 1000 were found, as mteb does; `NOBODY` fills up the end.

    Scores are float64 products rounded to float32. mteb multiplies in float32: two scores closer than that rounding
    may stand the other way round there, and of candidates tied at place 1000 it keeps any.
    """
    rows = rank_top_k(queries, candidates, DEPTHS[-1], ties=places_by_id(candidate_ids)).candidates
    if ignore_identical_ids:
        same = {name: row for row, name in enumerate(candidate_ids)}
        own = np.array([same.get(name, NOBODY) for name in query_ids], dtype=np.int64)
        rows = np.where(rows == own[:, None], NOBODY, rows)
        # A stable sort of "taken out or not" closes the gap and keeps the order.
        rows = np.take_along_axis(rows, np.argsort(rows == NOBODY, axis=1, kind="stable"), axis=1)
    if skip_first_result:
        rows = np.hstack([rows[:, 1:], np.full((len(rows), 1), NOBODY)])
    return rows


def places_by_id(ids: Sequence[str]) -> Int[np.ndarray, " m"]:
    """Each candidate's place among candidates of equal score: the last id in byte order first."""
    places = np.empty(len(ids), dtype=np.int64)
    # Python orders characters as UTF-8 orders their bytes.
    places[sorted(range(len(ids)), key=lambda row: ids[row], reverse=True)] = np.arange(len(ids))
    return places


def leaderboard_scores(rows: Int[np.ndarray, "n k"], qrels: Grades) -> Mapping[str, np.ndarray]:
    """Measure -> (n, len(DEPTHS)) float64, the value of every query at every depth; `MEASURES` in their order."""
    n, width = rows.shape
    graded = np.zeros((n, width))
    m = max(int(rows.max(initial=0)), int(qrels.pairs[:, 1].max(initial=0))) + 1
    keys = qrels.pairs[:, 0] * m + qrels.pairs[:, 1]
    order = np.argsort(keys)
    places = np.minimum(np.searchsorted(keys[order], here := np.arange(n)[:, None] * m + rows), max(len(keys) - 1, 0))
    if len(keys):
        hit = (keys[order][places] == here) & (rows != NOBODY)
        graded[hit] = qrels.grades[order][places][hit]
    relevant = graded > 0
    total = np.bincount(qrels.pairs[:, 0], minlength=n) + np.bincount(qrels.absent_rows, minlength=n)
    discounts = 1 / np.log2(np.arange(2, width + 2))
    within = np.cumsum(relevant, axis=1)
    precision = within / np.arange(1, width + 1)
    gained, averaged = np.cumsum(graded * discounts, axis=1), np.cumsum(precision * relevant, axis=1)
    reciprocal = np.cumsum(np.where(relevant & (within == 1), 1 / np.arange(1, width + 1), 0.0), axis=1)
    ideal = _ideal(qrels, n)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in MEASURES}
    for at, depth in enumerate(DEPTHS):
        last = min(depth, width) - 1  # a pool of fewer candidates ends earlier
        columns["hit_rate"].append((within[:, last] > 0).astype(np.float64))
        columns["recall"].append(_share(within[:, last], total))
        columns["ndcg"].append(_share(gained[:, last], ideal[:, at]))
        columns["map"].append(_share(averaged[:, last], total))
        columns["mrr"].append(reciprocal[:, last])
        columns["precision"].append(within[:, last] / depth)
    return {name: np.column_stack(values) for name, values in columns.items()}


def _ideal(qrels: Grades, n: int) -> Float[np.ndarray, "n depths"]:
    """The discounted sum of every query's grades in the best order, at every depth; 0 without relevant candidates."""
    rows = np.concatenate([qrels.pairs[:, 0], qrels.absent_rows])
    grades = np.concatenate([qrels.grades, qrels.absent])
    order = np.lexsort((-grades, rows))
    rows, grades = rows[order], grades[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)  # within its query, 0 = best
    gains = grades / np.log2(place + 2)
    return np.column_stack([np.bincount(rows, np.where(place < k, gains, 0.0), minlength=n) for k in DEPTHS])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
