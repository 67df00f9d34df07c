"""The shape of an embedding cloud: modality gap, cosines, effective rank, hubness, alignment and uniformity.

In: unit rows (n, d) as `transform` gives them (zero rows count as they are), pairs of row numbers, top-k lists. Every
sum in float64; everything is either closed-form or blocked, so nothing of size n x n is kept. Functions that sample say
so, take a seed and give the sample size. Knows nothing of variants: call it on the rows before and after one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from core.analysis.arrays import row_blocks
from core.analysis.variants.moments import Moments
from core.errors import ShapeMismatch, UserError

SAMPLED_PAIRS = 200_000


def modality_gap(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """||mean(a) - mean(b)||, 0 to 2 for unit rows (Liang et al. 2022). Higher = the sets lie further apart. NaN if one
    is empty."""
    return float(np.linalg.norm(_mean(a) - _mean(b)))


def mean_cosine_within(x: Float[np.ndarray, "n d"]) -> float:
    """Mean of x_i . x_j over i != j, -1 to 1: anisotropy. (||sum x||^2 - sum ||x_i||^2) / (n (n-1)). NaN for n < 2."""
    n = len(x)
    if n < 2:
        return float("nan")
    total = _mean(x) * n
    squares = sum(float(np.sum(np.asarray(x[block], dtype=np.float64) ** 2)) for block in row_blocks(*x.shape))
    return (float(total @ total) - squares) / (n * (n - 1))


def mean_cosine_across(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Mean of a_i . b_j over all i, j = mean(a) . mean(b), -1 to 1. NaN if one is empty."""
    return float(_mean(a) @ _mean(b))


def spectrum(moments: Moments) -> Float[np.ndarray, " d"]:
    """Shares of the total variance along the principal axes, largest first, sum 1. NaN for constant rows."""
    values = moments.spectrum.values
    return values / (values.sum() or np.nan)


def effective_rank(moments: Moments) -> float:
    """exp(entropy of the spectrum) of the covariance, 1 to d (Roy & Vetterli 2007, on eigenvalues). Higher = more
    evenly spread."""
    shares = spectrum(moments)
    positive = shares[shares > 0]
    return float(np.exp(-np.sum(positive * np.log(positive)))) if len(positive) else float("nan")


def participation_ratio(moments: Moments) -> float:
    """1 / sum of squared shares of the spectrum, 1 to d. Less moved by small eigenvalues than the effective rank."""
    return float(1 / np.sum(spectrum(moments) ** 2))


@dataclass(frozen=True, eq=False)
class Hubness:
    """How unevenly candidates appear in the top-k lists of the queries."""

    k: int
    occurrences: Int[np.ndarray, " m"]
    """N_k of every candidate: in how many top-k lists it stands. Sums to queries x k."""
    skewness: float
    """Third standardised moment of N_k (Radovanovic et al. 2010): 0 = even, > 1 = strong hubs. NaN where all are
    equal."""
    hubs: Int[np.ndarray, " h"]
    """Candidates by N_k, largest first, ties by index."""
    never_share: float
    """Share of candidates in no list at all, 0-1."""


def hubness(top: Int[np.ndarray, "n k"], n_candidates: int, hubs: int = 10) -> Hubness:
    """k-occurrences of the lists `TopK.candidates`."""
    if top.size and int(top.max()) >= n_candidates:
        raise ShapeMismatch("top-k lists name unknown candidates", got=int(top.max()), allowed=f"below {n_candidates}")
    counts = np.bincount(top.ravel(), minlength=n_candidates)
    centred = counts - counts.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    skewness = float(np.mean(centred**3)) / spread**3 if spread > 0 else float("nan")
    return Hubness(
        top.shape[1], counts, skewness, np.argsort(-counts, kind="stable")[:hubs], float(np.mean(counts == 0))
    )


def alignment(
    queries: Float[np.ndarray, "n d"], candidates: Float[np.ndarray, "m d"], pairs: Int[np.ndarray, "p 2"]
) -> float:
    """Mean over pairs of ||q - c||^2, 0 to 4 (Wang & Isola 2020). Lower = matching items lie closer. NaN without
    pairs."""
    return float(2 - 2 * _pair_cosines(queries, candidates, pairs).mean()) if len(pairs) else float("nan")


def uniformity(x: Float[np.ndarray, "n d"], *, pairs: int = SAMPLED_PAIRS, seed: int = 0) -> float:
    """log of the mean over i != j of exp(-2 ||x_i - x_j||^2), <= 0 (Wang & Isola 2020). Lower = more evenly spread. NaN
    for n < 2.

    Over all pairs where there are at most `pairs` of them, else over a seeded sample of `pairs`.
    """
    if len(x) < 2:
        return float("nan")
    chosen = _distinct_pairs(len(x), pairs, seed)
    squares = np.concatenate([_squared_distances(x, chosen[block]) for block in row_blocks(len(chosen), x.shape[1])])
    return float(np.log(np.mean(np.exp(-2 * squares))))


class Sums(NamedTuple):
    """What the mean and the variance of all inner products of two sets need of each."""

    n: int
    total: Float[np.ndarray, " d"]
    """Sum of the rows."""
    products: Float[np.ndarray, "d d"]
    """Sum of x xᵀ over the rows."""


def sums_of(x: Float[np.ndarray, "n d"]) -> Sums:
    """Sums of rows and of their outer products, float64, in one blocked pass."""
    total, products = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
    for block in row_blocks(*x.shape):
        rows = np.asarray(x[block], dtype=np.float64)
        total += rows.sum(axis=0)
        products += rows.T @ rows
    return Sums(len(x), total, products)


def other_cosines(queries: Sums, candidates: Sums, matching: Float[np.ndarray, " p"]) -> tuple[float, float]:
    """Mean and variance of the inner products of all n x m pairs but the p matching ones, whose products are given:
    exact, none is formed.

    Over all pairs sum q·c = (sum q)·(sum c) and sum (q·c)^2 = <sum q qᵀ, sum c cᵀ>; the matching ones are subtracted.
    NaN if none is left.
    """
    others = queries.n * candidates.n - len(matching)
    if not others:
        return float("nan"), float("nan")
    mean = (float(queries.total @ candidates.total) - float(matching.sum())) / others
    square = (float(np.sum(queries.products * candidates.products)) - float(matching @ matching)) / others
    return mean, max(0.0, square - mean**2)


@dataclass(frozen=True, eq=False)
class SimilarityHistograms:
    """Cosines of matching pairs and of pairs that do not match, as shares per bin."""

    edges: Float[np.ndarray, " bins_plus_1"]
    positive: Float[np.ndarray, " bins"]
    """Sums to 1 (all 0 without pairs)."""
    negative: Float[np.ndarray, " bins"]
    n_positive: int
    n_negative: int
    """Pairs counted in the bins: all of them, or the size of the seeded sample."""
    mean_positive: float
    mean_negative: float
    """Over all other pairs, also where the bins hold a sample."""
    d_prime: float
    """(mean_positive - mean_negative) / sqrt of the mean of the two variances, over all pairs. NaN where undefined."""


def similarity_histograms(
    queries: Float[np.ndarray, "n d"],
    candidates: Float[np.ndarray, "m d"],
    pairs: Int[np.ndarray, "p 2"],
    *,
    bins: int = 60,
    negatives: int = SAMPLED_PAIRS,
    seed: int = 0,
) -> SimilarityHistograms:
    """Histograms over common bins. Negatives: all pairs that are not in `pairs`, or a seeded sample of about
    `negatives` of them."""
    if bins < 1:
        raise UserError("a histogram needs bins", got=bins, allowed="1 or more")
    positive = _pair_cosines(queries, candidates, np.unique(pairs, axis=0))
    negative = _pair_cosines(queries, candidates, _negatives(len(queries), len(candidates), pairs, negatives, seed))
    everything = np.concatenate([positive, negative])
    low, high = (everything.min(), everything.max()) if len(everything) else (-1.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1e-6, bins + 1)
    other = other_cosines(sums_of(queries), sums_of(candidates), positive)
    mean = float(positive.mean()) if len(positive) else float("nan")
    return SimilarityHistograms(
        edges,
        _shares(positive, edges),
        _shares(negative, edges),
        len(positive),
        len(negative),
        mean,
        other[0],
        d_prime(positive, *other),
    )


def d_prime(matching: Float[np.ndarray, " p"], mean: float, variance: float) -> float:
    """(mean of `matching` - mean) / sqrt of the mean of the two variances: how far matching pairs stand out. NaN where
    undefined."""
    own = float(matching.var()) if len(matching) else float("nan")
    spread = np.sqrt((own + variance) / 2)
    return float((matching.mean() - mean) / spread) if spread > 0 else float("nan")


def _mean(x: np.ndarray) -> Float[np.ndarray, " d"]:
    """Mean row in float64, NaN without rows."""
    return np.asarray(np.sum(x, axis=0, dtype=np.float64) / (len(x) or np.nan))


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of all values in each bin."""
    return np.histogram(values, edges)[0] / max(1, len(values))


def _pair_cosines(a: np.ndarray, b: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Dot products of pairs of rows, blocked, in float64."""
    out = np.empty(len(pairs))
    for block in row_blocks(len(pairs), a.shape[1]):
        out[block] = np.einsum("pd,pd->p", a[pairs[block, 0]], b[pairs[block, 1]], dtype=np.float64)
    return out


def _squared_distances(x: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of pairs of rows."""
    return np.sum((np.asarray(x[pairs[:, 0]], dtype=np.float64) - x[pairs[:, 1]]) ** 2, axis=1)


def _distinct_pairs(n: int, most: int, seed: int) -> np.ndarray:
    """All i < j, or `most` random pairs i != j."""
    if n * (n - 1) // 2 <= most:
        return np.column_stack(np.triu_indices(n, 1))
    rng = np.random.default_rng(seed)
    first = rng.integers(n, size=most)
    return np.column_stack([first, (first + rng.integers(1, n, size=most)) % n])


def _negatives(n: int, m: int, pairs: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Pairs (query, candidate) outside `pairs`: all, or what is left of a random sample of `most`."""
    flat = np.arange(n * m) if n * m <= most else np.random.default_rng(seed).integers(n * m, size=most)
    others = flat[~np.isin(flat, pairs[:, 0] * m + pairs[:, 1])]
    return np.column_stack([others // m, others % m])
