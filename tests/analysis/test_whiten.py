"""Whitening against scikit-learn and the formulas written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import OAS, LedoitWolf, ShrunkCovariance, empirical_covariance
from sklearn.decomposition import PCA

from core.analysis.variants import whiten
from core.errors import ShapeMismatch, UserError


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    return rng.standard_normal((70, 12)) @ rng.standard_normal((12, 12)) + 5 * rng.standard_normal(12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 69), max_size=6), st.floats(-1e6, 1e6))
def test_any_split_into_batches_gives_the_moments_of_the_whole(cuts, shift):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((70, 5)) * [1, 2, 3, 4, 5] + shift
    accumulator = whiten.CovarianceAccumulator(5)
    for batch in np.split(x, sorted(cuts)):
        accumulator.add_batch(batch)
    moments = accumulator.compute()
    y = x - x.mean(0)
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(x.T), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(moments.fourth, np.sum(np.sum(y**2, 1) ** 2), rtol=1e-7)
    assert moments.n_samples == 70


def test_merged_moments_are_those_of_the_union(rows):
    merged = whiten.merge_moments(*(whiten.moments_of(part) for part in np.split(rows, [20, 33])))
    whole = whiten.moments_of(rows)
    np.testing.assert_allclose(merged.covariance, whole.covariance, rtol=1e-10)
    np.testing.assert_allclose([merged.fourth, merged.third[0]], [whole.fourth, whole.third[0]], rtol=1e-9)
    np.testing.assert_allclose(whiten.moments_of(rows[:9], rows[9:]).covariance, whole.covariance, rtol=1e-10)


@pytest.mark.parametrize("n", [70, 8])
def test_automatic_shrinkage_is_scikit_learns(rows, n):
    moments = whiten.moments_of(rows[:n])
    np.testing.assert_allclose(whiten.shrinkage_ledoit_wolf(moments), LedoitWolf().fit(rows[:n]).shrinkage_, rtol=1e-9)
    np.testing.assert_allclose(whiten.shrinkage_oas(moments), OAS().fit(rows[:n]).shrinkage_, rtol=1e-9)
    assert whiten.fit_auto(moments).beta == whiten.shrinkage_ledoit_wolf(moments)
    assert whiten.fit_auto(moments, "oas").beta == whiten.shrinkage_oas(moments)


def test_realign_whitens_the_shrunk_covariance_of_scikit_learn(rows):
    """W^-2 = Sigma_beta + eps I with Sigma_beta of ShrunkCovariance, which divides by N where we divide by N - 1."""
    n = len(rows)
    record = whiten.fit_realign(whiten.moments_of(rows), beta=0.2, eps=1e-3)
    shrunk = ShrunkCovariance(shrinkage=0.2).fit(rows).covariance_ * (n / (n - 1))
    np.testing.assert_allclose(
        np.linalg.matrix_power(record.matrix, -2), shrunk + 1e-3 * np.eye(12), rtol=1e-8, atol=1e-8
    )
    assert (record.beta, record.eps, record.n_samples, record.kind) == (0.2, 1e-3, n, "realign")


def test_zca_and_pca_give_unit_covariance(rows):
    moments = whiten.moments_of(rows)
    for record in (whiten.fit_zca(moments, eps=0.0), whiten.fit_pca(moments, eps=0.0)):
        np.testing.assert_allclose(np.cov(whiten.apply_affine(rows, record).T), np.eye(12), atol=1e-8)
    scaled = whiten.apply_affine(rows, whiten.fit_scale(moments, eps=0.0))
    np.testing.assert_allclose(scaled, (rows - rows.mean(0)) / rows.std(0, ddof=1), rtol=1e-9)
    np.testing.assert_allclose(whiten.fit_zca(moments).matrix, whiten.fit_zca(moments).matrix.T, rtol=1e-9)


def test_pca_is_scikit_learns_up_to_sign(rows):
    ours = whiten.apply_affine(rows, whiten.fit_pca(whiten.moments_of(rows), eps=0.0, n_components=4))
    theirs = PCA(4, whiten=True).fit_transform(rows)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=1e-6, atol=1e-9)


def test_beta_one_is_a_multiple_of_the_identity(rows):
    record = whiten.fit_realign(whiten.moments_of(rows), beta=1.0)
    np.testing.assert_allclose(record.matrix, record.matrix[0, 0] * np.eye(12), atol=1e-12)


def test_eps_warning_compares_with_the_floor(rows):
    moments = whiten.moments_of(rows)
    floor = 0.1 * np.trace(empirical_covariance(rows)) * 70 / 69 / 12
    assert not whiten.fit_realign(moments, 0.1, eps=0.09 * floor).warnings
    (warning,) = whiten.fit_realign(moments, 0.1, eps=0.2 * floor).warnings
    assert "20% of the shrinkage floor" in warning


def test_few_rows(rows):
    with pytest.raises(UserError, match="at least 2"):
        whiten.moments_of(rows[:1])
    few = whiten.moments_of(rows[:6])
    (warning,) = whiten.fit_zca(few).warnings
    assert "rank-deficient" in warning
    assert not whiten.fit_realign(few).warnings
    whitened = whiten.apply_affine(rows[:6], whiten.fit_zca(few, eps=0.0))
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(whitened.T))[-5:], 1, rtol=1e-6)


def test_constant_rows_map_to_zero():
    moments = whiten.moments_of(np.full((9, 4), 3.0))
    for record in (
        whiten.fit_zca(moments),
        whiten.fit_realign(moments),
        whiten.fit_auto(moments),
        whiten.fit_scale(moments, 0.0),
    ):
        assert np.array_equal(whiten.apply_affine(np.full((2, 4), 3.0), record), np.zeros((2, 4)))


def test_wrong_width_and_components_are_refused(rows):
    moments = whiten.moments_of(rows)
    with pytest.raises(ShapeMismatch):
        whiten.apply_affine(rows[:, :5], whiten.fit_center(moments))
    with pytest.raises(ShapeMismatch):
        whiten.CovarianceAccumulator(4).add_batch(rows)
    with pytest.raises(UserError, match="1 to 12"):
        whiten.fit_pca(moments, n_components=13)
