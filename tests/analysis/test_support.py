"""Samples of the support split, from which size on they are safe, and shrinkage chosen per side."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import OAS, LedoitWolf

from core.analysis.retrieval import safe_from
from core.analysis.variants import apply_variant, fit_variant
from core.analysis.variants.fitdata import support_sample
from core.errors import NotAvailable, UserError


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_a_sample_is_some_of_the_queries_with_their_codes_and_pairs(world):
    sample = support_sample(world, 12, seed=3)
    where = [int(np.flatnonzero((world.support_queries == row).all(1))[0]) for row in sample.support_queries]
    assert len(set(where)) == 12
    np.testing.assert_array_equal(sample.support_query_codes.toarray(), world.support_query_codes.toarray()[where])
    assert [(where[q], c) for q, c in sample.support_pairs] == [(q, c) for q, c in world.support_pairs if q in where]
    assert sample.support_candidates is world.support_candidates
    assert sample.memo is not world.memo


def test_larger_samples_hold_the_smaller_ones_and_seeds_differ(world):
    drawn = [{tuple(row) for row in support_sample(world, size, 0).support_queries.tolist()} for size in (5, 20, 45)]
    assert drawn[0] < drawn[1] < drawn[2] == {tuple(row) for row in world.support_queries.tolist()}
    assert drawn[0] != {tuple(row) for row in support_sample(world, 5, 1).support_queries.tolist()}


def test_statistics_and_removal_are_fitted_on_the_sample_alone(world):
    sample = support_sample(world, 9)
    fitted = fit_variant("remove-top(share=0.1)+center(statistics=support)", sample)
    assert fitted.query.n_samples == 9
    assert "on support pairs" in " ".join(fitted.notes)
    centred = fit_variant("center(statistics=support)", sample)
    np.testing.assert_allclose(centred.query.mean, unit(sample.support_queries.astype(float)).mean(0), atol=1e-9)
    assert np.abs(centred.query.mean - fit_variant("center(statistics=support)", world).query.mean).max() > 1e-3


def test_samples_that_do_not_exist_are_refused(world):
    with pytest.raises(UserError, match="1 to 45"):
        support_sample(world, 46)
    bare = replace(world, support_queries=None, support_query_codes=None, support_pairs=None)
    with pytest.raises(NotAvailable):
        support_sample(bare, 3)


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        ([0.1, 0.2, 0.3], 10),
        ([-0.1, 0.2, 0.3], 30),
        ([0.1, -0.2, 0.3], 100),
        ([0.1, 0.2, 0.0], None),
        ([0.1, np.nan, 0.3], 100),
    ],
)
def test_safe_from_by_hand(low, expected):
    assert safe_from([10, 30, 100], low) == expected


def test_safe_from_needs_ascending_sizes():
    assert safe_from([], []) is None
    with pytest.raises(UserError, match="ascend"):
        safe_from([30, 10], [0.1, 0.1])


@pytest.mark.parametrize(("method", "estimator"), [("ledoit-wolf", LedoitWolf), ("oas", OAS)])
def test_auto_shrinks_each_side_as_scikit_learn_would(world, method, estimator):
    """The estimator's own covariance divides by N; ours by N - 1, which is a factor of the whole when eps is 0."""
    fitted = fit_variant(f"auto(method={method},eps=0)", world)
    rows = apply_variant(fitted, world)
    betas = []
    for x, found, side in (
        (world.queries, rows.queries, fitted.query),
        (world.candidates, rows.candidates, fitted.candidate),
    ):
        u = unit(x.astype(float))
        model = estimator().fit(u)
        values, vectors = np.linalg.eigh(model.covariance_)
        np.testing.assert_allclose(
            found, unit((u - model.location_) @ (vectors / np.sqrt(values)) @ vectors.T), atol=1e-5
        )
        assert side.records[0].beta == pytest.approx(model.shrinkage_)
        betas.append(model.shrinkage_)
    assert betas[0] != betas[1]
    assert f"auto: shrinkage {betas[0]:.3g} for queries, {betas[1]:.3g} for candidates" in fitted.notes


def test_eps_beside_the_shrinkage_floor_is_told_of_the_side_it_matters_on(world):
    """A side of small variance: its floor beta tr/d comes near eps, the other side's does not."""
    narrow = np.ones((40, 16)) + 0.01 * np.random.default_rng(0).standard_normal((40, 16))
    data = replace(world, queries=narrow.astype(np.float32), query_codes=None, memo=type(world.memo)())
    floor = 0.1 * np.trace(np.cov(unit(narrow).T)) / 16
    notes = [note for note in fit_variant(f"realign(eps={0.2 * floor:.3g})", data).notes if "acts as shrinkage" in note]
    assert len(notes) == 1 and notes[0].startswith("queries, realign") and "20% of the shrinkage floor" in notes[0]
    assert not [
        note for note in fit_variant(f"realign(eps={0.05 * floor:.3g})", data).notes if "acts as shrinkage" in note
    ]
