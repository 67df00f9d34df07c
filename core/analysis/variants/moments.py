"""Mean, covariance and fourth moment of a stream of rows: all that a whitening fit may know of its data.

Everything is summed in float64 around a running mean (Chan's pairwise update), in one pass, so matrices may be
memory-mapped. Knows nothing of what is fitted from it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks
from core.errors import ShapeMismatch, UserError


class Spectrum(NamedTuple):
    """Eigenvalues (d,), largest first, never negative, and eigenvectors as columns (d, d), largest entry positive."""

    values: Float[np.ndarray, " d"]
    vectors: Float[np.ndarray, "d d"]


@dataclass(frozen=True, eq=False)
class Moments:
    """What is known of a set of rows: all a fit may use. float64."""

    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]
    """Divided by N - 1."""
    n_samples: int
    third: Float[np.ndarray, " d"]
    """sum_i ||y_i||^2 y_i with y = x - mean; only to merge `fourth` exactly."""
    fourth: float
    """sum_i ||y_i||^4, needed by Ledoit-Wolf."""

    @property
    def mean_variance(self) -> float:
        """tr(Sigma) / d, the mean variance of a dimension."""
        return float(np.trace(self.covariance)) / len(self.mean)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Eigen-decomposition of the covariance, computed once. Rounding below zero is cut to zero."""
        values, vectors = np.linalg.eigh(self.covariance)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        largest = np.abs(vectors).argmax(axis=0)
        signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
        return Spectrum(values, vectors * signs)


class CovarianceAccumulator:
    """Mean, covariance and fourth moment of rows that arrive in batches (Chan's pairwise update, float64).

    Any split into batches gives the same result up to rounding. Empty batches change nothing.
    """

    def __init__(self, d: int) -> None:
        self.n = 0
        self._mean = np.zeros(d)
        self._scatter = np.zeros((d, d))  # sum of y y^T,     y = x - mean
        self._third = np.zeros(d)  # sum of ||y||^2 y
        self._fourth = 0.0  # sum of ||y||^4

    def add_batch(self, rows: Float[np.ndarray, "n d"]) -> None:
        """Take in n rows of width d. UserError where one holds NaN or infinity: a mean of them would say nothing."""
        d = len(self._mean)
        if rows.shape[1] != d:
            raise ShapeMismatch("rows do not fit the accumulator", got=f"width {rows.shape[1]}", allowed=f"width {d}")
        if not len(rows):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            sums = _centred_sums(np.asarray(rows, dtype=np.float64))
        # The fourth moment is finite only where every number is, and none so large that its fourth power is not.
        if not np.isfinite(sums.fourth):
            raise UserError(
                "cannot fit on rows with NaN, infinity or numbers beyond 1e77",
                got=f"such a row among rows {self.n} to {self.n + len(rows) - 1}",
                todo="leave the item out, or encode it again",
            )
        self._merge(sums)

    def add(self, other: Moments) -> None:
        """Take in another set of rows through its moments, as exactly as through the rows."""
        scatter = other.covariance * (other.n_samples - 1)
        self._merge(_Sums(other.n_samples, other.mean, scatter, other.third, other.fourth))

    def _merge(self, new: "_Sums") -> None:
        total = self.n + new.n
        mean = self._mean + (new.mean - self._mean) * (new.n / total)
        old = _Sums(self.n, self._mean, self._scatter, self._third, self._fourth)
        a, b = _shifted(old, mean), _shifted(new, mean)
        self.n, self._mean = total, mean
        self._scatter, self._third, self._fourth = a.scatter + b.scatter, a.third + b.third, a.fourth + b.fourth

    def compute(self) -> Moments:
        """The moments so far. Fewer than two rows have no covariance and are refused."""
        if self.n < 2:
            raise UserError(
                "cannot fit a covariance", got=f"{self.n} rows", allowed="at least 2", todo="give more items to fit on"
            )
        covariance = self._scatter / (self.n - 1)
        return Moments(self._mean.copy(), covariance, self.n, self._third.copy(), float(self._fourth))


class _Sums(NamedTuple):
    n: int
    mean: np.ndarray
    scatter: np.ndarray
    third: np.ndarray
    fourth: float


def _centred_sums(rows: Float[np.ndarray, "n d"]) -> _Sums:
    """The sums of one batch around its own mean."""
    mean = rows.mean(axis=0)
    y = rows - mean
    squares = np.einsum("nd,nd->n", y, y)
    return _Sums(len(rows), mean, y.T @ y, y.T @ squares, float(squares @ squares))


def _shifted(s: _Sums, mean: np.ndarray) -> _Sums:
    """The same sums around another mean: y -> y - t with sum(y) = 0."""
    t = mean - s.mean
    t2, trace, st = float(t @ t), float(np.trace(s.scatter)), s.scatter @ t
    third = s.third - trace * t - 2 * st - s.n * t2 * t
    fourth = s.fourth + 4 * (t @ st) + s.n * t2**2 - 4 * (t @ s.third) + 2 * t2 * trace
    return _Sums(s.n, mean, s.scatter + s.n * np.outer(t, t), third, float(fourth))


def moments_of(*parts: Float[np.ndarray, "_ d"]) -> Moments:
    """Moments of the rows of all `parts` together, in one blocked pass."""
    accumulator = CovarianceAccumulator(parts[0].shape[1])
    for part in parts:
        for block in row_blocks(*part.shape):
            accumulator.add_batch(part[block])
    return accumulator.compute()


def merge_moments(*parts: Moments) -> Moments:
    """Moments of the union of several sets of rows, from the moments of each."""
    accumulator = CovarianceAccumulator(len(parts[0].mean))
    for part in parts:
        accumulator.add(part)
    return accumulator.compute()
