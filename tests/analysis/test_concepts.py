"""The measures against slow loops and dense c x c matrices, and by hand."""

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix

from core.analysis.concepts import fidelity
from core.analysis.concepts import measures as m
from core.errors import UserError


@pytest.fixture
def dense(world):
    return (
        world.query_codes.toarray().astype(float),
        world.candidate_codes.toarray().astype(float),
        world.dictionary.astype(float),
    )


@pytest.fixture
def given(world):
    return world.query_codes, world.candidate_codes, world.pairs, world.dictionary


def test_energy_and_frequency(world, dense):
    both = np.vstack(dense[:2])
    np.testing.assert_allclose(m.energy(world.query_codes, world.candidate_codes), both.mean(0), rtol=1e-6)
    np.testing.assert_allclose(m.frequency(world.query_codes, world.candidate_codes), (both > 0).mean(0))
    assert np.isnan(m.energy(csr_array((0, 3)))).all()


def test_modality_score_by_hand():
    image = csr_array(np.array([[1.0, 0, 0, 2], [3.0, 0, 0, 0]]))
    text = csr_array(np.array([[2.0, 0, 5, 0]]))
    np.testing.assert_allclose(m.modality_score(image, text), [0.5, np.nan, 1.0, 0.0])
    assert np.isnan(m.modality_score(image, text[:0])).all()


def test_attribution_and_bridge_against_the_outer_products(given, dense):
    """B of Eq 5 in full, and Eq 6 pair by pair."""
    q, c, d = dense
    gram = d @ d.T
    bridge = sum(np.outer(q[i], c[j]) for i, j in given[2]) / len(given[2]) * gram
    slow = sum(q[i] * (gram @ c[j]) + c[j] * (gram @ q[i]) for i, j in given[2]) / len(given[2])
    np.testing.assert_allclose(m.attribution(*given), slow, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(m.bridge_diagonal(*given), np.diag(bridge), rtol=1e-5)
    symmetric = (bridge + bridge.T) / 2
    np.testing.assert_allclose(2 * symmetric.sum(1), slow, rtol=1e-6, atol=1e-9)
    np.fill_diagonal(symmetric, -np.inf)
    np.testing.assert_allclose(m.bridge_max_offdiagonal(*given), symmetric.max(1), rtol=1e-5, atol=1e-9)


def test_offdiagonal_bridge_in_blocks_and_with_silent_concepts(given, monkeypatch):
    q, c, pairs, d = given
    wide = [csr_array((z.data, z.indices, z.indptr), shape=(z.shape[0], 70)) for z in (q, c)]
    more = np.vstack([d, np.eye(16, dtype=np.float32)[:10]])
    whole = m.bridge_max_offdiagonal(*wide, pairs, more)
    assert not whole[60:].any()
    monkeypatch.setattr(m, "CONCEPT_BLOCK", 7)
    np.testing.assert_allclose(m.bridge_max_offdiagonal(*wide, pairs, more), whole, rtol=1e-9)


def test_offdiagonal_bridge_by_hand():
    """Concepts 0 and 1 point away from each other: the best partner is the silent concept 2, with 0. Without it, the
    bad one."""
    q, c = csr_array(np.array([[2.0, 0, 0]])), csr_array(np.array([[0, 3.0, 0]]))
    d, pairs = np.array([[1.0, 0], [-1.0, 0], [0, 1.0]]), np.array([[0, 0]])
    assert m.bridge_max_offdiagonal(q, c, pairs, d).tolist() == [0, 0, 0]
    assert m.bridge_max_offdiagonal(q[:, :2], c[:, :2], pairs, d[:2]).tolist() == [-3, -3]
    assert np.isnan(m.bridge_max_offdiagonal(q[:, :1], c[:, :1], pairs, d[:1])).all()


def test_attribution_sums_to_twice_the_mean_dot_product(given, dense):
    q, c, d = dense
    dots = np.sum((q @ d)[given[2][:, 0]] * (c @ d)[given[2][:, 1]], axis=1)
    np.testing.assert_allclose(m.attribution(*given).sum(), 2 * dots.mean(), rtol=1e-6)


def test_measures_follow_a_permutation_and_rotation(given):
    q, c, pairs, d = given
    order = np.random.default_rng(0).permutation(60)
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((16, 16)))[0]
    moved = (q[:, order], c[:, order], pairs[::-1], (d @ rotation)[order])
    for measure in (m.attribution, m.bridge_diagonal, m.bridge_max_offdiagonal):
        np.testing.assert_allclose(measure(*moved), measure(*given)[order], rtol=1e-4, atol=1e-6)


def test_csr_matrix_is_as_good_as_csr_array(given):
    q, c, pairs, d = given
    np.testing.assert_array_equal(m.attribution(csr_matrix(q), csr_matrix(c), pairs, d), m.attribution(q, c, pairs, d))
    np.testing.assert_array_equal(m.energy(csr_matrix(q)), m.energy(q))


def test_no_pairs_is_unknown(given):
    q, c, pairs, d = given
    for measure in (m.attribution, m.bridge_diagonal, m.bridge_max_offdiagonal):
        assert np.isnan(measure(q, c, pairs[:0], d)).all()


def test_top_share_counts_all_concepts_and_breaks_ties_by_index():
    assert m.top_share(np.array([1.0, 3, 3, np.nan, 2]), 0.6).tolist() == [1, 2, 4]
    assert m.top_share(np.arange(40.0), 0.01).tolist() == [39]
    assert len(m.top_share(np.zeros(150), 0.01)) == round(1.5)
    assert m.top_share(np.zeros(5), 0.4).tolist() == [0, 1]
    with pytest.raises(UserError):
        m.top_share(np.zeros(5), 1.5)


def test_overlaps_by_hand():
    assert m.jaccard([1, 2, 3], [2, 3, 4]) == 0.5
    assert m.triple_overlap([1, 2], [2, 3], [2, 4]) == 0.25
    assert np.isnan(m.jaccard([], []))


def test_cumulative_energy_by_hand():
    np.testing.assert_allclose(m.cumulative_energy(np.array([1.0, 6, 3])), [0.6, 0.9, 1.0])
    assert [m.concepts_for_energy(np.array([1.0, 6, 3]), s) for s in (0.5, 0.6, 0.61, 0.9, 1.0)] == [1, 1, 2, 2, 3]
    assert m.concepts_for_energy(np.zeros(4)) == 0
    assert m.concepts_for_energy(np.full(10, 0.1), 0.8) == 8, "rounding of the sum must not ask for one more"


def test_co_firing_by_hand():
    z = csr_array(np.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 1, 0]]))
    found = m.co_firing(z, 0)
    assert found.concepts.tolist() == [1, 2]
    assert found.items.tolist() == [2, 1]
    np.testing.assert_allclose(found.share, [2 / 3, 1 / 3])
    np.testing.assert_allclose(found.jaccard, [2 / 4, 1 / 4])
    assert not len(m.co_firing(z, 3).concepts)


def test_concept_table_has_all_concepts_and_keeps_mixed_items_out_of_the_modalities(given, dense):
    q, c, pairs, d = given
    of_q = ["image"] * 30 + ["image,text"] * 10
    table = m.concept_table(q, c, of_q, ["text"] * 50, pairs, d)
    assert list(table.columns) == [
        "concept", "energy", "energy_image", "energy_text", "modality_score", "bridge", "attribution", "frequency",
    ]  # fmt: skip
    assert table.concept.tolist() == list(range(60))
    image, text = dense[0][:30].mean(0), dense[1].mean(0)
    np.testing.assert_allclose(table.energy_image, image, rtol=1e-6)
    np.testing.assert_allclose(table.modality_score, text / (image + text), rtol=1e-6)
    np.testing.assert_allclose(table.energy, np.vstack(dense[:2]).mean(0), rtol=1e-6)
    assert m.concept_table(q, c, ["text"] * 40, ["text"] * 50, pairs, d).modality_score.isna().all()


def test_explained_variance_by_hand_and_in_batches():
    """Offsets must not help: the mean of each dimension explains nothing."""
    x = np.array([[100.0, 0], [102.0, 0], [104.0, 0]])
    assert fidelity.explained_variance_per_dimension(x, x) == 1
    assert fidelity.explained_variance_per_dimension(x, np.tile(x.mean(0), (3, 1))) == 0
    np.testing.assert_allclose(fidelity.explained_variance_per_dimension(x, x + [1.0, 1.0]), 1 - 6 / 8)
    rng = np.random.default_rng(0)
    x, x_hat = rng.standard_normal((50, 4)) + 1e6, rng.standard_normal((50, 4)) + 1e6
    calculator = fidelity.ExplainedVariance(4)
    for part in (slice(0, 7), slice(7, 7), slice(7, 50)):
        calculator.add_batch(x[part], x_hat[part])
    np.testing.assert_allclose(
        calculator.compute(), 1 - np.sum((x - x_hat) ** 2) / np.sum((x - x.mean(0)) ** 2), rtol=1e-7
    )
    np.testing.assert_allclose(
        calculator.per_dimension()[2], 1 - np.sum((x - x_hat)[:, 2] ** 2) / (x[:, 2].var() * 50), rtol=1e-7
    )
    assert np.isnan(fidelity.explained_variance_per_dimension(x[:1], x[:1]))


def test_l0_and_dead_share_by_hand():
    z = csr_array(np.array([[1.0, 0, 0], [2.0, 3.0, 0]]))
    assert fidelity.l0(z) == 1.5
    assert fidelity.dead_share(z) == pytest.approx(1 / 3)
    assert np.isnan(fidelity.l0(z[:0]))
    assert np.isnan(fidelity.dead_share(z[:0]))
