"""Repairs of one query against every set of concepts, each transformed and scored the long way."""

from itertools import combinations

import numpy as np
import pytest

from core.analysis.explanations.edit_ranks import with_edit
from core.analysis.explanations.failures import SideRows, failing
from core.analysis.explanations.repair import OneQuery, greedy_repair, smallest_repairs
from core.analysis.variants import apply_variant, fit_variant, transform
from core.analysis.variants.transform import SideTransform

VARIANTS = ["none", "center", "realign", "set(3=0,9=2)+center", "remove(1,2)+zca", "close-gap", "pca(components=7)"]


def long_way(world, sides, row, relevant, concepts):
    edit = tuple((int(k), 0.0) for k in concepts)
    q, c = (transform(s.rows, with_edit(s.transform, edit), s.codes, world.dictionary, np.float64) for s in sides)
    scores = c @ q[row]
    return scores[relevant].max() - np.delete(scores, relevant).max()


def failures_of(world, text):
    fitted = fit_variant(text, world)
    sides = (
        SideRows(world.queries, world.query_codes, fitted.query),
        SideRows(world.candidates, world.candidate_codes, fitted.candidate),
    )
    rows = apply_variant(fitted, world)
    for row, right, wrong in failing(rows.queries, rows.candidates, world.pairs)[:3].tolist():
        relevant = np.unique(world.pairs[world.pairs[:, 0] == row, 1])
        codes = (world.query_codes[[row]], world.candidate_codes[[right]], world.candidate_codes[[wrong]])
        yield sides, row, relevant, np.unique(np.concatenate([z.indices for z in codes]))[:9]


@pytest.mark.parametrize("text", VARIANTS)
def test_the_smallest_repairs_are_those_of_the_full_search(world, text):
    for sides, row, relevant, concepts in failures_of(world, text):
        one = OneQuery(*sides, row, relevant, concepts, world.dictionary)
        result = smallest_repairs(one, 3, rivals=3)
        expected, size, tried = [], 0, 0
        while not expected and size < 3:
            size += 1
            every = list(combinations(concepts.tolist(), size))
            tried += len(every)
            expected = [s for s in every if long_way(world, sides, row, relevant, s) > 0]
        assert sorted(result.sets) == sorted(expected) and result.tried == tried
        for chosen, value in list(zip(result.sets, result.margins, strict=True))[:3]:
            length = np.linalg.norm(one.query.moved(np.searchsorted(concepts, [chosen]))[0])
            assert value / length == pytest.approx(long_way(world, sides, row, relevant, chosen), abs=1e-9)
        assert (np.diff(result.margins) <= 0).all()


@pytest.mark.parametrize("text", ["none", "realign"])
def test_greed_repairs_with_no_fewer_concepts_and_tells_its_margin(world, text):
    for sides, row, relevant, concepts in failures_of(world, text):
        one = OneQuery(*sides, row, relevant, concepts, world.dictionary)
        chosen, margin = greedy_repair(one)
        length = np.linalg.norm(one.query.moved(np.searchsorted(concepts, [chosen]))[0])
        assert margin / length == pytest.approx(long_way(world, sides, row, relevant, chosen), abs=1e-9)
        best = smallest_repairs(one)
        assert not best.sets or margin <= 0 or len(chosen) >= len(best.sets[0])


def test_a_repair_by_hand():
    """q = (1, 1), right (1, 0), wrong (1, 1): without concept 1 the query is (1, 0) and the wrong candidate too. Their
    tie is no repair; where the wrong one has a third concept that is left, it is one."""
    from scipy.sparse import csr_array

    def one(wrong):
        z_q, z_c = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0], wrong])
        rows = [SideRows(z, csr_array(z), SideTransform()) for z in (z_q, z_c)]
        return OneQuery(*rows, 0, np.array([0]), np.arange(3), np.eye(3))

    assert smallest_repairs(one([1.0, 1.0, 0.0])).sets == ()
    result = smallest_repairs(one([1.0, 1.0, 0.3]))
    assert result.sets == ((1,),)
    assert result.margins[0] == pytest.approx(1 - 1 / np.sqrt(1.09))


def test_maps_per_modality(world):
    from dataclasses import replace

    kinds = np.array(["image", "text"])
    world = replace(
        world,
        query_modality=kinds[np.arange(40) % 2],
        candidate_modality=kinds[np.arange(50) % 2],
        support_query_modality=kinds[np.arange(45) % 2],
        support_candidate_modality=kinds[np.arange(45) % 2],
    )
    fitted = fit_variant("realign(statistics=per-modality)", world)
    query = SideRows(world.queries, world.query_codes, fitted.query, None, world.query_modality)
    candidate = SideRows(world.candidates, world.candidate_codes, fitted.candidate, None, world.candidate_modality)
    one = OneQuery(query, candidate, 7, np.array([3, 4]), np.arange(60), world.dictionary)
    scores, right = one.scores(np.array([[5, 6]]))
    edit = ((5, 0.0), (6, 0.0))
    q, c = (
        transform(s.rows, with_edit(s.transform, edit), s.codes, world.dictionary, np.float64, s.modality)
        for s in (query, candidate)
    )
    length = np.linalg.norm(one.query.moved(np.array([[5, 6]]))[0])
    np.testing.assert_allclose(scores[0] / length, c @ q[7], atol=1e-9)
    assert np.flatnonzero(right).tolist() == [3, 4]
