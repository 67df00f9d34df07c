"""Have the queries moved away from those that statistics were fitted on?

In: unit rows (n, d). The figure is the squared distance of two means in units of what sampling alone gives:

    D = ||mean_a - mean_b||^2 / (tr(S) (1 / n_a + 1 / n_b))        S: covariance of the rows of the fit

Without drift its expectation is 1, whatever d, n and the spectrum of S: E||mean_a - mean_b||^2 = tr(S) (1/n_a + 1/n_b).
So it is the shift of the mean in units of its standard error, squared. No covariance is inverted, unlike in Hotelling's
T^2, so rows may be fewer than dimensions (the idea of Bai & Saranadasa 1996; the figure and its limit are ours). How
far above 1 chance takes it hangs on S and on rows that belong together: it is measured, on random halves of the rows of
the fit. Knows nothing of models or variants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from core.analysis.retrieval.resampling import Clusters, cluster_count

SPLITS = 500
QUANTILE = 0.99
"""Of the halves: the figure is above the limit in 1 of 100 batches that have not drifted."""


@dataclass(frozen=True, eq=False)
class DriftRecord:
    """What it takes to measure the drift of new queries, and the figure at which to fit again."""

    mean: Float[np.ndarray, " d"]
    """Of the unit rows of the fit."""
    variance: float
    """tr(S), N - 1."""
    n: int
    """Rows of the fit."""
    limit: float
    """D that random halves of the fit's own rows exceed in 1 of 100 splits. NaN for fewer than 4 clusters."""


def drift_between(
    mean: Float[np.ndarray, " d"], other: Float[np.ndarray, " d"], variance: float, n: int, m: int
) -> float:
    """D of two means of n and m rows; >= 0, 1 in expectation without drift; NaN where no row differs from another."""
    moved = float(np.sum((np.asarray(mean, np.float64) - other) ** 2))
    return moved / (variance * (1 / n + 1 / m)) if variance > 0 else float("nan")


def fit_drift(
    rows: Float[np.ndarray, "n d"], clusters: Clusters = None, splits: int = SPLITS, seed: int = 0
) -> DriftRecord:
    """Mean, variance and limit of unit rows; float64. Rows of one cluster stay in one half."""
    x = np.asarray(rows, dtype=np.float64)
    n, groups = len(x), cluster_count(len(x), clusters)
    mean = x.mean(axis=0)
    centred = x - mean
    variance = float(np.sum(centred**2) / max(1, n - 1))
    if groups < 4 or not variance:
        return DriftRecord(mean, variance, n, float("nan"))
    halves = random_halves(n, clusters, splits, seed)
    sizes = halves.sum(axis=1)
    # Sums of the centred rows of one half; those of the other are their negatives.
    sums = halves.astype(np.float64) @ centred
    moved = np.sum((sums / sizes[:, None] + sums / (n - sizes)[:, None]) ** 2, axis=1)
    figures = moved / (variance * (1 / sizes + 1 / (n - sizes)))
    return DriftRecord(mean, variance, n, float(np.quantile(figures, QUANTILE)))


def random_halves(n: int, clusters: Clusters, splits: int, seed: int) -> Bool[np.ndarray, "splits n"]:
    """Which rows are in the first half, per split: half of the clusters, none of them torn."""
    groups = cluster_count(n, clusters)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(groups), (splits, 1)), axis=1)
    chosen = np.zeros((splits, groups), dtype=bool)
    np.put_along_axis(chosen, order[:, : groups // 2], True, axis=1)
    return chosen if clusters is None else chosen[:, clusters]
