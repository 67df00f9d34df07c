"""Recall, MRR, nDCG with bootstrap intervals, and paired comparisons of two variants on the same queries.

In: `Ranked` (ranking.py). Recall@k is M-BEIR's: the share of queries with at least one relevant candidate in the top k.
Queries whose relevant candidates are not in the pool count as misses in every metric, and are counted. Ratios are 0-1.
Randomness is seeded; every interval says how many queries it rests on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binomtest

from core.analysis.retrieval.ranking import Ranked
from core.errors import ShapeMismatch, UserError

Metric = Literal["recall@1", "recall@5", "recall@10", "mrr", "ndcg@10"]
METRICS: tuple[Metric, ...] = ("recall@1", "recall@5", "recall@10", "mrr", "ndcg@10")
RECALLS = (1, 5, 10)
RESAMPLES = 2000
PERMUTATIONS = 10_000
_BLOCK = 1 << 22


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
    """Percentile bootstrap over queries, 95%."""
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
    """95% paired bootstrap interval."""
    high: float
    p_value: float
    """Two-sided: the chance of a difference at least as large if the two were exchangeable query by query."""
    test: Literal["mcnemar-exact", "sign-flip"]
    n: int
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
    found = ranked.first > 0
    if metric == "mrr":
        return np.divide(1.0, ranked.first, out=np.zeros(len(found)), where=found)
    if metric == "ndcg@10":
        return np.asarray(ranked.ndcg10, dtype=np.float64)
    return _hits(ranked.first, int(metric.removeprefix("recall@"))).astype(np.float64)


def evaluate(ranked: Ranked, *, resamples: int = RESAMPLES, seed: int = 0) -> Evaluation:
    """All metrics with their intervals. Without queries every number is NaN."""
    table = np.column_stack([per_query(ranked, metric) for metric in METRICS])
    n = len(table)
    means = table.mean(axis=0) if n else np.full(len(METRICS), np.nan)
    low, high = bootstrap_means(table, resamples, seed)
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


def bootstrap_means(
    table: Float[np.ndarray, "n m"], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """2.5 and 97.5 percentiles of the column means over resampled rows (n with replacement, the same for all columns).
    NaN for n = 0."""
    n, m = table.shape
    if not n:
        return np.full(m, np.nan), np.full(m, np.nan)
    rng, means = np.random.default_rng(seed), np.empty((resamples, m))
    step = max(1, _BLOCK // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        means[start : start + size] = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n) @ table / n
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return low, high


def paired_difference(
    before: Evaluation | Ranked,
    after: Evaluation | Ranked,
    metric: str = "recall@1",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedDifference:
    """after - before on the same queries: interval by paired bootstrap; p by McNemar's exact test for recall, else by
    random sign flips."""
    a, b = (per_query(e.ranked if isinstance(e, Evaluation) else e, metric) for e in (before, after))
    if len(a) != len(b):
        raise ShapeMismatch(
            "cannot pair two evaluations", got=f"{len(a)} and {len(b)} queries", allowed="the same queries in both"
        )
    difference = b - a
    low, high = bootstrap_means(difference[:, None], resamples, seed)
    improved, worsened = int(np.sum(difference > 0)), int(np.sum(difference < 0))
    hits = metric.startswith("recall@")
    p = mcnemar_exact(improved, worsened) if hits else sign_flip(difference, seed=seed)
    mean = float(difference.mean()) if len(a) else float("nan")
    test: Literal["mcnemar-exact", "sign-flip"] = "mcnemar-exact" if hits else "sign-flip"
    return PairedDifference(metric, mean, float(low[0]), float(high[0]), p, test, len(a), improved, worsened)


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


def mcnemar_exact(improved: int, worsened: int) -> float:
    """Two-sided exact binomial test that a changed query is as likely to improve as to worsen. 1 if none changed."""
    changed = improved + worsened
    return float(binomtest(improved, changed, 0.5).pvalue) if changed else 1.0


def sign_flip(differences: Float[np.ndarray, " n"], permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Two-sided randomisation test of mean 0: (1 + #{|flipped sum| >= |sum|}) / (1 + permutations). 1 if all are 0."""
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    rng, extreme, observed = np.random.default_rng(seed), 0, abs(float(changed.sum()))
    step = max(1, _BLOCK // len(changed))
    for start in range(0, permutations, step):
        signs = rng.integers(2, size=(min(step, permutations - start), len(changed)), dtype=np.int8)
        sums = 2 * (signs @ changed) - changed.sum()
        extreme += int(np.sum(np.abs(sums) >= observed * (1 - 1e-12)))
    return (1 + extreme) / (1 + permutations)


def fixed_and_broken(before: Int[np.ndarray, " n"], after: Int[np.ndarray, " n"], k: int = 1) -> Changes:
    """Queries that `after` gets right in the top k and `before` did not, and the reverse. Ranks as `Ranked.first` (0 =
    none)."""
    was, now = _hits(before, k), _hits(after, k)
    return Changes(np.flatnonzero(now & ~was), np.flatnonzero(was & ~now))


def _hits(first: Int[np.ndarray, " n"], k: int) -> np.ndarray:
    return (first > 0) & (first <= k)
