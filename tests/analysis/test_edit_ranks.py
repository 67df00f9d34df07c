"""Ranks under edits against the variant with the edit, fitted, transformed and ranked anew, for every concept."""

from dataclasses import replace

import numpy as np
import pytest

from core.analysis.explanations import edit_ranks
from core.analysis.explanations.edit_ranks import can_refit, ranks_refitted, ranks_under_edits, with_edit
from core.analysis.explanations.failures import SideRows
from core.analysis.retrieval.ranking import rank_relevant
from core.analysis.variants import apply_variant, fit_variant, parse_variant, transform
from core.analysis.variants.expression import Step, VariantSpec

EDITS = [((k, 0.0),) for k in range(60)] + [((3, 2.5),), ((1, 0.0), (7, 0.0), (20, 4.0)), ((9, 1.0),)]


def sides(world, fitted):
    return (
        SideRows(world.queries, world.query_codes, fitted.query),
        SideRows(world.candidates, world.candidate_codes, fitted.candidate),
    )


def edited(spec, edit):
    """The variant with the edit, as a user would write it."""
    factors = dict(spec.edits) | dict(edit)
    rest = tuple(step for step in spec.steps if step.name != "set")
    return VariantSpec((Step("set", concepts=tuple(factors.items())), *rest))


def long_way(world, text, edit):
    rows = apply_variant(fit_variant(edited(parse_variant(text), edit), world), world)
    return rank_relevant(rows.queries, rows.candidates, world.pairs).first


REFITTED = [
    "none", "center", "center(statistics=shared)", "center(statistics=support)", "center(statistics=candidates)",
    "set(3=0,9=2)", "set(9=0)+center", "remove(1,2)", "remove(4)+center",
]  # fmt: skip


@pytest.mark.parametrize("text", REFITTED)
def test_refitted_ranks_are_those_of_the_variant_with_the_edit(world, text, monkeypatch):
    monkeypatch.setattr(edit_ranks, "block_bytes", lambda: 8 * 50 * 3)  # several blocks of queries
    spec = parse_variant(text)
    assert can_refit(spec)
    fast = ranks_refitted(spec, world, *sides(world, fit_variant(spec, world)), EDITS)
    slow = np.array([long_way(world, text, edit) for edit in EDITS])
    np.testing.assert_array_equal(fast, slow)
    raw = long_way(world, text, ())
    assert (fast != raw).any(axis=1).mean() > 0.8  # nearly every edit moves some query


@pytest.mark.parametrize("text", ["none", "center", "realign", "set(3=0)+realign", "remove(1,2)+zca", "remove-top"])
def test_kept_ranks_are_those_of_the_same_map_on_edited_rows(world, text):
    fitted = fit_variant(text, world)
    query, candidate = sides(world, fitted)
    fast = ranks_under_edits(query, candidate, world.pairs, EDITS, world.dictionary)
    for edit, ranks in zip(EDITS, fast, strict=True):
        rows = [
            transform(side.rows, with_edit(side.transform, edit), side.codes, world.dictionary)
            for side in (query, candidate)
        ]
        np.testing.assert_array_equal(ranks, rank_relevant(*rows, world.pairs).first)


def test_ranks_of_twins_and_of_queries_without_answer(world):
    """Candidates that are equal rank by their order; a query without a relevant candidate has rank 0."""
    order = [*range(10), *[10] * 10, *range(20, 50)]  # candidates 10 to 19 are one
    twins = replace(
        world,
        pairs=world.pairs[world.pairs[:, 0] != 4],
        candidates=world.candidates[order],
        candidate_codes=world.candidate_codes[order],
        memo=type(world.memo)(),
    )
    for text in ("none", "center"):
        spec = parse_variant(text)
        fast = ranks_refitted(spec, twins, *sides(twins, fit_variant(spec, twins)), EDITS)
        np.testing.assert_array_equal(fast, [long_way(twins, text, edit) for edit in EDITS])
        assert not fast[:, 4].any()


def test_what_cannot_be_refitted_by_a_short_cut():
    refused = ("realign", "center+zca", "remove-top", "remove-pca(rank=2)", "center(statistics=per-modality)")
    assert not any(can_refit(parse_variant(text)) for text in refused)
