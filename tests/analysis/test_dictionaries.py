"""Dictionaries that are no SAE: against scikit-learn, the conditions of an optimum, and by hand."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from sklearn.decomposition import PCA

from core.analysis.concepts.directions import DirectionDictionary, fit_directions
from core.analysis.concepts.fidelity import explained_variance_per_dimension
from core.errors import ShapeMismatch, UserError

KINDS = ["pca", "ica", "kmeans"]


@pytest.fixture(scope="module")
def rows():
    """400 rows of 12 dimensions: sparse positive mixtures of 12 directions, away from the origin."""
    rng = np.random.default_rng(2)
    sources = rng.exponential(size=(400, 12)) * (rng.random((400, 12)) < 0.3)
    return (sources @ rng.standard_normal((12, 12)) + 3 * rng.standard_normal(12)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_contract_of_a_dictionary(rows, kind):
    fitted = fit_directions(rows, kind, size=20, k=4)
    codes = fitted.encode(rows)
    assert codes.shape == (400, len(fitted.dictionary)) == (400, 20)
    assert codes.data.min() > 0
    assert 1 <= np.diff(codes.indptr).max() <= 4
    assert codes.has_sorted_indices
    np.testing.assert_allclose(np.linalg.norm(fitted.dictionary, axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(fitted.offset, rows.astype(float).mean(0), atol=1e-9)
    np.testing.assert_allclose(
        fitted.reconstruct(codes), codes.toarray() @ fitted.dictionary + fitted.offset, atol=1e-9
    )
    again = fit_directions(rows, kind, size=20, k=4).encode(rows)
    np.testing.assert_array_equal(again.toarray(), codes.toarray())


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_all_components_reconstruct_exactly(rows, kind):
    fitted = fit_directions(rows, kind, size=24, k=12)
    np.testing.assert_allclose(fitted.reconstruct(fitted.encode(rows)), rows, atol=1e-4)


@pytest.mark.parametrize("kind", ["pca", "ica"])
def test_scores_are_coefficients_of_unit_rows(rows, kind):
    """Not of scikit-learn's unit variance: with as many axes as dimensions the scores times the axes are the centred
    rows."""
    fitted = fit_directions(rows, kind, size=24, k=12)
    scores = (rows - fitted.offset) @ fitted.encoder
    np.testing.assert_allclose(scores[:, :12] @ fitted.dictionary[:12], rows - fitted.offset, atol=1e-4)
    np.testing.assert_allclose(scores[:, 12:], -scores[:, :12], atol=1e-9)


def test_pca_codes_are_the_largest_components_of_scikit_learn(rows):
    x = rows.astype(float)
    scores = PCA(12, svd_solver="full").fit_transform(x)
    fitted = fit_directions(rows, "pca", size=24, k=3)
    codes = fitted.encode(rows).toarray()
    signed = codes[:, :12] - codes[:, 12:]
    largest = np.argsort(-np.abs(scores), axis=1)[:, :3]
    expected = np.zeros_like(scores)
    np.put_along_axis(expected, largest, np.take_along_axis(scores, largest, axis=1), axis=1)
    np.testing.assert_allclose(signed, expected, atol=1e-6)


def test_ica_finds_the_mixing_directions(rows):
    rng = np.random.default_rng(2)
    rng.exponential(size=(400, 12)), rng.random((400, 12))
    mixing = rng.standard_normal((12, 12))
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    cosines = np.abs(mixing @ fit_directions(rows, "ica", size=24, k=3).dictionary[:12].T)
    assert (cosines.max(1) > 0.95).mean() > 0.8
    assert (np.abs(mixing @ PCA(12).fit(rows).components_.T).max(1) > 0.95).mean() < 0.3


def test_kmeans_finds_the_directions_of_clusters():
    rng = np.random.default_rng(0)
    centres = 5 * np.eye(6)
    x = np.repeat(centres, 50, axis=0) + 0.1 * rng.standard_normal((300, 6))
    fitted = fit_directions(x, "kmeans", size=30, k=2)
    directions = centres - centres.mean(0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert (fitted.dictionary @ directions.T).max(1).min() > 0.99, "every centroid lies in one of the clusters"
    assert explained_variance_per_dimension(x, fitted.reconstruct(fitted.encode(x))) > 0.98


@pytest.mark.parametrize("kind", ["ica", "kmeans"])
def test_coefficients_are_the_best_non_negative_ones(rows, kind):
    """Of the directions with the largest scores, against another solver of bounded least squares."""
    fitted = fit_directions(rows, kind, size=20, k=5)
    codes = fitted.encode(rows[:30]).toarray()
    scores = (rows[:30] - fitted.offset) @ fitted.encoder
    for i in range(30):
        active = [j for j in np.argsort(-scores[i])[:5] if scores[i, j] > 0]
        best = lsq_linear(fitted.dictionary[active].T, rows[i] - fitted.offset, (0, np.inf), method="bvls", tol=1e-12)
        residual = rows[i] - fitted.offset - codes[i] @ fitted.dictionary
        np.testing.assert_allclose(residual @ residual, 2 * best.cost, rtol=1e-6, atol=1e-9)
        assert set(np.flatnonzero(codes[i])) <= set(active)


def test_by_hand():
    """Two overlapping directions; h - u = (2, 1): the projections 2 and 2.12 add up to far too much, the refit to (1,
    1.41)."""
    rows = np.array([[1.0, 0], [1, 1]]) / np.array([[1.0], [np.sqrt(2)]])
    fitted = DirectionDictionary(rows, np.array([10.0, 10]), rows.T, 2, "kmeans", 9)
    codes = fitted.encode(np.array([[12.0, 11], [10, 10], [9, 10], [10, 11]]))
    np.testing.assert_allclose(codes.toarray(), [[1, np.sqrt(2)], [0, 0], [0, 0], [0, np.sqrt(0.5)]], atol=1e-12)


def test_twin_directions_do_no_harm(rows):
    d = fit_directions(rows, "kmeans", size=6, k=4)
    twins = DirectionDictionary(
        np.repeat(d.dictionary, 2, axis=0), d.offset, np.repeat(d.encoder, 2, axis=1), 8, "kmeans", 400
    )
    found, expected = twins.reconstruct(twins.encode(rows)), d.reconstruct(d.encode(rows))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_no_more_axes_than_the_rows_have(rows):
    fitted = fit_directions(rows, "pca", size=100, k=3)
    assert len(fitted.dictionary) == 24
    assert "24 directions instead of 100" in fitted.notes[0]
    assert len(fit_directions(rows[:5], "pca", size=100, k=3).dictionary) == 8, (
        "five rows lie in four dimensions around their mean"
    )
    assert not fit_directions(rows, "pca", size=10, k=3).notes


def test_what_does_not_fit_is_refused(rows):
    with pytest.raises(UserError, match="at least 20"):
        fit_directions(rows[:10], "kmeans", size=20, k=2)
    with pytest.raises(UserError, match="1 to 24"):
        fit_directions(rows, "pca", size=100, k=30)
    with pytest.raises(ShapeMismatch):
        fit_directions(rows, "pca", size=10, k=3).encode(rows[:, :5])
