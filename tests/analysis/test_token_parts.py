"""A mean-pooled row taken apart into its tokens: the parts sum to what the variant gives, whatever it does."""

import numpy as np
import pytest

from core.analysis.explanations.contributions import SideState, contributions, edit_of, unit_worths
from core.analysis.explanations.token_parts import (
    concept_split,
    kind_table,
    self_shares,
    token_parts,
    towards,
)
from core.analysis.explanations.trust import Limits, Trust
from core.analysis.variants import fit_variant, transform
from core.analysis.variants.transform import SideTransform
from core.errors import ShapeMismatch

VARIANTS = [
    "none", "center", "realign", "zca(statistics=support)", "set(3=0,9=2)", "set(3=0)+remove-top(share=0.1)+realign",
    "remove(1,2)+zca", "all-but-top",
]  # fmt: skip


def tokens_of(row, count, seed):
    """Token states whose mean is the row."""
    noise = np.random.default_rng(seed).normal(size=(count, len(row))) * np.abs(row).mean()
    return row + noise - noise.mean(axis=0)


def read(world, side, row, fitted):
    x, codes = (world.queries, world.query_codes) if side == "query" else (world.candidates, world.candidate_codes)
    z = codes[[row]]
    return SideState(x[row].astype(np.float64), z.indices, z.data, getattr(fitted, side), None)


@pytest.mark.parametrize("text", VARIANTS)
def test_tokens_of_either_side_and_kinds_of_both_sum_to_the_cosine_of_the_variant(world, text):
    fitted = fit_variant(text, world)
    rows_q = transform(world.queries, fitted.query, world.query_codes, world.dictionary, np.float64)
    rows_c = transform(world.candidates, fitted.candidate, world.candidate_codes, world.dictionary, np.float64)
    for i, j in world.pairs[:8]:
        sides = []
        for name, row in (("query", i), ("candidate", j)):
            state = read(world, name, row, fitted)
            states = tokens_of(state.h, 5 + row % 4, row)
            sides.append(token_parts(states, state.transform, state.h, edit_of(state, world.dictionary)))
        expected = rows_q[i] @ rows_c[j]
        for one, other in (sides, sides[::-1]):
            values, offset = towards(one, other.whole)
            assert abs(values.sum() + offset - expected) < 1e-9
        kinds = [side.by_kind(np.arange(len(side.parts)) % 3, 3) for side in sides]
        assert abs(kind_table(*kinds).sum() - expected) < 1e-9


def test_a_token_part_is_its_definition(world):
    """(a / T) s_t P W with dense matrices."""
    fitted = fit_variant("remove(1,2)+realign", world)
    h, side = world.queries[3].astype(float), fitted.query
    states = tokens_of(h, 6, 1)
    found = token_parts(states, side, h)
    p = np.eye(16) - side.removed_basis.T @ side.removed_basis
    a = 1 / np.linalg.norm(h @ p)
    np.testing.assert_allclose(found.parts, a / 6 * states @ p @ side.matrix, atol=1e-12)
    np.testing.assert_allclose(found.offset, -side.mean @ side.matrix, atol=1e-9)


def test_raw_tokens_by_hand():
    """Two tokens at right angles, a candidate along the first: it brings all of the similarity."""
    item = token_parts(np.array([[2.0, 0], [0, 2.0]]), SideTransform())
    values, offset = towards(item, np.array([5.0, 0]))
    np.testing.assert_allclose(values, [1 / np.sqrt(2), 0])
    assert offset == 0
    np.testing.assert_allclose(self_shares(item.by_kind(np.array([0, 1]), 2)), [0.5, 0.5, 0])


def test_what_the_tokens_do_not_bring_is_the_offset():
    """A stored embedding that is not the mean of these tokens."""
    states, stored = np.array([[2.0, 0], [0, 2.0]]), np.array([1.0, 1.5])
    np.testing.assert_allclose(token_parts(states, SideTransform(), stored).offset, [0, 0.5])


def test_a_row_without_direction_adds_nothing():
    item = token_parts(np.array([[1.0, 0], [-1.0, 0]]), SideTransform())
    values, offset = towards(item, np.array([1.0, 0]))
    assert not values.any() and offset == 0


def test_no_tokens_are_refused():
    with pytest.raises(ShapeMismatch, match="do not fit"):
        token_parts(np.empty((0, 2)), SideTransform())


@pytest.mark.parametrize("text", ["none", "set(3=0,9=2)+realign", "center"])
def test_a_concept_over_tokens_is_its_contribution(world, text):
    """worth x activation of either item, less that of its mean code where codes are centred, is the contribution; and
    pre-activations whose mean is the activation leave no rest."""
    fitted = fit_variant(text, world)
    for i, j in world.pairs[:5]:
        q, c = read(world, "query", i, fitted), read(world, "candidate", j, fitted)
        whole = contributions(q, c, world.dictionary)
        for k in np.union1d(q.concepts, c.concepts)[:6]:
            worths, total = unit_worths(q, c, world.dictionary, int(k)), 0.0
            for state, worth in zip((q, c), worths, strict=True):
                z = float(state.activations[state.concepts == k].sum())
                pre = z + np.array([-1.0, 0.25, 0.75])
                parts, rest = concept_split(pre, z, worth)
                assert abs(parts.sum() + rest - z * worth) < 1e-12
                assert abs(rest) < 1e-12
                mean = 0.0 if state.transform.code_mean is None else float(state.transform.code_mean[k])
                factor, a = dict(state.transform.edits).get(int(k), 1.0), _scale(state, world)
                total += z * worth - (mean * worth / (factor * a) if factor else 0.0)
            if dict(q.transform.edits).get(int(k), 1.0):
                assert abs(total - whole.values[whole.concepts == k].sum()) < 1e-9


def _scale(state, world):
    """a = 1 / ||h''||; 1 without an affine map."""
    if not state.transform.normalises:
        return 1.0
    return 1 / np.linalg.norm(state.h + edit_of(state, world.dictionary))


@pytest.mark.parametrize(
    ("query", "candidate", "total", "margin", "holds"),
    [
        (0.006, 0.004, -0.0101, True, True),  # the margin is just as large
        (0.006, 0.0042, -0.0101, True, False),
        (0.02, -0.02, 0.03, True, False),  # two errors that cancel explain nothing
        (0.13, 0.0, 0.261, False, True),
        (0.200, 0.053, 0.261, False, False),  # the typed query: 0.006 concepts, 0.253 SAE error
    ],
)
def test_concepts_are_named_only_where_the_errors_are_smaller(query, candidate, total, margin, holds):
    trust = Trust(concepts=0.0, query_error=query, candidate_error=candidate, offset=0.0, total=total, is_margin=margin)
    assert trust.holds is holds


def test_the_limits_are_settings():
    kept = {"concepts": 0.0, "query_error": 0.02, "candidate_error": 0.0, "offset": 0.0, "total": 0.03}
    assert Trust(**kept, is_margin=True).limit == 0.03 and Trust(**kept, is_margin=False).limit == 0.015
    assert not Trust(**kept, is_margin=True, limits=Limits(margin=0.5)).holds
