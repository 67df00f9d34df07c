"""Failures in bulk against the margin of single pairs, and against slow loops over the definition."""

import numpy as np
import pytest

from core.analysis.explanations.contributions import SideState, margin
from core.analysis.explanations.failures import SideRows, failing, margin_terms, summarise_failures
from core.analysis.retrieval.ranking import rank_relevant
from core.analysis.variants import apply_variant, fit_variant
from core.errors import UserError

VARIANTS = [
    "none", "center", "realign", "pca(components=7)", "close-gap", "set(3=0,9=2)", "remove-top(share=0.1)",
    "set(3=0)+remove-top(share=0.1)+realign(statistics=support)", "all-but-top", "remove(1,2)+scale-dims+zca",
]  # fmt: skip


def sides(world, fitted, offset=None):
    return (
        SideRows(world.queries, world.query_codes, fitted.query, offset),
        SideRows(world.candidates, world.candidate_codes, fitted.candidate, offset),
    )


def state(side, row):
    z = side.codes[[row]]
    offset = side.offset if side.offset is None or side.offset.ndim == 1 else side.offset[row]
    return SideState(side.rows[row], z.indices, z.data, side.transform, offset)


def failures_of(world, fitted):
    rows = apply_variant(fitted, world)
    return failing(rows.queries, rows.candidates, world.pairs)


@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("text", VARIANTS)
def test_terms_are_those_of_the_single_margin(world, text, with_offset):
    fitted = fit_variant(text, world)
    query, candidate = sides(world, fitted, np.linspace(-1, 1, 16) if with_offset else None)
    triples = failures_of(world, fitted)[:8]
    terms = margin_terms(query, candidate, triples, world.dictionary)
    for i, (q, right, wrong) in enumerate(triples):
        one = margin(state(query, q), state(candidate, right), state(candidate, wrong), world.dictionary)
        dense = np.zeros(60)
        dense[one.concepts] = one.values
        np.testing.assert_allclose(terms.concepts[i], dense, atol=1e-9)
        found = (terms.offset[i], terms.query_error[i], terms.candidate_error[i], terms.margin[i])
        np.testing.assert_allclose(found, (one.offset, one.query_error, one.candidate_error, one.margin), atol=1e-9)


@pytest.mark.parametrize("text", VARIANTS)
def test_terms_sum_to_margins_that_are_not_positive(world, text):
    fitted = fit_variant(text, world)
    found = summarise_failures(*sides(world, fitted), failures_of(world, fitted), world.dictionary)
    assert len(found.margin) > 5 and (found.margin <= 1e-9).all()
    total = found.concept_sum + found.offset + found.query_error + found.candidate_error
    np.testing.assert_allclose(total, found.margin, atol=1e-9)
    rows = apply_variant(fitted, world)
    for (q, right, wrong), value in zip(found.failures, found.margin, strict=True):
        assert value == pytest.approx(
            float(rows.queries[q] @ (rows.candidates[right] - rows.candidates[wrong])), abs=1e-5
        )


def test_summary_against_a_loop(world):
    fitted = fit_variant("realign", world)
    query, candidate = sides(world, fitted)
    found = summarise_failures(query, candidate, failures_of(world, fitted), world.dictionary)
    decided, largest, sums = {}, {}, np.zeros(60)
    for i, (q, right, wrong) in enumerate(found.failures):
        one = margin(state(query, q), state(candidate, right), state(candidate, wrong), world.dictionary)
        worst = int(one.concepts[one.values.argmin()])
        largest.setdefault(worst, []).append(i)
        for k, value in zip(one.concepts, one.values, strict=True):
            sums[k] += value
            if one.margin - value >= 0:
                decided.setdefault(int(k), []).append((value, i))
        assert found.worst[i] == worst
        assert found.worst_term[i] == pytest.approx(one.values.min())
    assert found.decided.tolist() == [len(decided.get(k, [])) for k in range(60)]
    assert found.largest.tolist() == [len(largest.get(k, [])) for k in range(60)]
    np.testing.assert_allclose(found.term_sum, sums, atol=1e-9)
    np.testing.assert_allclose(found.term_mean, sums / len(found.failures), atol=1e-9)
    assert decided
    for k, hits in decided.items():
        assert found.decided_by(k).tolist() == [i for _, i in sorted(hits)]


def test_a_decided_failure_by_hand():
    """q = (1, 1); right (1, 0), wrong (1, 1) (all /norm): concept 1 alone makes the wrong one win: without its term the
    margin is >= 0."""
    from scipy.sparse import csr_array

    from core.analysis.variants.transform import SideTransform

    z_q, z_c = np.array([[1.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    query = SideRows(z_q, csr_array(z_q), SideTransform())
    candidate = SideRows(z_c, csr_array(z_c), SideTransform())
    found = summarise_failures(query, candidate, np.array([[0, 0, 1]]), np.eye(2))
    terms = margin_terms(query, candidate, found.failures, np.eye(2))
    np.testing.assert_allclose(terms.concepts, [[1 / np.sqrt(2) - 0.5, -0.5]])
    assert found.margin[0] == pytest.approx(1 / np.sqrt(2) - 1)
    assert found.decided.tolist() == [0, 1]
    assert (found.worst[0], found.largest.tolist(), found.decided_by(1).tolist()) == (1, [0, 1], [0])


def test_failing_queries_are_those_not_ranked_first(world):
    rows = apply_variant(fit_variant("center", world), world)
    found = failing(rows.queries, rows.candidates, world.pairs)
    ranked = rank_relevant(rows.queries, rows.candidates, world.pairs)
    assert found[:, 0].tolist() == np.flatnonzero(ranked.first > 1).tolist()
    scores = rows.queries.astype(float) @ rows.candidates.T.astype(float)
    for q, right, wrong in found:
        relevant = [j for i, j in world.pairs if i == q]
        assert right in relevant and scores[q, right] == max(scores[q, j] for j in relevant)
        assert wrong == scores[q].argmax()
    assert len(failing(rows.queries, rows.candidates, world.pairs[world.pairs[:, 0] < 5])) <= 5


def test_blocks_and_the_shape_of_offsets_change_nothing(world, monkeypatch):
    fitted = fit_variant("center", world)
    triples, u = failures_of(world, fitted), np.linspace(-1, 1, 16)
    whole = summarise_failures(*sides(world, fitted, u), triples, world.dictionary)
    query, candidate = sides(world, fitted)
    per_item = (
        SideRows(query.rows, query.codes, query.transform, np.tile(u, (40, 1))),
        SideRows(candidate.rows, candidate.codes, candidate.transform, u[None]),
    )
    monkeypatch.setattr("core.analysis.arrays.block_bytes", lambda: 8 * 200)
    parts = summarise_failures(*per_item, triples, world.dictionary)
    np.testing.assert_allclose(parts.term_sum, whole.term_sum, atol=1e-9)
    np.testing.assert_allclose(parts.deciding.toarray(), whole.deciding.toarray(), atol=1e-12)
    np.testing.assert_allclose(parts.offset, whole.offset, atol=1e-12)


def test_nothing_fails_and_zero_rows(world):
    fitted = fit_variant("realign", world)
    query, candidate = sides(world, fitted)
    none = summarise_failures(query, candidate, np.zeros((0, 3), dtype=np.int64), world.dictionary)
    assert none.decided.tolist() == [0] * 60 and np.isnan(none.term_mean).all() and not none.decided_by(3).size
    nothing = SideRows(0 * world.queries, world.query_codes * 0.0, fitted.query)
    terms = margin_terms(nothing, candidate, np.array([[0, 1, 2]]), world.dictionary)
    assert not terms.concepts.any() and not terms.margin.any() and not terms.offset.any()
    with pytest.raises(UserError, match="no mean code"):
        margin_terms(*sides(world, fit_variant("none", world)), np.array([[0, 1, 2]]), world.dictionary, centred=True)
