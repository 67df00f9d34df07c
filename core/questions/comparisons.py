"""Rows of a comparison: recall with its interval, paired gains over baselines with their tests, p-values corrected for
many tests.

A setting is one or several rankings of the same queries (`Draws`: several seeds of a random control); its value for a
query is the mean over its draws. Intervals are 95% bootstrap over queries. p: McNemar's exact test between single
rankings, else random sign flips. Queries that share an answer are drawn and flipped together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.retrieval.resampling import bootstrap_means, exact_sign_flip, sign_flip
from core.analysis.variants import FitData, FittedVariant, VariantSpec, apply_variant, fit_variant
from core.analysis.variants.options import STATISTICS
from core.questions.answers import fit_data, variant_of
from core.run import Run

Draws = Sequence[science.Ranked]
RECALLS = ("recall@1", "recall@5", "recall@10")
FLIPS = 2000
"""Sign flips of a test against the mean of several draws: the smallest p it can give is 1 / 2001."""


def rank_under(
    run: Run, variant: str | VariantSpec, data: FitData | None = None
) -> tuple[science.Ranked, FittedVariant]:
    """The test queries ranked under a variant fitted now, on the run's own data or on `data`; nothing is kept."""
    data = fit_data(run) if data is None else data
    fitted = fit_variant(variant_of(run, variant), data)
    both = apply_variant(fitted, data)
    return science.rank_relevant(both.queries, both.candidates, run.qrels("test").pairs), fitted


def statistics_words(run: Run, variant: str | VariantSpec) -> str:
    """Whose rows the affine steps of a variant are fitted on, in words; "nothing" where it has none."""
    chosen = [str(dict(step.options)["statistics"]) for step in variant_of(run, variant).of_stage("affine")]
    return "; ".join(dict.fromkeys(STATISTICS[name] for name in chosen)) or "nothing"


def compared(after: Draws, baselines: Mapping[str, Draws], metric: str = "recall@1") -> dict[str, Any]:
    """One wide row: recall@k, recall@k_low, recall@k_high of `after`; per baseline the columns of `by_metric`;
    queries."""
    rows = {row["metric"]: row for row in by_metric(after, baselines, tuple(dict.fromkeys((*RECALLS, metric))))}
    wide: dict[str, Any] = {}
    for recall in RECALLS:
        wide |= {
            recall: rows[recall]["value"],
            f"{recall}_low": rows[recall]["low"],
            f"{recall}_high": rows[recall]["high"],
        }
    gains = {key: rows[metric][key] for name in baselines for key in (name, f"{name}_low", f"{name}_high", f"{name}_p")}
    return wide | gains | {"queries": len(after[0].first)}


def by_metric(after: Draws, baselines: Mapping[str, Draws], metrics: Sequence[str] = RECALLS) -> list[dict[str, Any]]:
    """One row per metric: metric, value, low, high, and per baseline the paired difference `name`, `name_low`,
    `name_high`, `name_p`."""
    rows = []
    values = {metric: _mean(after, metric) for metric in metrics}
    differences = {
        (metric, name): values[metric] - _mean(draws, metric) for metric in metrics for name, draws in baselines.items()
    }
    columns = [*values.values(), *differences.values()]
    clusters = after[0].clusters
    lows, highs = bootstrap_means(np.column_stack(columns), clusters=clusters)
    at = {key: i for i, key in enumerate([*values, *differences])}
    for metric in metrics:
        row: dict[str, Any] = {"metric": metric, "value": float(values[metric].mean())}
        row |= {"low": float(lows[at[metric]]), "high": float(highs[at[metric]])}
        for name, draws in baselines.items():
            i, difference = at[metric, name], differences[metric, name]
            row |= {name: float(difference.mean()), f"{name}_low": float(lows[i]), f"{name}_high": float(highs[i])}
            row[f"{name}_p"] = _p_value(difference, len(draws) == len(after) == 1 and metric in RECALLS, clusters)
        rows.append(row)
    return rows


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
    return sign_flip(difference, permutations=FLIPS, clusters=clusters)
