"""Intervals and tests over queries, where queries that share an answer are one piece of evidence.

In: a number per query (n,), or several (n, m). Queries of one cluster are resampled together and change sign together;
with clusters of one query each every number is that of independent queries. Seeded; float64.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import binom, binomtest, norm

from core.waiting import checkpoint

RESAMPLES = 2000
PERMUTATIONS = 10_000
LEVEL = 0.05
"""Two-sided level of tests and intervals."""
POWER = 0.8
_BLOCK = 1 << 22
Clusters = Int[np.ndarray, " n"] | None
"""A number per query; queries of the same number belong together. None: each stands alone."""


def shared_answers(pairs: Int[np.ndarray, "p 2"], n: int) -> Clusters:
    """Clusters of n queries that share a relevant candidate, directly or by others in between; None where none do.

    `pairs` are rows (query, candidate). Clusters are numbered by their first query.
    """
    if not len(pairs):
        return None
    candidates = int(pairs[:, 1].max()) + 1
    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, candidates))
    rows, columns = edges.coords
    both = coo_array((edges.data, (rows, n + columns)), shape=(n + candidates, n + candidates))
    labels = connected_components(both, directed=False)[1][:n]
    _, first, cluster = np.unique(labels, return_index=True, return_inverse=True)
    if len(first) == n:
        return None
    # Numbered by first appearance, so that the numbers do not depend on how scipy labels its components.
    return np.argsort(np.argsort(first))[cluster].astype(np.int64)


def cluster_count(n: int, clusters: Clusters) -> int:
    """How many independent pieces n queries are."""
    return n if clusters is None else int(clusters.max()) + 1 if n else 0


def cluster_sums(values: Float[np.ndarray, "n m"], clusters: Clusters) -> Float[np.ndarray, "g m"]:
    """Sum of each column over every cluster."""
    if clusters is None:
        return values
    sums = np.zeros((cluster_count(len(values), clusters), values.shape[1]))
    np.add.at(sums, clusters, values)
    return sums


def bootstrap_means(
    table: Float[np.ndarray, "n m"], resamples: int = RESAMPLES, seed: int = 0, clusters: Clusters = None
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """2.5 and 97.5 percentiles of the column means over resampled clusters; see `resampled_means`.

    NaN where there are fewer than two clusters: one piece of evidence has no spread. A single query is its own
    interval.
    """
    n, m = table.shape
    if not n or (clusters is not None and cluster_count(n, clusters) < 2):
        return np.full(m, np.nan), np.full(m, np.nan)
    low, high = np.percentile(resampled_means(table, resamples, seed, clusters), [2.5, 97.5], axis=0)
    return low, high


def resampled_means(
    table: Float[np.ndarray, "n m"], resamples: int = RESAMPLES, seed: int = 0, clusters: Clusters = None
) -> Float[np.ndarray, "resamples m"]:
    """Column means of `resamples` redraws of the clusters (g with replacement, the same for all columns).

    The mean of a resample is over the queries in it, so that large clusters weigh by their size.
    """
    n, m = table.shape
    groups = cluster_count(n, clusters)
    sums = cluster_sums(table, clusters)
    sizes = None if clusters is None else np.bincount(clusters, minlength=groups).astype(np.float64)
    rng, means = np.random.default_rng(seed), np.empty((resamples, m))
    step = max(1, _BLOCK // groups)
    for start in range(0, resamples, step):
        checkpoint()
        size = min(step, resamples - start)
        # Each resample gets a range of numbers of its own, so that one bincount counts all of them.
        drawn = rng.integers(groups, size=(size, groups)) + groups * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups)
        queries = n if sizes is None else (counts @ sizes)[:, None]
        means[start : start + size] = counts @ sums / queries
    return means


def mcnemar_exact(improved: int, worsened: int) -> float:
    """Two-sided exact binomial test that a changed query is as likely to improve as to worsen. 1 if none changed."""
    changed = improved + worsened
    return float(binomtest(improved, changed, 0.5).pvalue) if changed else 1.0


def exact_sign_flip(differences: Float[np.ndarray, " n"], clusters: Clusters = None) -> float:
    """Two-sided exact test of whole differences: the chance of a sum at least as far from 0 when each cluster's sum is
    as likely to have the other sign.

    With clusters of one query and differences of -1, 0 and 1 it is McNemar's exact test. The distribution of the sum is
    the convolution of those of each magnitude. 1 if nothing changed.
    """
    sums = cluster_sums(np.asarray(differences, dtype=np.float64)[:, None], clusters)[:, 0]
    sums = np.rint(sums[sums != 0]).astype(np.int64)
    if not len(sums):
        return 1.0
    magnitudes, counts = np.unique(np.abs(sums), return_counts=True)
    if len(magnitudes) == 1:
        return mcnemar_exact(int(np.sum(sums > 0)), int(np.sum(sums < 0)))
    chances = np.ones(1)  # of each number of flipped units, 0 to sum |d|
    for magnitude, count in zip(magnitudes.tolist(), counts.tolist(), strict=True):
        one = np.zeros(magnitude * count + 1)
        one[::magnitude] = binom.pmf(np.arange(count + 1), count, 0.5)
        # Direct where affordable: it keeps the far tails, which the Fourier transform loses in rounding.
        if len(chances) * len(one) <= 1 << 28:
            chances = np.convolve(chances, one)
        else:
            from scipy.signal import fftconvolve  # a second to import, and rarely needed

            chances = np.clip(fftconvolve(chances, one), 0, None)
    total, observed = int(np.abs(sums).sum()), abs(int(sums.sum()))
    far = np.abs(2 * np.arange(total + 1) - total) >= observed
    return float(min(1.0, chances[far].sum()))


def sign_flip(
    differences: Float[np.ndarray, " n"], permutations: int = PERMUTATIONS, seed: int = 0, clusters: Clusters = None
) -> float:
    """Two-sided test of mean 0 by random sign flips of clusters: (1 + #{|flipped sum| >= |sum|}) / (1 + permutations).

    1 if all are 0.
    """
    sums = cluster_sums(np.asarray(differences, dtype=np.float64)[:, None], clusters)[:, 0]
    changed = sums[sums != 0]
    if not len(changed):
        return 1.0
    rng, extreme, observed = np.random.default_rng(seed), 0, abs(float(changed.sum()))
    step = max(1, _BLOCK // len(changed))
    for start in range(0, permutations, step):
        checkpoint()
        signs = rng.integers(2, size=(min(step, permutations - start), len(changed)), dtype=np.int8)
        flipped = 2 * (signs @ changed) - changed.sum()
        # Rounding must not let a flip that equals the observed sum count as smaller.
        extreme += int(np.sum(np.abs(flipped) >= observed * (1 - 1e-12)))
    return (1 + extreme) / (1 + permutations)


def max_t(
    differences: Float[np.ndarray, "n m"], permutations: int = PERMUTATIONS, seed: int = 0, clusters: Clusters = None
) -> Float[np.ndarray, " m"]:
    """p of each of m differences to one baseline, corrected for having looked at all of them (Westfall-Young, single
    step).

    Statistic |sum| / sqrt(sum of squares) over clusters; each flip turns all m of a cluster at once, so that equal or
    nearly equal settings cost nothing. With one column it is a two-sided sign-flip test. 1 for a column of zeros.
    """
    sums = cluster_sums(np.asarray(differences, dtype=np.float64), clusters)
    scale = np.sqrt((sums**2).sum(axis=0))
    t = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    observed = np.abs(t.sum(axis=0))
    rng, reached = np.random.default_rng(seed), np.zeros(t.shape[1])
    step = max(1, _BLOCK // max(1, len(t)))
    for start in range(0, permutations, step):
        checkpoint()
        signs = 2.0 * rng.integers(2, size=(min(step, permutations - start), len(t)), dtype=np.int8) - 1
        most = np.abs(signs @ t).max(axis=1)
        reached += (most[:, None] >= observed * (1 - 1e-12)).sum(axis=0)
    return np.where(scale > 0, (1 + reached) / (1 + permutations), 1.0)


def smallest_difference(error: float, n: int | None = None) -> float:
    """The smallest true difference that a two-sided 5% test shows in 80% of samples of this size, 0-1.

    (z_0.975 + z_0.8) standard errors: 2.80 `error`. Where hardly a query changes, that error is too small. So the
    result is at least the share of n queries that must change, all one way, for an exact test to see it with that power
    (six at least: 2 / 2^6 < 0.05 < 2 / 2^5).
    """
    by_error = float((norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * error)
    return by_error if n is None else max(by_error, _least_change(n))


def _least_change(n: int) -> float:
    """The share of n queries that has to improve, none worsening, for the exact test to see it with 80% power."""
    least = int(np.ceil(np.log2(2 / LEVEL)))
    if n < least:
        return float("nan")  # not even if every query changed
    low, high = 0.0, 1.0
    for _ in range(60):  # bisection: the power rises with the share
        middle = (low + high) / 2
        low, high = (middle, high) if binom.sf(least - 1, n, middle) < POWER else (low, middle)
    return high


def independent_interval(difference: float, errors: tuple[float, float]) -> tuple[float, float]:
    """95% interval of the difference of two independent estimates with these standard errors.

    Both errors widen it. Compared with a margin (two one-sided tests at 2.5%), a smaller sample never makes equivalence
    easier.
    """
    spread = float(norm.ppf(1 - LEVEL / 2) * np.hypot(*errors))
    return difference - spread, difference + spread
