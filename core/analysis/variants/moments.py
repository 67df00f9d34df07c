"""Mean, covariance and fourth moment of a stream of rows: all that a whitening fit may know of its data.

Everything is summed in float64 around a running mean (Chan's pairwise update), in one pass, so matrices may be
memory-mapped. Sums stay on the engine that the rows are on (core/analysis/engine.py); `Moments` are NumPy's. Knows
nothing of what is fitted from it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks
from core.analysis.engine import NUMPY, Array, Engine, engine, namespace, row_squares, to_numpy
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
        place = engine(10.0 * len(self.mean) ** 3)
        values, vectors = map(to_numpy, place.xp.linalg.eigh(place.put(self.covariance)))
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        largest = np.abs(vectors).argmax(axis=0)
        signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
        return Spectrum(values, vectors * signs)


class CovarianceAccumulator:
    """Mean, covariance and fourth moment of rows that arrive in batches (Chan's pairwise update, float64).

    Any split into batches gives the same result up to rounding. Empty batches change nothing.
    """

    def __init__(self, d: int, place: Engine = NUMPY) -> None:
        """`place`: where the rows will be."""
        self.n, self._place = 0, place
        self._mean = place.put(np.zeros(d))
        self._scatter = place.put(np.zeros((d, d)))  # sum of y y^T,     y = x - mean
        self._third = place.put(np.zeros(d))  # sum of ||y||^2 y
        self._fourth: Array = 0.0  # sum of ||y||^4

    def add_batch(self, rows: Array) -> None:
        """Take in (n, d) rows. UserError where one holds NaN or infinity: a mean of them would say nothing."""
        d = len(self._mean)
        if rows.shape[1] != d:
            raise ShapeMismatch("rows do not fit the accumulator", got=f"width {rows.shape[1]}", allowed=f"width {d}")
        if not len(rows):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            sums = _centred_sums(self._place.put(rows, "float64"))
        # The fourth moment is finite only where every number is, and none so large that its fourth power is not.
        if not np.isfinite(float(sums.fourth)):
            raise UserError(
                "cannot fit on rows with NaN, infinity or numbers beyond 1e77",
                got=f"such a row among rows {self.n} to {self.n + len(rows) - 1}",
                todo="leave the item out, or encode it again",
            )
        self._merge(sums)

    def add(self, other: Moments) -> None:
        """Take in another set of rows through its moments, as exactly as through the rows."""
        scatter = other.covariance * (other.n_samples - 1)
        mean, scatter, third = map(self._place.put, (other.mean, scatter, other.third))
        self._merge(_Sums(other.n_samples, mean, scatter, third, other.fourth))

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
        mean, covariance, third = map(to_numpy, (self._mean, self._scatter / (self.n - 1), self._third))
        return Moments(mean.copy(), covariance, self.n, third.copy(), float(self._fourth))


class _Sums(NamedTuple):
    n: int
    mean: Array
    scatter: Array
    third: Array
    fourth: Array
    """A number of the engine: to ask for its value is to wait for a GPU."""


def _centred_sums(rows: Array) -> _Sums:
    """The sums of one batch (n, d) around its own mean."""
    mean = namespace(rows).mean(rows, axis=0)
    y = rows - mean
    squares = row_squares(y)
    return _Sums(len(rows), mean, y.T @ y, y.T @ squares, squares @ squares)


def _shifted(s: _Sums, mean: Array) -> _Sums:
    """The same sums around another mean: y -> y - t with sum(y) = 0."""
    linalg, t = namespace(mean).linalg, mean - s.mean
    t2, trace, st = t @ t, linalg.trace(s.scatter), s.scatter @ t
    third = s.third - trace * t - 2 * st - s.n * t2 * t
    fourth = s.fourth + 4 * (t @ st) + s.n * t2**2 - 4 * (t @ s.third) + 2 * t2 * trace
    return _Sums(s.n, mean, s.scatter + s.n * linalg.outer(t, t), third, fourth)


def moments_of(*parts: Float[np.ndarray, "_ d"]) -> Moments:
    """Moments of the rows of all `parts` together, in one blocked pass."""
    n, d = sum(len(part) for part in parts), parts[0].shape[1]
    accumulator = CovarianceAccumulator(d, engine(2.0 * n * d * d))
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
