"""The smallest set of concepts whose switching off puts a right candidate first for one query: exact, up to a size.

A row moves by a sum over the switched concepts: h' = h + sum_k s_k D_k with s_k = (factor - factor before) z_k. So its
length, its image under an affine map and its product with a query are sums over at most pairs of concepts, and a set
costs a few numbers per candidate (statistics kept: the map is as fitted without the edit).

1. `OneQuery` holds the query, all candidates and the concepts that may be switched.
2. `margins(sets)`: score of the best relevant candidate less that of the best other one, for every set.
3. `smallest_repairs`: all sets of 1, else of 2, else of 3 concepts with a margin above 0. A set is dropped as soon as
   one of the strongest rivals beats every relevant candidate; what is left is measured against all candidates. So
   nothing that repairs is missed.
4. `greedy_repair`: add the concept that raises the margin most, until it is above 0.

float64; ties count as failures here. Knows nothing of other queries: what a repair breaks is edit_ranks.py's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from core.analysis.engine import block_bytes
from core.analysis.explanations.failures import SideRows
from core.analysis.subspaces import project_out
from core.analysis.variants.transform import SideTransform, prepare
from core.waiting import checkpoint

RIVALS = 12
"""The strongest other candidates, against which every set is measured first."""
LARGEST = 3
LONGEST = 10
"""Concepts at which greed gives up."""


@dataclass(frozen=True, eq=False)
class Repairs:
    """All sets of the smallest size that repair, the largest margin first; none where no set up to `largest` does."""

    sets: tuple[tuple[int, ...], ...]
    margins: Float[np.ndarray, " r"]
    tried: int
    """Sets measured, in all sizes."""


class OneQuery:
    """One query against all candidates, and concepts that may get another factor."""

    def __init__(
        self,
        query: SideRows,
        candidate: SideRows,
        row: int,
        relevant: Int[np.ndarray, " r"],
        concepts: Int[np.ndarray, " a"],
        dictionary: Float[np.ndarray, "c d"],
        factor: float = 0.0,
    ) -> None:
        self.concepts = np.asarray(concepts, dtype=np.int64)
        directions = np.asarray(dictionary[self.concepts], dtype=np.float64)
        ((modality, _),) = query.parts(np.array([row]))
        mine = query.of(modality)
        self.query = _Rows(mine, np.array([row]), directions, self.concepts, factor, dictionary)
        everything = np.arange(len(candidate.rows))
        self.pools = [
            (everything[of], _Rows(candidate.of(name), everything[of], directions, self.concepts, factor, dictionary))
            for name, of in candidate.parts(everything)
        ]
        self.is_relevant = np.zeros(len(everything), dtype=bool)
        self.is_relevant[relevant] = True

    def margins(
        self, sets: Int[np.ndarray, "b s"], among: Int[np.ndarray, " r"] | None = None
    ) -> Float[np.ndarray, " b"]:
        """Best relevant score less the best other one, over all candidates or over some (an upper bound where all
        relevant ones are among them); in units of the query's length. `sets`: places in `concepts`."""
        out = np.empty(len(sets))
        m = len(self.is_relevant) if among is None else len(among)
        step = max(1, block_bytes() // 8 // max(1, m, self.query.t.shape[1]))
        for start in range(0, len(sets), step):
            checkpoint()
            scores, right = self.scores(sets[start : start + step], among)
            out[start : start + step] = _best(scores[:, right]) - _best(scores[:, ~right])
        return out

    def scores(
        self, sets: Int[np.ndarray, "b s"], among: Int[np.ndarray, " r"] | None = None
    ) -> tuple[Float[np.ndarray, "b r"], np.ndarray]:
        """(scores of the candidates by row, in units of the query's length; which of them are relevant)."""
        asked = self.query.moved(sets)
        scores, at = [], []
        for numbers, pool in self.pools:
            some = np.arange(len(numbers)) if among is None else np.flatnonzero(np.isin(numbers, among))
            scores.append(pool.scores(asked, sets, some))
            at.append(numbers[some])
        rows = np.concatenate(at)
        order = np.argsort(rows)
        return np.hstack(scores)[:, order], self.is_relevant[rows[order]]


class _Rows:
    """Rows of one side before the edit, under one affine map, and what a concept adds to them.

    y = a t(h) - n with t(h) = h P W, a = 1 / ||h P||, n = mean W; without an affine map y = h P.
    """

    def __init__(
        self,
        side: SideRows,
        rows: np.ndarray,
        directions: np.ndarray,
        concepts: np.ndarray,
        factor: float,
        dictionary: np.ndarray,
    ) -> None:
        through, codes = side.transform, csr_array(side.codes[rows])
        before = dict(through.edits)
        self.shift = codes[:, concepts].toarray().astype(np.float64)
        self.shift *= np.array([factor - before.get(int(k), 1.0) for k in concepts])
        self.h = prepare(side.rows[rows], through, codes, dictionary)
        basis = through.removed_basis
        self.directions = directions if basis is None else project_out(directions, basis)
        self.affine = through.normalises
        self.t, self.t_directions = _mapped(self.h, through), _mapped(self.directions, through)
        self.n = np.zeros(self.t.shape[1]) if through.mean is None else _mapped(through.mean, through)
        self.lengths = _Squares(self.h, self.directions, self.shift)
        self.t_lengths = _Squares(self.t, self.t_directions, self.shift)

    def moved(self, sets: np.ndarray) -> np.ndarray:
        """(b, d_out): the one row of the query's side after each edit; its length is left as it is."""
        b, size = sets.shape
        steps = self.shift[0][sets]
        moves = csr_array((steps.ravel(), sets.ravel(), size * np.arange(b + 1)), (b, self.shift.shape[1]))
        t = self.t + moves @ self.t_directions
        if not self.affine:
            return t
        squares = self.lengths.after(sets, [step[:, None] for step in steps.T], np.array([0]))
        return t * _inverse_root(squares) - self.n

    def scores(self, asked: np.ndarray, sets: np.ndarray, some: np.ndarray) -> np.ndarray:
        """(b, r): asked . y / ||y|| of some rows after each edit."""
        steps = [self.shift[some][:, sets[:, j]].T for j in range(sets.shape[1])]
        products = asked @ self.t[some].T
        towards = asked @ self.t_directions.T
        for j, step in enumerate(steps):
            products += step * np.take_along_axis(towards, sets[:, [j]], axis=1)
        squares = self.t_lengths.after(sets, steps, some)
        if not self.affine:
            return products * _inverse_root(squares)
        a = _inverse_root(self.lengths.after(sets, steps, some))
        to_mean = np.tile(self.t[some] @ self.n, (len(sets), 1))
        of_directions = self.t_directions @ self.n
        for j, step in enumerate(steps):
            to_mean += step * of_directions[sets[:, j]][:, None]
        whole = a * a * squares - 2 * a * to_mean + self.n @ self.n
        return (a * products - (asked @ self.n)[:, None]) * _inverse_root(whole)


class _Squares:
    """||v + sum_k s_k D_k||^2 of every row v, for many sets of concepts k."""

    def __init__(self, v: np.ndarray, directions: np.ndarray, shift: np.ndarray) -> None:
        self.base = np.einsum("nd,nd->n", v, v)
        self.cross = v @ directions.T
        self.among = directions @ directions.T

    def after(self, sets: np.ndarray, steps: Sequence[np.ndarray], some: np.ndarray) -> np.ndarray:
        out = np.tile(self.base[some], (len(sets), 1))
        for j, step in enumerate(steps):
            k = sets[:, j]
            out += 2 * step * self.cross[some][:, k].T + step * step * self.among[k, k][:, None]
            for i in range(j):
                out += 2 * step * steps[i] * self.among[k, sets[:, i]][:, None]
        return out


def smallest_repairs(one: OneQuery, largest: int = LARGEST, rivals: int = RIVALS) -> Repairs:
    """All repairs of the smallest size, up to `largest` concepts. Exact: every set is tried, or dropped because one
    candidate alone defeats it."""
    scores, right = one.scores(np.zeros((1, 0), dtype=np.int64))
    strongest = np.argsort(-np.where(right, -np.inf, scores[0]), kind="stable")[:rivals]
    first = np.union1d(strongest, np.flatnonzero(right))
    tried = 0
    for size in range(1, min(largest, len(one.concepts)) + 1):
        sets, margins = [], []
        for some in _sets(len(one.concepts), size):
            tried += len(some)
            left = some[one.margins(some, first) > 0]
            measured = one.margins(left)
            sets.append(left[measured > 0])
            margins.append(measured[measured > 0])
        found, value = np.concatenate(sets), np.concatenate(margins)
        if len(found):
            order = np.argsort(-value, kind="stable")
            named = tuple(tuple(int(k) for k in one.concepts[places]) for places in found[order])
            return Repairs(named, value[order], tried)
    return Repairs((), np.zeros(0), tried)


def greedy_repair(one: OneQuery, longest: int = LONGEST) -> tuple[tuple[int, ...], float]:
    """(concepts in the order in which greed switches them, the margin then); the margin is not positive where
    `longest` concepts do not repair or none raises it any more."""
    chosen: list[int] = []
    margin = -np.inf
    while len(chosen) < min(longest, len(one.concepts)):
        rest = np.array([k for k in range(len(one.concepts)) if k not in chosen])
        margins = one.margins(np.column_stack([np.tile(chosen, (len(rest), 1)).astype(np.int64), rest]))
        best = int(margins.argmax())
        if margins[best] <= margin:
            break
        chosen.append(int(rest[best]))
        margin = float(margins[best])
        if margin > 0:
            break
    return tuple(int(one.concepts[k]) for k in chosen), margin


def _sets(n: int, size: int) -> Iterator[np.ndarray]:
    """All sets of `size` of n numbers, in blocks."""
    every = combinations(range(n), size)
    while some := list(islice(every, 1 << 16)):
        yield np.array(some, dtype=np.int64)


def _mapped(v: np.ndarray, side: SideTransform) -> np.ndarray:
    return v if side.matrix is None else v @ side.matrix


def _inverse_root(squares: np.ndarray) -> np.ndarray:
    """1 / sqrt; 0 for a row without length."""
    return np.divide(1.0, np.sqrt(np.maximum(squares, 0.0)), out=np.zeros_like(squares), where=squares > 1e-24)


def _best(scores: np.ndarray) -> np.ndarray:
    return scores.max(axis=1, initial=-np.inf)
