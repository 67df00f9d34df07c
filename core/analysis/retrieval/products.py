"""Dot products of two blocks of rows: all of them in float32 with a proven bound of their error, single ones exactly.

The score of a pair is its exact dot product, rounded once to float32: so it is the same on every machine, in every
block and for equal rows. Three ways to it, each used where the one before does not decide:

1. A float32 product. Whatever the order of the sum, with or without fused multiply-add, |fl(x . y) - x . y| is at most
   gamma_n sum |x_i y_i| <= gamma_n |x| |y|, gamma_n = n u / (1 - n u), u = 2^-24 (Higham, Accuracy and Stability of
   Numerical Algorithms, 2nd ed., section 3.1; Jeannerod & Rump 2013). n = d + 2 where rows were given in float64 and
   rounded to float32 first. Numbers below 2^-126 may be flushed to zero: d 2^-126 (2 + |x| + |y|) more.
2. A float64 product of the rows as given: the same with u = 2^-53. If the float32 neighbours of both ends of its
   interval are one number, that is the score.
3. Exact arithmetic, for the few pairs in doubt then (about one in 10^5).

Rows may be float32, float64 or sparse (CSR, which start at 2). TF32 is switched off by whoever asks for products
(`engine.full_precision`). Knows nothing of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, csr_matrix, issparse

from core.analysis.engine import Array, Engine, namespace, to_numpy
from core.errors import UserError

Given: TypeAlias = np.ndarray | csr_matrix | csr_array
"""(n, d) rows, dense or sparse. Plain types: a jaxtyping shape in an alias is no type to a checker."""
UNIT, UNIT_64 = 2.0**-24, 2.0**-53
SMALLEST = 2.0**-126
"""The smallest normal float32."""
LARGEST = 2.0**120
"""Norms whose product is beyond this may overflow in float32."""
PAIR_VALUES = {False: 1 << 16, True: 1 << 26}
"""Values of the rows of pairs that are multiplied at a time, on a CPU (they fit its cache) and on a GPU."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A block of rows, ready to be multiplied."""

    given: Given | Array
    """As they were given."""
    single: Array
    """(n, d) float32 on the engine; None where rows are sparse."""
    norms: np.ndarray
    """(n,) float64, Euclidean."""
    rounded: bool
    """Whether `single` is not quite `given`."""

    @classmethod
    def of(cls, given: Given | Array, engine: Engine) -> Rows:
        """Bring a block of rows to the engine.

        Raises:
            UserError: NaN or infinity among them: any rank would be made up.
        """
        if issparse(given):
            wide: Any = given.astype(np.float64)
            norms = np.sqrt(np.asarray(wide.multiply(wide).sum(axis=1)).ravel())
            return cls(given, None, _finite(norms * (1 + _gamma(given.shape[1] + 2, UNIT_64))), False)
        rounded = str(given.dtype).removeprefix("torch.") not in ("float32", "float16")
        with np.errstate(over="ignore", under="ignore"):
            single = engine.put(given, "float32")
        return cls(given, single, _finite(_norms(given, single)), rounded)

    def taken(self, rows: np.ndarray) -> Given:
        """Some rows in float64, in main memory."""
        if issparse(self.given) or isinstance(self.given, np.ndarray):
            return self.given[rows].astype(np.float64)
        return to_numpy(self.given).astype(np.float64)[rows]


def _norms(given: Array, single: Array) -> np.ndarray:
    """Norms from float32 squares, of which no digit but the first matters; in float64 where those may not hold them."""
    xp = namespace(single)
    if isinstance(single, np.ndarray):
        with np.errstate(over="ignore", under="ignore"):
            squares = np.einsum("nd,nd->n", single, single).astype(np.float64)
    else:
        squares = to_numpy(xp.linalg.vecdot(single, single)).astype(np.float64)
    norms = np.sqrt(squares)
    unsure = ~((squares > 1e-25) & (squares < 1e25))
    if unsure.any():
        some = to_numpy(given)[unsure].astype(np.float64)
        largest = np.abs(some).max(axis=1, initial=0.0)
        with np.errstate(invalid="ignore"):  # infinity divided by itself: `_finite` refuses it
            scaled = np.divide(some, largest[:, None], out=np.zeros_like(some), where=largest[:, None] > 0)
            norms[unsure] = largest * np.linalg.norm(scaled, axis=1)
    return norms * (1 + _gamma(single.shape[1] + 2, UNIT))


def _finite(norms: np.ndarray) -> np.ndarray:
    if not np.isfinite(norms).all():
        row = int(np.argmin(np.isfinite(norms)))
        raise UserError("cannot rank rows that hold NaN, infinity or numbers beyond 1e150", got=f"row {row} of a block")
    return norms


class Products:
    """The dot products of a block of queries (n, d) with a block of candidates (m, d)."""

    def __init__(self, queries: Rows, candidates: Rows, engine: Engine, *, only_pairs: bool = False) -> None:
        self.queries, self.candidates, self.engine = queries, candidates, engine
        self.shape = (len(queries.norms), len(candidates.norms))
        width = queries.given.shape[1]
        reach = queries.norms * candidates.norms.max(initial=0.0)
        tiny = SMALLEST * width * (2 + queries.norms + candidates.norms.max(initial=0.0))
        # One unit of float32 more than the error: scores that far apart are apart after rounding too.
        error = (_gamma(width + 2 * (queries.rounded or candidates.rounded), UNIT) + 4 * UNIT) * reach + tiny
        self.error = np.where(reach > 0, error, 0.0)
        """(n,) float64: how far a product in `single` and its score can be apart, and one unit in the last place."""
        self.doubt = np.where(reach > 0, _gamma(width, UNIT_64) * reach + 1e-300, 0.0)
        """(n,) float64: the same of a float64 product, without that unit."""
        self.single: Array = None
        """(n, m) float32 on the engine; None where only exact scores will do."""
        dense = queries.single is not None and candidates.single is not None
        if dense and not only_pairs and reach.max(initial=0.0) < LARGEST:
            self.single = queries.single @ candidates.single.T

    def above(self, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (i, j) of which `single` lies above `floor` (n,), in the order of i and j."""
        return self._pairs(self.single > self._column(floor))

    def around(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """How many of every row lie above `high` (n,), and the pairs from `low` to `high`."""
        xp = namespace(self.single)
        above = self.single > -self._column(-high)
        pairs = self._pairs((self.single >= self._column(low)) ^ above)
        return to_numpy(xp.count_nonzero(above, axis=1)).astype(np.int64), pairs

    def values(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """`single` of these pairs."""
        return to_numpy(self.single[self._index(rows), self._index(columns)])

    def kth_largest(self, rows: np.ndarray, k: int) -> np.ndarray:
        """(len(rows),) the k-th largest of `single` in these rows, float64; -inf where there are fewer."""
        if self.shape[1] < k:
            return np.full(len(rows), -np.inf)
        some = self.single if len(rows) == self.shape[0] else self.single[self._index(rows)]
        if isinstance(some, np.ndarray):
            return np.partition(some, some.shape[1] - k, axis=1)[:, some.shape[1] - k].astype(np.float64)
        return to_numpy(some.topk(k, dim=1).values[:, -1]).astype(np.float64)

    def scores(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(p,) float32 scores of these pairs."""
        values = self._pairs_64(rows, columns)
        return self._rounded(values, self.doubt[rows], lambda at: (rows[at], columns[at]))

    def order(self, rows: np.ndarray, columns: np.ndarray, than: np.ndarray) -> np.ndarray:
        """(p,) -1, 0 or 1: whether the score of each pair is below, equal to or above `than`, a float32 score.

        Cheaper than `scores` near 0, where float32 numbers are dense: only the neighbourhood of `than` is in doubt.
        """
        values, doubt = self._pairs_64(rows, columns), self.doubt[rows]
        low, high = ((values + sign * doubt).astype(np.float32) for sign in (-1, 1))
        order = np.where(low > than, 1, np.where(high < than, -1, 0))
        for at in np.flatnonzero((order == 0) & (low != high)):
            order[at] = np.sign(float(self._exact(rows[at], columns[at])) - float(than[at]))
        return order

    def score_rows(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows, (len(rows), m) float32 scores): all scores of these rows, some rows at a time."""
        right = self.candidates.taken(np.arange(self.shape[1])).T if len(rows) else None
        # A float64 block and its two ends take five times what a float32 block takes.
        step = max(1, self.shape[0] // 8)
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            values: Any = self.queries.taken(some) @ right
            values = values.toarray() if issparse(values) else values
            yield some, self._rounded(values, self.doubt[some, None], partial(_within, some))

    def _pairs(self, mask: Array) -> tuple[np.ndarray, np.ndarray]:
        flat = to_numpy(namespace(mask).nonzero(mask.reshape(-1))[0])
        return np.divmod(flat, self.shape[1])

    def _column(self, bound: np.ndarray) -> Array:
        """A bound of every row as float32, rounded down: pairs let in for nothing only cost time."""
        single: np.ndarray = bound.astype(np.float32)
        single = np.where(single > bound, np.nextafter(single, np.float32(-np.inf)), single)
        return self.engine.put(single[:, None])

    def _index(self, numbers: np.ndarray) -> Array:
        return self.engine.put(numbers)

    def _pairs_64(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """(p,) float64 products of the rows as given, a few at a time."""
        out = np.empty(len(rows))
        on_engine = not (self.queries.rounded or self.candidates.rounded) and self.engine.float64
        step = max(1, PAIR_VALUES[self.engine.on_gpu] // max(1, self.queries.given.shape[1]))
        for start in range(0, len(rows), step):
            i, j = rows[start : start + step], columns[start : start + step]
            if issparse(self.queries.given):
                sparse_rows: Any = self.queries.taken(i)
                products = sparse_rows.multiply(self.candidates.taken(j))
                out[start : start + step] = np.asarray(products.sum(axis=1)).ravel()
            elif on_engine and not isinstance(self.queries.single, np.ndarray):
                left, right = self.queries.single[self._index(i)], self.candidates.single[self._index(j)]
                out[start : start + step] = to_numpy(namespace(left).linalg.vecdot(left.double(), right.double()))
            else:
                left, right = self.queries.taken(i), self.candidates.taken(j)
                out[start : start + step] = np.einsum("pd,pd->p", left, right)
        return out

    def _rounded(self, values: np.ndarray, doubt: np.ndarray, pair: Callable[[Any], tuple[Any, Any]]) -> np.ndarray:
        """float64 products as float32 scores; in exact arithmetic where both ends of the interval differ. `pair`: row
        and column of one of them."""
        with np.errstate(over="ignore", under="ignore"):
            low, high = (values - doubt).astype(np.float32), (values + doubt).astype(np.float32)
        for at in zip(*(axis.tolist() for axis in np.nonzero(low != high)), strict=True):
            low[at] = self._exact(*pair(at if len(at) > 1 else at[0]))
        return low + np.float32(0.0)  # -0.0 becomes 0.0: the two are equal, but their keys are not

    def _exact(self, row: int | np.integer, column: int | np.integer) -> np.float32:
        left: Any = self.queries.given
        right: Any = self.candidates.given
        one, other = (x.toarray() if issparse(x) else to_numpy(x) for x in (left[[row]], right[[column]]))
        return rounded_dot(one[0], other[0])


def _within(rows: np.ndarray, at: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the block of an entry of some of its rows."""
    return int(rows[at[0]]), int(at[1])


def rounded_dot(x: np.ndarray, y: np.ndarray) -> np.float32:
    """The exact dot product of two rows (d,), rounded once to float32 (to nearest, ties to even)."""
    total: float | Fraction
    if x.dtype == y.dtype == np.float32:  # such products are exact in float64
        terms = (x.astype(np.float64) * y.astype(np.float64)).tolist()
        nearest = math.fsum(terms)
        rest = math.fsum([*terms, -nearest])
    else:
        total = sum((Fraction(a) * Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)), Fraction(0))
        nearest = float(total)
        rest = float((total > Fraction(nearest)) - (total < Fraction(nearest)))
    # Rounding twice would be wrong halfway between two float32 numbers. Of the two float64 numbers around the exact one
    # the odd one is never such a half ("round to odd", Boldo & Melquiond 2008).
    wide = np.float64(nearest)
    if rest and not wide.view(np.int64) & 1:
        wide = np.nextafter(wide, math.copysign(math.inf, rest))
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(wide) + np.float32(0.0)


def _gamma(n: int, unit: float) -> float:
    return n * unit / (1 - n * unit)
