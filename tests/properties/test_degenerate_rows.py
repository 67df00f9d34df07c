"""Whitening and measures on rows that say little: none, one, equal, few for the dimensions, NaN, infinite, huge, tiny.

Each gives finite numbers (or the NaN that its docstring names) or one error for the user; no warning, no other error.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from core.analysis.concepts import measures
from core.analysis.retrieval.evaluation import evaluate
from core.analysis.retrieval.ranking import rank_relevant
from core.analysis.variants import FitData, apply_variant, fit_variant
from core.analysis.variants.moments import CovarianceAccumulator, moments_of
from core.analysis.variants.steps import STEPS
from core.analysis.variants.whiten import apply_affine, fit_auto, fit_realign, fit_scale, fit_zca
from core.errors import UserError

D = 6
AFFINE = [name for name, step in STEPS.items() if step.stage == "affine"]
CHAINS = [*AFFINE, "remove-pca", "remove-directions", "center+zca", "zca+realign", "remove-pca+realign(eps=0)"]
ZERO_EPS = ["scale-dims(eps=0)", "zca(eps=0)", "realign(beta=0,eps=0)", "realign(eps=0)", "pca(eps=0)", "auto(eps=0)"]

sound = st.floats(-3, 3, width=32)
odd = st.sampled_from([0.0, 1.0, 1e-30, 1e-45, 1e30, 3e38])
broken = st.sampled_from([np.nan, np.inf, -np.inf])


def rows(n: int, d: int = D) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, d)).astype(np.float32)


SETS = {
    "none": rows(0), "one": rows(1), "two": rows(2), "few for the dimensions": rows(3), "zeros": rows(5) * 0,
    "equal": np.tile(rows(1), (5, 1)), "equal but for rounding": np.tile(rows(1), (5, 1)) + np.eye(5, D) * 1e-7,
    "one dimension only": rows(5) * np.eye(1, D), "huge": rows(5) * np.float32(1e37),
    "tiny": rows(5) * np.float32(1e-38),
    "opposite": np.vstack([rows(2), -rows(2)]), "sound": rows(40),
}  # fmt: skip


def check(chain: str, queries: np.ndarray, candidates: np.ndarray) -> None:
    """Unit rows or zero rows on both sides, or one error for the user."""
    try:
        made = apply_variant(fit_variant(chain, data := FitData(queries=queries, candidates=candidates)), data)
    except UserError as error:
        assert "\n" not in str(error)
        return
    for side in (made.queries, made.candidates):
        norms = np.linalg.norm(side.astype(np.float64), axis=1)
        assert np.isfinite(side).all() and ((np.abs(norms - 1) < 1e-5) | (norms == 0)).all()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("chain", ["none", *CHAINS, *ZERO_EPS])
def test_every_step_on_every_kind_of_rows(chain: str, name: str) -> None:
    check(chain, SETS[name], SETS[name])
    check(chain, SETS["sound"], SETS[name])


@given(st.sampled_from([*CHAINS, *ZERO_EPS]), st.data())
@settings(max_examples=200)
def test_every_step_on_any_finite_rows(chain: str, data: st.DataObject) -> None:
    shapes = st.tuples(st.integers(0, 8), st.just(D))
    queries, candidates = (data.draw(arrays(np.float32, shapes, elements=sound | odd)) for _ in range(2))
    check(chain, queries, candidates)


@given(st.sampled_from(["none", *CHAINS]), st.integers(0, 4), st.integers(0, D - 1), broken)
def test_a_row_of_nan_or_infinity_is_refused_and_named(chain: str, row: int, column: int, value: float) -> None:
    queries = rows(5)
    queries[row, column] = value
    with pytest.raises(UserError, match=f"row {row} of 5"):
        apply_variant(fit_variant(chain, data := FitData(queries=queries, candidates=rows(5))), data)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e100])
def test_moments_refuse_what_has_none(value: float) -> None:
    accumulator = CovarianceAccumulator(2)
    accumulator.add_batch(np.ones((3, 2)))
    with pytest.raises(UserError, match="NaN, infinity.*rows 3 to 4"):
        accumulator.add_batch(np.array([[1.0, 2.0], [value, 0.0]]))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_rows_have_no_covariance(n: int) -> None:
    with pytest.raises(UserError, match=f"cannot fit a covariance; got {n} rows; allowed: at least 2"):
        moments_of(rows(n))


@pytest.mark.parametrize("eps", [1e-5, 0.0])
def test_equal_rows_map_to_nothing(eps: float) -> None:
    moments = moments_of(np.ones((4, 3)))
    for record in (fit_zca(moments, eps), fit_realign(moments, 0.1, eps), fit_scale(moments, eps), fit_auto(moments)):
        assert np.array_equal(apply_affine(np.ones((2, 3)), record), np.zeros((2, 3)))
        assert record.matrix is not None and np.isfinite(record.matrix).all()


def test_without_eps_the_null_space_gets_no_gain() -> None:
    """ZCA of 3 rows in 6 dimensions: the whitened fitting rows have covariance I on their plane, and 0 elsewhere."""
    x = rows(3).astype(np.float64)
    white = apply_affine(x, fit_zca(moments_of(x), 0.0))
    values = np.linalg.eigvalsh(np.cov(white.T))
    np.testing.assert_allclose(values, [0, 0, 0, 0, 1, 1], atol=1e-9)
    assert np.abs(apply_affine(rows(40), fit_zca(moments_of(x), 0.0))).max() < 100


codes = arrays(np.float64, st.tuples(st.integers(0, 5), st.just(4)), elements=st.sampled_from([0.0, 0.0, 0.5, 3.0]))


@given(codes, codes, st.data())
@settings(max_examples=150)
def test_measures_of_any_codes(query: np.ndarray, candidate: np.ndarray, data: st.DataObject) -> None:
    """NaN exactly where the docstrings say: no items, no pairs, a concept that never fires."""
    q, c, dictionary = csr_matrix(query), csr_matrix(candidate), np.eye(4, 3)
    pair = st.tuples(st.integers(0, max(0, len(query) - 1)), st.integers(0, max(0, len(candidate) - 1)))
    some = len(query) > 0 and len(candidate) > 0
    pairs = np.array(data.draw(st.lists(pair, max_size=4)) if some else [], dtype=np.int64).reshape(-1, 2)
    items = len(query) + len(candidate)
    for values in (measures.energy(q, c), measures.frequency(q, c)):
        assert np.isfinite(values).all() if items else np.isnan(values).all()
    fires = (query.sum(0) + candidate.sum(0) > 0) if some else np.zeros(4, bool)
    np.testing.assert_array_equal(np.isfinite(measures.modality_score(q, c)), fires)
    for measure in (measures.bridge_diagonal, measures.bridge_max_offdiagonal, measures.attribution):
        values = measure(q, c, pairs, dictionary)
        assert np.isfinite(values).all() if len(pairs) else np.isnan(values).all()
    energy = measures.energy(q, c)
    assert len(measures.top_share(energy, 0.5)) == 2 and 0 <= measures.concepts_for_energy(np.nan_to_num(energy)) <= 4


@given(st.integers(0, 5), st.integers(0, 5), st.data())
def test_recall_of_any_relevance(n: int, m: int, data: st.DataObject) -> None:
    queries, candidates = (arrays(np.float32, (k, 3), elements=sound) for k in (n, m))
    q, c = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1) for x in map(data.draw, (queries, candidates)))
    pair = st.tuples(st.integers(0, max(0, n - 1)), st.integers(0, max(0, m - 1)))
    pairs = np.array(data.draw(st.lists(pair, max_size=5)) if n and m else [], dtype=np.int64).reshape(-1, 2)
    try:
        evaluation = evaluate(rank_relevant(q, c, pairs), resamples=20)
    except UserError:
        return
    for value in (*evaluation.recall.values(), evaluation.mrr, evaluation.ndcg10):
        assert 0 <= value <= 1 if n else np.isnan(value)
