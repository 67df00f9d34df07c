"""Rows of a comparison: recall with its interval, paired gains over baselines with their tests, p-values corrected for
many tests.

A setting is one or several rankings of the same queries (`Draws`: several seeds of a random control); its value for a
query is the mean over its draws. Intervals are 95% bootstrap over queries. p: McNemar's exact test between single
rankings, else random sign flips. Queries that share an answer are drawn and flipped together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.retrieval.resampling import bootstrap_means, exact_sign_flip, sign_flip
from core.analysis.variants import FitData, FittedVariant, VariantSpec, fit_variant
from core.analysis.variants.options import STATISTICS
from core.questions.answers import fit_data, variant_of
from core.questions.inside import under
from core.run import Run
from core.waiting import checkpoint

Draws = Sequence[science.Ranked]
RANKING_BYTES = 2**27
"""Of one block of scores with what finds the best of them."""
RECALLS = ("recall@1", "recall@5", "recall@10")


def rank_under(
    run: Run, variant: str | VariantSpec, data: FitData | None = None
) -> tuple[science.Ranked, FittedVariant]:
    """The test queries ranked under a variant fitted now, on the run's own data or on `data`; nothing is kept."""
    checkpoint()
    spec = variant_of(run, variant)
    data = fit_data(under(run, spec)) if data is None else data
    fitted = fit_variant(spec, data)
    return science.rank_variant(fitted, data, run.qrels("test").pairs), fitted


def ranking_bytes(run: Run) -> int:
    """Memory that `rank_under` takes: both sides transformed, with a block of them in float64."""
    rows = sum(run.embeddings(part).size for part in ("queries", "candidates"))
    return 2 * rows * np.dtype(np.float32).itemsize + RANKING_BYTES


def statistics_words(run: Run, variant: str | VariantSpec) -> str:
    """Whose rows the affine steps of a variant are fitted on, in words; "nothing" where it has none."""
    chosen = [str(dict(step.options)["statistics"]) for step in variant_of(run, variant).of_stage("affine")]
    return "; ".join(dict.fromkeys(STATISTICS[name] for name in chosen)) or "nothing"


@dataclass(frozen=True)
class Estimate:
    """A mean over queries with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RecallRow:
    """Recall@1, @5 and @10 of one setting, and what they rest on. Columns: recall@1, recall@1_low, recall@1_high, ...,
    queries, candidates."""

    recalls: Mapping[str, Estimate]
    queries: int
    candidates: int

    @classmethod
    def of(cls, draws: Draws) -> RecallRow:
        """Of one ranking, or of the mean over several draws, query by query."""
        return cls(_estimates(draws, {}, RECALLS)[0], len(draws[0].first), draws[0].n_candidates)

    @classmethod
    def of_evaluation(cls, evaluated: science.Evaluation) -> RecallRow:
        """Of an evaluation, whose intervals are computed already."""
        estimates = {f"recall@{k}": Estimate(value, *_ends(evaluated, k)) for k, value in evaluated.recall.items()}
        return cls(estimates, evaluated.queries, evaluated.candidates)

    def columns(self) -> dict[str, Any]:
        """The row as columns of a table."""
        sizes = {"queries": self.queries, "candidates": self.candidates}
        return {
            f"{name}{end}": value
            for name, estimate in self.recalls.items()
            for end, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
        } | sizes


@dataclass(frozen=True)
class PairedGain:
    """after - before on the same queries. Columns: NAME, NAME_low, NAME_high, NAME_p."""

    difference: float
    low: float
    """95% interval, paired by query."""
    high: float
    p_value: float

    @classmethod
    def between(cls, before: Draws, after: Draws, metric: str) -> PairedGain:
        """Of rankings or means over draws; an exact test between single rankings' recalls, else sign flips."""
        return _estimates(after, {"gain": before}, (metric,))[1][metric, "gain"]

    @classmethod
    def nothing(cls) -> PairedGain:
        """A setting against itself."""
        return cls(np.nan, np.nan, np.nan, np.nan)

    def columns(self, name: str = "gain") -> dict[str, float]:
        """The difference as columns of a table."""
        return {name: self.difference, f"{name}_low": self.low, f"{name}_high": self.high, f"{name}_p": self.p_value}


def _ends(evaluated: science.Evaluation, k: int) -> tuple[float, float]:
    return next(ends for name, ends in evaluated.ci95.items() if name == f"recall@{k}")


def compared(after: Draws, baselines: Mapping[str, Draws], metric: str = "recall@1") -> dict[str, Any]:
    """One wide row: the recalls of `after` (`RecallRow`, without candidates), its gain over each baseline
    (`PairedGain`), queries."""
    recalls, gains = _estimates(after, baselines, tuple(dict.fromkeys((*RECALLS, metric))))
    queries = len(after[0].first)
    row = RecallRow({recall: recalls[recall] for recall in RECALLS}, queries, after[0].n_candidates).columns()
    del row["queries"], row["candidates"]
    for name in baselines:
        row |= gains[metric, name].columns(name)
    return row | {"queries": queries}


def by_metric(after: Draws, baselines: Mapping[str, Draws], metrics: Sequence[str] = RECALLS) -> list[dict[str, Any]]:
    """One row per metric: metric, value, low, high, and per baseline the columns of a `PairedGain`."""
    values, gains = _estimates(after, baselines, metrics)
    rows = []
    for metric, estimate in values.items():
        row: dict[str, Any] = {"metric": metric, "value": estimate.value, "low": estimate.low, "high": estimate.high}
        for name in baselines:
            row |= gains[metric, name].columns(name)
        rows.append(row)
    return rows


def _estimates(
    after: Draws, baselines: Mapping[str, Draws], metrics: Sequence[str]
) -> tuple[dict[str, Estimate], dict[tuple[str, str], PairedGain]]:
    """Every metric, and its gain over every baseline, from one bootstrap that all of them share."""
    values = {metric: _mean(after, metric) for metric in metrics}
    differences = {
        (metric, name): values[metric] - _mean(draws, metric) for metric in metrics for name, draws in baselines.items()
    }
    clusters = after[0].clusters
    lows, highs = bootstrap_means(np.column_stack([*values.values(), *differences.values()]), clusters=clusters)
    means = [float(column.mean()) for column in values.values()]
    estimates = {m: Estimate(means[i], float(lows[i]), float(highs[i])) for i, m in enumerate(values)}
    gains = {}
    for i, ((metric, name), difference) in enumerate(differences.items(), start=len(values)):
        single = len(baselines[name]) == len(after) == 1 and metric in RECALLS
        p = _p_value(difference, single, clusters)
        gains[metric, name] = PairedGain(float(difference.mean()), float(lows[i]), float(highs[i]), p)
    return estimates, gains


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction: the i-th smallest of m p-values times (m - i + 1), never below a smaller one, at
    most 1.

    NaN (no test) stays NaN and does not count (Holm 1979).
    """
    given = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    corrected = np.full(len(given), np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * np.arange(len(order), 0, -1)))
    return corrected


def benjamini_hochberg(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The false discovery rate at which each of m tests would be named: the i-th smallest p times m / i, never above
    a larger one's (Benjamini & Hochberg 1995). NaN (no test) stays NaN and does not count."""
    given = np.asarray(p_values, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(given))
    order = tested[np.argsort(given[tested], kind="stable")]
    rates = given[order] * len(order) / np.arange(1, len(order) + 1)
    corrected = np.full(len(given), np.nan)
    corrected[order] = np.minimum(1.0, np.minimum.accumulate(rates[::-1])[::-1])
    return corrected


def tidy(rows: Sequence[Mapping[str, Any]], **attrs: Any) -> pd.DataFrame:
    """A table of rows with attributes that are kept in the cache."""
    table = pd.DataFrame(list(rows))
    table.attrs = dict(attrs)
    return table


def _mean(draws: Draws, metric: str) -> np.ndarray:
    return np.mean([science.per_query(ranked, metric) for ranked in draws], axis=0)


def _p_value(difference: np.ndarray, single: bool, clusters: np.ndarray | None) -> float:
    if single:
        return exact_sign_flip(difference, clusters)
    return sign_flip(difference, clusters=clusters)
