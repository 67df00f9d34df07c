"""Contributions: they sum to the cosine the ranking uses, and tie back to Eq 6."""

from dataclasses import replace

import numpy as np
import pytest

from core.analysis.concepts.measures import attribution
from core.analysis.explanations.contributions import (
    SideState,
    contributions,
    margin,
    project_out,
    random_concepts,
    removal_basis,
)
from core.analysis.variants import fit_variant, transform
from core.errors import UserError

VARIANTS = [
    "none", "center", "realign", "realign(statistics=shared)", "zca(statistics=support)", "pca(components=7)", "auto",
    "set(3=0,9=2)", "remove-top(share=0.1)", "set(3=0)+remove-top(share=0.1)+realign", "remove(1,2)+scale-dims+zca",
    "all-but-top", "close-gap", "remove-mean-direction", "remove-pca(rank=2)+close-gap+realign(statistics=candidates)",
]  # fmt: skip


def state(world, side, row, fitted, offset=None):
    x, codes = (world.queries, world.query_codes) if side == "query" else (world.candidates, world.candidate_codes)
    z = codes[[row]]
    return SideState(x[row], z.indices, z.data, getattr(fitted, side), offset)


def total(part):
    return part.values.sum() + part.offset + part.query_error + part.candidate_error


@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("centred", [None, False])
@pytest.mark.parametrize("text", VARIANTS)
def test_contributions_sum_to_the_cosine_of_the_transformed_rows(world, text, centred, with_offset):
    fitted = fit_variant(text, world)
    offset = np.linspace(-1, 1, 16) if with_offset else None
    rows_q = transform(world.queries, fitted.query, world.query_codes, world.dictionary, np.float64)
    rows_c = transform(world.candidates, fitted.candidate, world.candidate_codes, world.dictionary, np.float64)
    for i, j in world.pairs[:10]:
        part = contributions(
            state(world, "query", i, fitted, offset),
            state(world, "candidate", j, fitted, offset),
            world.dictionary,
            centred,
        )
        assert abs(part.similarity - rows_q[i] @ rows_c[j]) < 1e-9
        assert abs(total(part) - part.similarity) < 1e-9
        assert part.centred_codes == (centred is None and fitted.query.code_mean is not None)


def test_each_term_is_the_formula_of_the_study(world):
    """docs/study.md section 4 written out with dense matrices for a full chain, plain codes."""
    fitted = fit_variant("set(3=0.5,9=2)+remove(1,2)+realign", world)
    d, u = world.dictionary.astype(float), np.linspace(-1, 1, 16)
    i, j = 4, 11
    part = contributions(
        state(world, "query", i, fitted, u), state(world, "candidate", j, fitted, u), world.dictionary, False
    )
    sides = []
    for h, codes, t in (
        (world.queries[i], world.query_codes, fitted.query),
        (world.candidates[j], world.candidate_codes, fitted.candidate),
    ):
        z = codes.toarray()[i if t is fitted.query else j].astype(float)
        e = h - z @ d - u
        z[[3, 9]] *= [0.5, 2]
        p = np.eye(16) - t.removed_basis.T @ t.removed_basis
        a = 1 / np.linalg.norm((z @ d + u + e) @ p)
        w = p @ t.matrix
        sides.append((a * z, d @ w, a * z @ d @ w, a * u @ w - t.mean @ t.matrix, a * e @ w))
    (zq, dq, gq, oq, eq), (zc, dc, gc, oc, ec) = sides
    yq, yc = gq + oq + eq, gc + oc + ec
    n = np.linalg.norm(yq) * np.linalg.norm(yc)
    values = (zq * (dq @ gc) + zc * (dc @ gq)) / (2 * n)
    np.testing.assert_allclose(part.values, values[part.concepts], atol=1e-9)
    np.testing.assert_allclose(np.delete(values, part.concepts), 0)
    assert part.offset == pytest.approx((oq @ (yc - ec) + oc @ (yq - eq) - oq @ oc) / n, abs=1e-9)
    assert part.query_error == pytest.approx(eq @ (2 * yc - ec) / (2 * n), abs=1e-9)
    assert part.candidate_error == pytest.approx(ec @ (2 * yq - eq) / (2 * n), abs=1e-9)


@pytest.mark.parametrize("statistics", ["per-side", "support", "shared", "candidates"])
def test_centred_codes_leave_no_offset_where_the_dictionary_is_perfect(world, statistics):
    """h = z D exactly: the mean is the mean code times D, whatever set it is taken over. Plain codes leave the mean in
    the offset."""
    sets = ("queries", "candidates", "support_queries")
    codes = (world.query_codes, world.candidate_codes, world.support_query_codes)
    rows = {name: (z @ world.dictionary).astype(np.float32) for name, z in zip(sets, codes, strict=True)}
    exact = replace(world, **rows, memo=type(world.memo)())
    fitted = fit_variant(f"set(3=0.5)+center(statistics={statistics})", exact)
    sides = state(exact, "query", 0, fitted), state(exact, "candidate", 0, fitted)
    assert abs(contributions(*sides, exact.dictionary).offset) < 1e-7
    assert abs(contributions(*sides, exact.dictionary, centred=False).offset) > 1e-3


def test_mean_code_by_hand(world):
    fitted = fit_variant("center", world)
    z = world.query_codes.toarray().astype(float) / np.linalg.norm(world.queries.astype(float), axis=1)[:, None]
    np.testing.assert_allclose(fitted.query.code_mean, z.mean(0), rtol=1e-6, atol=1e-12)


def test_mean_of_contributions_is_the_attribution_of_eq_6(world):
    fitted = fit_variant("none", world)
    sums = np.zeros(60)
    for i, j in world.pairs:
        part = contributions(state(world, "query", i, fitted), state(world, "candidate", j, fitted), world.dictionary)
        sums[part.concepts] += 2 * part.norm * part.values
    expected = attribution(world.query_codes, world.candidate_codes, world.pairs, world.dictionary)
    np.testing.assert_allclose(sums / len(world.pairs), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("text", VARIANTS)
def test_margin_is_the_difference_term_by_term(world, text):
    fitted = fit_variant(text, world)
    found = margin(
        state(world, "query", 0, fitted),
        state(world, "candidate", 3, fitted),
        state(world, "candidate", 8, fitted),
        world.dictionary,
    )
    assert abs(total(found) - found.margin) < 1e-9
    assert found.margin == found.first.similarity - found.second.similarity
    k = found.concepts[np.abs(found.values).argmax()]
    a = dict(zip(found.first.concepts, found.first.values, strict=True)).get(k, 0.0)
    b = dict(zip(found.second.concepts, found.second.values, strict=True)).get(k, 0.0)
    assert np.abs(found.values).max() == pytest.approx(abs(a - b))


def test_a_zero_item_contributes_nothing(world):
    fitted = fit_variant("realign", world)
    nothing = SideState(np.zeros(16), np.array([], int), np.array([]), fitted.query)
    part = contributions(nothing, state(world, "candidate", 0, fitted), world.dictionary)
    assert total(part) == part.similarity == part.norm == 0


def test_centred_codes_need_a_mean(world):
    fitted = fit_variant("none", world)
    with pytest.raises(UserError, match="no mean code"):
        contributions(state(world, "query", 0, fitted), state(world, "candidate", 0, fitted), world.dictionary, True)


def test_removal_by_hand():
    """Three rows in a plane, one direction with most of the energy."""
    rows = np.array([[3.0, 0, 0], [3.0, 0, 0], [0, 0.1, 0]])
    assert removal_basis(rows).shape == (1, 3)
    assert removal_basis(rows, energy_share=1.0).shape == (2, 3)
    assert removal_basis(rows, rank=1).shape == (1, 3)
    assert removal_basis(rows, rank=3).shape == (2, 3), "no more directions than there are"
    assert removal_basis(rows[:0]).shape == removal_basis(0 * rows).shape == (0, 3)
    np.testing.assert_allclose(project_out(np.array([[1.0, 2, 3]]), removal_basis(rows)), [[0, 2, 3]], atol=1e-12)
    np.testing.assert_array_equal(project_out(rows, removal_basis(rows[:0])), rows)
    with pytest.raises(UserError):
        removal_basis(rows, energy_share=0.0)


def test_removed_rows_are_orthogonal_to_every_removed_concept(world):
    basis = removal_basis(world.dictionary[:4], energy_share=1.0)
    left = project_out(world.queries, basis)
    np.testing.assert_allclose(left @ world.dictionary[:4].T, 0, atol=1e-5)
    np.testing.assert_allclose(project_out(left, basis), left, atol=1e-6)


def test_random_concepts_come_from_the_pool():
    pool = np.array([2, 5, 7, 11])
    assert set(random_concepts(pool, 3, 0)) <= set(pool)
    assert random_concepts(pool, 4, 0).tolist() == pool.tolist()
    with pytest.raises(UserError):
        random_concepts(pool, 5, 0)
