"""Recall, MRR, nDCG with bootstrap intervals, and paired comparisons of two variants on the same queries.

In: `Ranked` (ranking.py). Recall@k is M-BEIR's: the share of queries with at least one relevant candidate in the top k.
Queries whose relevant candidates are not in the pool count as misses in every metric, and are counted. Ratios are 0-1.
Randomness is seeded; every interval says how many queries it rests on. Intervals and tests: resampling.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from core.analysis.retrieval.ranking import Ranked
from core.analysis.retrieval.resampling import (
    RESAMPLES,
    bootstrap_means,
    cluster_count,
    exact_sign_flip,
    sign_flip,
)
from core.errors import ShapeMismatch, UserError

Metric = Literal["recall@1", "recall@5", "recall@10", "mrr", "ndcg@10"]
METRICS: tuple[Metric, ...] = ("recall@1", "recall@5", "recall@10", "mrr", "ndcg@10")
RECALLS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a ranking is, on `queries` queries against `candidates` candidates."""

    queries: int
    queries_without_relevant: int
    """Counted as misses."""
    candidates: int
    recall: Mapping[int, float]
    """Hit rate at 1, 5, 10."""
    mrr: float
    """Mean of 1 / rank of the first relevant candidate, over the whole pool."""
    ndcg10: float
    ci95: Mapping[Metric, tuple[float, float]]
    """Percentile bootstrap, 95%, over queries; those that share an answer are drawn together."""
    ranked: Ranked

    def value(self, metric: str) -> float:
        """One of the five numbers by name."""
        return float(per_query(self.ranked, metric).mean()) if self.queries else float("nan")

    def to_json(self) -> dict[str, Any]:
        """The measured part of `evaluate --json`."""
        return {
            "queries": self.queries,
            "queries_without_relevant": self.queries_without_relevant,
            "candidates": self.candidates,
            "recall": {str(k): value for k, value in self.recall.items()},
            "mrr": self.mrr,
            "ndcg@10": self.ndcg10,
            "ci95": {name: list(interval) for name, interval in self.ci95.items()},
        }


@dataclass(frozen=True, eq=False)
class PairedDifference:
    """after - before of one metric on the same queries."""

    metric: str
    difference: float
    low: float
    """95% paired bootstrap interval; queries that share an answer are drawn together."""
    high: float
    p_value: float
    """Two-sided: the chance of a difference at least as large if the two were exchangeable query by query, or, where
    queries share an answer, cluster by cluster."""
    test: Literal["mcnemar-exact", "cluster-exact", "sign-flip"]
    n: int
    clusters: int
    """Independent pieces of evidence that the n queries are: n where none shares an answer."""
    improved: int
    """Queries on which the metric rose."""
    worsened: int


@dataclass(frozen=True, eq=False)
class Changes:
    """Query rows whose hit@k changed, ascending."""

    fixed: Int[np.ndarray, " f"]
    broken: Int[np.ndarray, " b"]


def per_query(ranked: Ranked, metric: str) -> Float[np.ndarray, " n"]:
    """The metric of every query, float64; its mean is the metric."""
    if metric not in METRICS:
        raise UserError("unknown metric", got=repr(metric), allowed=", ".join(METRICS))
    if metric == "mrr":
        has_rank = ranked.first > 0  # 0 stands for a query whose relevant candidates are not in the pool
        return np.divide(1.0, ranked.first, out=np.zeros(len(has_rank)), where=has_rank)
    if metric == "ndcg@10":
        return np.asarray(ranked.ndcg10, dtype=np.float64)
    return _hits(ranked.first, int(metric.removeprefix("recall@"))).astype(np.float64)


def evaluate(ranked: Ranked, *, resamples: int = RESAMPLES, seed: int = 0) -> Evaluation:
    """All metrics with their intervals. Without queries every number is NaN."""
    table = np.column_stack([per_query(ranked, metric) for metric in METRICS])
    n = len(table)
    means = table.mean(axis=0) if n else np.full(len(METRICS), np.nan)
    low, high = bootstrap_means(table, resamples, seed, ranked.clusters)
    values: dict[str, float] = dict(zip(METRICS, map(float, means), strict=True))
    return Evaluation(
        queries=n,
        queries_without_relevant=int(np.sum(ranked.first == 0)),
        candidates=ranked.n_candidates,
        recall={k: values[f"recall@{k}"] for k in RECALLS},
        mrr=values["mrr"],
        ndcg10=values["ndcg@10"],
        ci95={name: (float(a), float(b)) for name, a, b in zip(METRICS, low, high, strict=True)},
        ranked=ranked,
    )


def paired_difference(
    before: Evaluation | Ranked,
    after: Evaluation | Ranked,
    metric: str = "recall@1",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """after - before on the same queries: interval by paired bootstrap; p by McNemar's exact test for recall, else by
    random sign flips.

    Queries that share an answer (`Ranked.clusters`) are drawn together and change sign together; McNemar's test then
    becomes the exact test over clusters, with which it agrees where every cluster is one query.
    """
    first, second = (e.ranked if isinstance(e, Evaluation) else e for e in (before, after))
    a, b = per_query(first, metric), per_query(second, metric)
    if len(a) != len(b):
        raise ShapeMismatch(
            "cannot pair two evaluations", got=f"{len(a)} and {len(b)} queries", allowed="the same queries in both"
        )
    difference, clusters = b - a, first.clusters
    low, high = bootstrap_means(difference[:, None], resamples, seed, clusters)
    hits = metric.startswith("recall@")
    return PairedDifference(
        metric=metric,
        difference=float(difference.mean()) if len(a) else float("nan"),
        low=float(low[0]),
        high=float(high[0]),
        p_value=exact_sign_flip(difference, clusters) if hits else sign_flip(difference, seed=seed, clusters=clusters),
        test="sign-flip" if not hits else "mcnemar-exact" if clusters is None else "cluster-exact",
        n=len(a),
        clusters=cluster_count(len(a), clusters),
        improved=int(np.sum(difference > 0)),
        worsened=int(np.sum(difference < 0)),
    )


def safe_from(sizes: Sequence[int], low_bounds: Sequence[float]) -> int | None:
    """The smallest size from which on every lower bound, its own and those of all larger sizes, is above 0; None where
    the last is not.

    `sizes` ascend; `low_bounds`: lower 95% bounds of a paired gain, unknown (NaN) is not safe.
    """
    if list(sizes) != sorted(set(sizes)):
        raise UserError("sizes do not ascend", got=list(sizes), allowed="each size once, the smallest first")
    safe: int | None = None
    for size, low in zip(reversed(sizes), reversed(low_bounds), strict=True):
        if not low > 0:
            break
        safe = size
    return safe


def fixed_and_broken(before: Int[np.ndarray, " n"], after: Int[np.ndarray, " n"], k: int = 1) -> Changes:
    """Queries that `after` gets right in the top k and `before` did not, and the reverse. Ranks as `Ranked.first` (0 =
    none)."""
    was, now = _hits(before, k), _hits(after, k)
    return Changes(np.flatnonzero(now & ~was), np.flatnonzero(was & ~now))


def _hits(first: Int[np.ndarray, " n"], k: int) -> np.ndarray:
    return (first > 0) & (first <= k)


def recall_by_chance(relevant: Int[np.ndarray, " n"], n_candidates: int, k: int = 1) -> float:
    """Expected recall@k of a random ranking, 0-1: the mean over queries of 1 - C(N - r, k) / C(N, k), the chance that
    at least one of a query's r relevant candidates is among k drawn without replacement from N.

    `relevant`: (n,) relevant candidates in the pool per query. NaN without queries or candidates.
    """
    if not len(relevant) or not n_candidates:
        return float("nan")
    missed = np.ones(len(relevant))
    for drawn in range(min(k, n_candidates)):
        missed *= np.clip(n_candidates - relevant - drawn, 0, None) / (n_candidates - drawn)
    return float(np.mean(1 - missed))
