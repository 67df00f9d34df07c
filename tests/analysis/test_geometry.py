"""Geometry against loops over all pairs and against cases with a known answer."""

import numpy as np
import pytest
from scipy import stats

from core.analysis.retrieval import geometry as g
from core.analysis.variants.moments import moments_of
from core.errors import ShapeMismatch


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 6)) + 1, rng.standard_normal((25, 6))
    return [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b)]


def test_means_against_loops(clouds):
    a, b = clouds
    assert g.mean_cosine_within(a) == pytest.approx(
        np.mean([x @ y for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    )
    assert g.mean_cosine_across(a, b) == pytest.approx(np.mean([x @ y for x in a for y in b]))
    assert g.modality_gap(a, b) == pytest.approx(np.linalg.norm(a.mean(0) - b.mean(0)))
    assert g.modality_gap(a, a) == 0
    assert np.isnan([g.mean_cosine_within(a[:1]), g.mean_cosine_across(a, b[:0]), g.modality_gap(a[:0], b)]).all()


def test_ranks_of_known_spectra():
    corners = np.vstack([np.eye(4), -np.eye(4)])
    even = moments_of(corners)
    assert g.effective_rank(even) == pytest.approx(4)
    assert g.participation_ratio(even) == pytest.approx(4)
    np.testing.assert_allclose(g.spectrum(even), 0.25)
    uneven = moments_of(corners * [3, 1, 0, 0])
    np.testing.assert_allclose(g.spectrum(uneven), [0.9, 0.1, 0, 0], atol=1e-12)
    assert g.effective_rank(uneven) == pytest.approx(np.exp(stats.entropy([0.9, 0.1])))
    assert g.participation_ratio(uneven) == pytest.approx(1 / 0.82)
    assert np.isnan(g.effective_rank(moments_of(np.ones((3, 4)))))


def test_hubness_by_hand_and_against_scipy():
    top = np.array([[0, 1], [0, 2], [0, 1], [0, 3]])
    found = g.hubness(top, 6, hubs=2)
    assert found.occurrences.tolist() == [4, 2, 1, 1, 0, 0]
    assert found.hubs.tolist() == [0, 1]
    assert found.never_share == pytest.approx(1 / 3)
    assert found.skewness == pytest.approx(stats.skew(found.occurrences))
    assert np.isnan(g.hubness(np.array([[0], [1]]), 2).skewness)
    with pytest.raises(ShapeMismatch):
        g.hubness(top, 3)


def test_alignment_and_uniformity_against_loops(clouds):
    a, b = clouds
    pairs = np.array([[0, 3], [5, 5], [29, 24]])
    assert g.alignment(a, b, pairs) == pytest.approx(np.mean([np.sum((a[i] - b[j]) ** 2) for i, j in pairs]))
    slow = np.log(np.mean([np.exp(-2 * np.sum((a[i] - a[j]) ** 2)) for i in range(30) for j in range(30) if i != j]))
    assert g.uniformity(a) == pytest.approx(slow)
    assert g.uniformity(a, pairs=400, seed=1) == pytest.approx(slow, abs=0.2)
    assert g.uniformity(a, pairs=400, seed=1) == g.uniformity(a, pairs=400, seed=1)
    assert g.uniformity(np.ones((5, 3))) == 0
    assert np.isnan(g.uniformity(a[:1]))
    assert np.isnan(g.alignment(a, b, pairs[:0]))


def test_histograms_cover_every_pair(clouds):
    a, b = clouds
    pairs = np.array([[i, i] for i in range(25)] + [[0, 0]])
    found = g.similarity_histograms(a, b, pairs, bins=8)
    cosines, positive = a @ b.T, np.zeros((30, 25), bool)
    positive[pairs[:, 0], pairs[:, 1]] = True
    assert (found.n_positive, found.n_negative) == (25, 725)
    edges = found.edges + np.array([-1e-9, *[0] * 7, 1e-9])
    np.testing.assert_allclose(found.positive, np.histogram(cosines[positive], edges)[0] / 25)
    np.testing.assert_allclose(found.negative, np.histogram(cosines[~positive], edges)[0] / 725)
    spread = np.sqrt((cosines[positive].var() + cosines[~positive].var()) / 2)
    assert found.d_prime == pytest.approx((cosines[positive].mean() - cosines[~positive].mean()) / spread)
    sampled = g.similarity_histograms(a, b, pairs, negatives=300)
    assert sampled.n_negative <= 300
    assert sampled.negative.sum() == pytest.approx(1)
    assert (sampled.d_prime, sampled.mean_negative) == pytest.approx((found.d_prime, cosines[~positive].mean()))
    assert g.similarity_histograms(a, b, pairs[:0]).n_positive == 0


def test_rotation_changes_nothing(clouds):
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    a, b = clouds
    for measure in (g.modality_gap, g.mean_cosine_across):
        assert measure(a, b) == pytest.approx(measure(a @ rotation, b @ rotation))
    for measure in (g.mean_cosine_within, g.uniformity, lambda x: g.effective_rank(moments_of(x))):
        assert measure(a) == pytest.approx(measure(a @ rotation))
