"""Common directions, the gap between the sides, controls of removal: against scikit-learn and the formulas in dense
numpy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.decomposition import PCA

from core.analysis.variants import apply_variant, fit_variant, parse_variant
from core.errors import NotAvailable, UserError, VariantError


def unit(x):
    x = np.asarray(x, dtype=np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("statistics", "count"), [("per-side", 3), ("support", 3), ("shared", 1), ("candidates", 5)])
def test_all_but_top_subtracts_the_components_of_scikit_learn(world, statistics, count):
    q, c, s = unit(world.queries), unit(world.candidates), unit(world.support_queries)
    on = {"per-side": (q, c), "support": (s, c), "shared": (np.vstack([q, c]),) * 2, "candidates": (c, c)}[statistics]
    rows = apply_variant(fit_variant(f"all-but-top(components={count},statistics={statistics})", world), world)
    for x, fitted_on, found in ((q, on[0], rows.queries), (c, on[1], rows.candidates)):
        pca = PCA(count, svd_solver="full").fit(fitted_on)
        np.testing.assert_allclose(
            found, unit(x - pca.mean_ - pca.inverse_transform(pca.transform(x)) + pca.mean_), atol=1e-6
        )


def test_all_but_top_takes_one_component_in_a_hundred_dimensions_and_leaves_some(world):
    wide = np.random.default_rng(0).standard_normal((300, 249)).astype(np.float32)
    bare = replace(
        world,
        queries=wide,
        candidates=wide[:200],
        query_codes=None,
        candidate_codes=None,
        dictionary=None,
        pairs=None,
        support_queries=None,
        support_candidates=None,
        support_query_codes=None,
        support_candidate_codes=None,
        support_pairs=None,
        memo=type(world.memo)(),
    )
    matrix = fit_variant("all-but-top", bare).query.matrix
    assert np.trace(matrix) == pytest.approx(249 - 2), "round(2.49) directions less"
    assert np.trace(fit_variant("all-but-top", world).query.matrix) == pytest.approx(15), "never less than one"
    with pytest.raises(UserError, match="1 to 15"):
        fit_variant("all-but-top(components=16)", world)


def test_close_gap_gives_both_sides_the_mean_halfway(world):
    q, c = unit(world.queries), unit(world.candidates)
    shift = (q.mean(0) - c.mean(0)) / 2
    rows = apply_variant(fit_variant("close-gap", world), world)
    np.testing.assert_allclose(rows.queries, unit(q - shift), atol=1e-6)
    np.testing.assert_allclose(rows.candidates, unit(c + shift), atol=1e-6)
    fitted = fit_variant("close-gap(statistics=support)", world)
    s = unit(world.support_queries)
    np.testing.assert_allclose(fitted.query.mean, (s.mean(0) - c.mean(0)) / 2, atol=1e-9)
    np.testing.assert_allclose(fitted.candidate.mean, -fitted.query.mean, atol=1e-12)
    assert fitted.query.code_mean is None, "nothing is centred"


def test_remove_mean_direction_makes_the_means_differ_no_more_and_centres_nothing(world):
    q, c = unit(world.queries), unit(world.candidates)
    fitted = fit_variant("remove-mean-direction", world)
    v = q.mean(0) - c.mean(0)
    v /= np.linalg.norm(v)
    rows = apply_variant(fitted, world)
    np.testing.assert_allclose(rows.queries, unit(q - np.outer(q @ v, v)), atol=1e-6)
    np.testing.assert_allclose(rows.candidates, unit(c - np.outer(c @ v, v)), atol=1e-6)
    np.testing.assert_allclose((q.mean(0) - c.mean(0)) @ fitted.query.matrix, 0, atol=1e-12)
    assert not fitted.query.mean.any() and fitted.query.code_mean is None


def test_without_a_gap_nothing_is_removed(world):
    same = replace(world, queries=world.candidates, query_codes=world.candidate_codes, memo=type(world.memo)())
    fitted = fit_variant("remove-mean-direction", same)
    np.testing.assert_allclose(apply_variant(fitted, same).queries, unit(world.candidates), atol=1e-6)
    assert any("same mean" in note for note in fitted.notes)


@pytest.mark.parametrize("text", ["close-gap(statistics=shared)", "remove-mean-direction(statistics=candidates)"])
def test_a_gap_needs_two_sides(text):
    with pytest.raises(VariantError, match="'per-side' or 'support'"):
        parse_variant(text)


def test_remove_pca_takes_the_axes_of_all_rows_and_leaves_the_mean(world):
    both = np.vstack([unit(world.queries), unit(world.candidates)])
    axes = PCA(3, svd_solver="full").fit(both).components_
    fitted = fit_variant("remove-pca(rank=3)", world)
    basis = fitted.query.removed_basis
    np.testing.assert_allclose(basis.T @ basis, axes.T @ axes, atol=1e-9)
    rows = apply_variant(fitted, world)
    np.testing.assert_allclose(rows.queries, unit(world.queries - world.queries @ axes.T @ axes), atol=1e-5)
    assert fitted.query.mean is None and "90 unit rows" in " ".join(fitted.notes)
    with pytest.raises(VariantError, match="1 to 16"):
        fit_variant("remove-pca(rank=17)", world)


def test_remove_pca_comes_after_edits(world):
    z, d = world.query_codes.toarray().astype(float), world.dictionary.astype(float)
    zc = world.candidate_codes.toarray().astype(float)
    edited = [unit(x - codes[:, [5]] * d[5]) for x, codes in ((world.queries, z), (world.candidates, zc))]
    axes = PCA(2, svd_solver="full").fit(np.vstack(edited)).components_
    basis = fit_variant("set(5=0)+remove-pca(rank=2)", world).query.removed_basis
    np.testing.assert_allclose(basis.T @ basis, axes.T @ axes, atol=1e-9)


def test_directions_need_no_dictionary(world):
    bare = replace(
        world,
        query_codes=None,
        candidate_codes=None,
        support_query_codes=None,
        support_candidate_codes=None,
        dictionary=None,
        memo=type(world.memo)(),
    )
    for text in ("remove-pca(rank=2)", "remove-directions(rank=2)"):
        assert not parse_variant(text).needs_concepts
        assert len(fit_variant(text, bare).query.removed_basis) == 2
    with pytest.raises(NotAvailable):
        fit_variant("remove-random", bare)


def test_random_concepts_reach_the_rank_asked_for(world):
    """A share of 1% is one concept of 60: too few to span seven directions, so seven are drawn."""
    fitted = fit_variant("remove-random(rank=7)", world)
    assert len(fitted.removed_concepts) == len(fitted.query.removed_basis) == 7
    assert "removed 7 of 16 dimensions" in fitted.notes
    rows = world.dictionary[list(fitted.removed_concepts)]
    np.testing.assert_allclose(rows - rows @ fitted.query.removed_basis.T @ fitted.query.removed_basis, 0, atol=1e-6)
    short = fit_variant("remove-random(count=4,rank=7)", world)
    assert len(short.query.removed_basis) == 4
    assert "rank 7 was asked for; these 4 concepts span 4" in short.notes


def test_random_concepts_of_a_run_where_hardly_any_fires_are_drawn_from_all(world):
    lone = np.zeros(world.dictionary.shape[0])
    lone[3] = 1
    codes = {
        name: csr_array(getattr(world, name).multiply(lone))
        for name in ("query_codes", "candidate_codes", "support_query_codes", "support_candidate_codes")
    }
    bare = replace(world, **codes, memo=type(world.memo)())
    fitted = fit_variant("remove-random(count=4)", bare)
    assert len(fitted.removed_concepts) == 4
    assert "4 random concepts of all 60: 1 fire" in fitted.notes
