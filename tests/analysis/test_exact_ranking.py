"""Ranking from float32 products gives the lists of the slow definition, on rows made to tell the two apart."""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from core.analysis import retrieval as r
from core.analysis.engine import NUMPY, Engine, computing_on
from core.analysis.retrieval import products, ranking
from core.analysis.retrieval.products import Products, Rows, rounded_dot
from core.errors import UserError

ENGINES = [NUMPY, Engine("cpu")]
"""NumPy, and torch's tensors in main memory: the lines that a GPU runs."""


@pytest.fixture(params=ENGINES, ids=["numpy", "torch"], autouse=True)
def on_either(request):
    with computing_on(request.param):
        yield request.param


@pytest.fixture(autouse=True)
def small_query_blocks(monkeypatch):
    monkeypatch.setattr(ranking, "QUERY_BLOCK", 7)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def random_rows(rng, n, m, d):
    return unit(rng.standard_normal((n, d))).astype(np.float32), unit(rng.standard_normal((m, d))).astype(np.float32)


def duplicated(rng, n, m, d):
    queries, candidates = random_rows(rng, n, m, d)
    return queries, candidates[rng.integers(0, max(1, m // 6), m)]


def one_unit_apart(rng, n, m, d):
    """Copies of a few rows with one coordinate moved to the next float32: scores differ by less than float32 tells."""
    queries, candidates = duplicated(rng, n, m, d)
    at = rng.integers(0, d, m)
    rows = np.arange(m)
    candidates[rows, at] = np.nextafter(candidates[rows, at], np.float32(2) * rng.choice([-1, 1], m).astype(np.float32))
    return queries, candidates


def all_within_the_bound(rng, n, m, d):
    """One direction and very little else: every product lies within the error of every other."""
    base = unit(rng.standard_normal((1, d)))
    near = [unit(base + 1e-6 * rng.standard_normal((size, d))).astype(np.float32) for size in (n, m)]
    return near[0], near[1]


def rising(rng, n, m, d):
    """Every candidate is better than those before it."""
    queries = unit(np.abs(rng.standard_normal((n, d)))).astype(np.float32)
    return queries, np.linspace(0.1, 1, m)[:, None].astype(np.float32) * np.ones((1, d), np.float32)


def cancelling(rng, n, m, d):
    """Large parts that cancel: products of order 1e-7 of the norms, so float32 gets no digit of most scores right."""
    half = d // 2
    a, b = rng.standard_normal((n, half)), rng.standard_normal((m, half))
    queries = np.hstack([a, a + 1e-6 * rng.standard_normal((n, half)), np.ones((n, d - 2 * half))])
    return queries.astype(np.float32), np.hstack([b, -b, np.zeros((m, d - 2 * half))]).astype(np.float32)


def any_length(rng, n, m, d):
    queries, candidates = random_rows(rng, n, m, d)
    lengths = 10.0 ** rng.integers(-30, 15, m)
    return queries * np.float32(7), (candidates * lengths[:, None]).astype(np.float32)


def with_zeros(rng, n, m, d):
    queries, candidates = random_rows(rng, n, m, d)
    queries[::3], candidates[::2] = 0, 0
    return queries, candidates


def whole_numbers(rng, n, m, d):
    """Sums beyond 2^24: many scores lie halfway between two float32 numbers."""
    return tuple(rng.integers(-3000, 3000, (size, d)).astype(np.float32) for size in (n, m))


def in_float64(rng, n, m, d):
    queries, candidates = (unit(rng.standard_normal((size, d))) for size in (n, m))
    candidates[m // 2 :] = candidates[: m - m // 2]
    candidates[m // 2 :, 0] += 1e-12  # the same in float32
    return queries, candidates


def beyond_float32(rng, n, m, d):
    queries, candidates = in_float64(rng, n, m, d)
    return queries * 1e30, candidates * 1e25


FAMILIES = [
    random_rows, duplicated, one_unit_apart, all_within_the_bound, rising, cancelling, any_length, with_zeros,
    whole_numbers, in_float64, beyond_float32,
]  # fmt: skip


def slow_scores(queries, candidates):
    """The definition: exact dot products, rounded once."""
    with np.errstate(over="ignore", under="ignore"):
        return np.array([[slow_dot(q, c) for c in candidates] for q in queries]) + np.float32(0)


@cache
def task(family, width):
    """Rows of a family, their slow scores and some relevant pairs; computed once for both engines and all blocks."""
    rng = np.random.default_rng(width)
    queries, candidates = family(rng, 11, 150, width)
    pairs = np.array([(i, j) for i in range(10) for j in rng.choice(150, rng.integers(1, 4), replace=False)])
    return queries, candidates, slow_scores(queries, candidates), pairs


def slow_dot(x, y):
    """By longdouble (64 bits), or by fractions where that is not sure."""
    wide = x.astype(np.longdouble) @ y.astype(np.longdouble)
    slack = np.longdouble(2.0**-60) * len(x) * (np.abs(x).astype(np.longdouble) @ np.abs(y).astype(np.longdouble))
    low, high = np.float32(wide - slack), np.float32(wide + slack)
    if low == high:
        return low
    total = sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True)), Fraction(0))
    return nearest_single(total)


def nearest_single(value):
    """The float32 nearest to a fraction, ties to even: tried on the candidates around it."""
    guess = np.float32(float(value))
    around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    around = [one for one in around if np.isfinite(one)]
    return min(around, key=lambda one: (abs(Fraction(float(one)) - value), int(one.view(np.int32)) & 1))


def slow_ranks(scores, pairs):
    """(first, pessimistic) from all scores and a full sort."""
    order = np.argsort(-scores, axis=1, kind="stable")
    relevant = np.zeros(scores.shape, bool)
    relevant[pairs[:, 0], pairs[:, 1]] = True
    first, worst = np.zeros(len(scores), int), np.zeros(len(scores), int)
    for i in np.flatnonzero(relevant.any(axis=1)):
        first[i] = np.flatnonzero(relevant[i][order[i]])[0] + 1
        worst[i] = np.sum((scores[i] >= scores[i][relevant[i]].max()) & ~relevant[i]) + 1
    return first, worst


@pytest.mark.parametrize("block", [13, 1000])
@pytest.mark.parametrize("width", [1, 24, 131])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_lists_are_those_of_the_definition(family, width, block):
    queries, candidates, scores, pairs = task(family, width)
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 10):
        top = r.rank_top_k(queries, candidates, k, block=block)
        np.testing.assert_array_equal(top.candidates, order[:, :k])
        np.testing.assert_array_equal(top.scores, np.take_along_axis(scores, order, 1)[:, :k])
    ranked = r.rank_relevant(queries, candidates, pairs, block=block)
    first, worst = slow_ranks(scores, pairs)
    np.testing.assert_array_equal(ranked.first, first)
    np.testing.assert_array_equal(ranked.pessimistic, worst)


@pytest.mark.parametrize("family", [duplicated, one_unit_apart, with_zeros], ids=lambda family: family.__name__)
def test_places_settle_ties(family):
    rng = np.random.default_rng(3)
    queries, candidates = family(rng, 11, 150, 16)
    places = rng.permutation(150)
    scores = slow_scores(queries, candidates)
    top = r.rank_top_k(queries, candidates, 8, ties=places, block=40)
    for i, row in enumerate(scores):
        assert top.candidates[i].tolist() == np.lexsort((places, -row))[:8].tolist()


def test_sparse_rows_too():
    rng = np.random.default_rng(5)
    rows = np.where(rng.random((120, 700)) < 0.05, rng.random((120, 700)), 0).astype(np.float32)
    rows[60:90] = rows[30:60]
    pairs = np.column_stack([np.arange(20), rng.integers(0, 100, 20)])
    ranked = r.rank_relevant(csr_matrix(rows[:20]), csr_matrix(rows[20:]), pairs, block=31)
    first, worst = slow_ranks(slow_scores(rows[:20], rows[20:]), pairs)
    assert (ranked.first.tolist(), ranked.pessimistic.tolist()) == (first.tolist(), worst.tolist())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_error_bound_holds(family, on_either):
    """Of the products as this machine makes them, and of sums in the worst order: large terms first, then the rest."""
    rng = np.random.default_rng(9)
    queries, candidates = family(rng, 8, 60, 131)
    both = Products(Rows.of(queries, on_either), Rows.of(candidates, on_either), on_either)
    exact = queries.astype(np.longdouble) @ candidates.astype(np.longdouble).T
    if both.single is None:
        assert family is beyond_float32
        return
    off = np.abs(np.asarray(both.single).astype(np.longdouble) - exact)
    assert (off <= both.error[:, None]).all()
    with np.errstate(under="ignore"):
        terms = queries.astype(np.float32)[:, None, :] * candidates.astype(np.float32)[None]
    terms = np.take_along_axis(terms, np.argsort(-np.abs(terms), axis=2), axis=2)
    worst = np.cumsum(terms, axis=2, dtype=np.float32)[:, :, -1]
    assert (np.abs(worst.astype(np.longdouble) - exact) <= both.error[:, None]).all()


def test_few_pairs_are_computed_again(monkeypatch):
    """On rows of the usual kind about k of every query are scored in float64, and no row of a block whole."""
    rng = np.random.default_rng(0)
    queries, candidates = random_rows(rng, 50, 4000, 64)
    seen = []
    monkeypatch.setattr(products.Products, "score_rows", lambda self, rows: iter(()) if not len(rows) else 1 / 0)
    scores = products.Products.scores
    monkeypatch.setattr(products.Products, "scores", lambda self, i, j: seen.append(len(i)) or scores(self, i, j))
    r.rank_top_k(queries, candidates, 10, block=1000)
    assert 500 <= sum(seen) < 50 * 45


def test_rounding_once_by_hand():
    """1 + 2^-24 + 2^-60 lies above the middle of 1 and its neighbour; float64 rounds it to the middle, then to 1."""
    x = np.array([1, 2.0**-24, 2.0**-60], np.float32)
    ones = np.ones(3, np.float32)
    assert np.float32(float(x.astype(float) @ ones)) == 1
    assert rounded_dot(x, ones) == np.nextafter(np.float32(1), np.float32(2))
    x[2] = -x[2]
    assert rounded_dot(x, ones) == 1
    assert rounded_dot(x.astype(np.float64), ones.astype(np.float64)) == 1


def test_rounding_of_sums_with_every_ending():
    rng = np.random.default_rng(1)
    for _ in range(300):
        x = (rng.integers(-(2**12), 2**12, 5) * 2.0 ** rng.integers(-30, 1, 5)).astype(np.float32)
        y = (rng.integers(-(2**12), 2**12, 5) * 2.0 ** rng.integers(-30, 1, 5)).astype(np.float32)
        total = sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(x, y, strict=True)), Fraction(0))
        assert rounded_dot(x, y) == nearest_single(total)
        assert rounded_dot(x.astype(np.float64), y.astype(np.float64)) == nearest_single(total)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_that_hold_no_number_are_refused(bad):
    rows = np.eye(3, dtype=np.float32)
    broken = rows.copy()
    broken[1, 1] = bad
    for pair in ((rows, broken), (broken, rows)):
        with pytest.raises(UserError, match="NaN, infinity"):
            r.rank_top_k(*pair, 2)
