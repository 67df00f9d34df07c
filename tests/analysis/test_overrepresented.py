"""Over-represented concepts: the exact stratified test against Fisher's, enumeration and permutations."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import fisher_exact

from core.analysis.concepts.overrepresented import overrepresented, tail


def test_one_stratum_is_fishers_exact_test() -> None:
    rng = np.random.default_rng(0)
    fires, chosen = rng.random((80, 6)) < 0.3, np.zeros(80, dtype=bool)
    chosen[:25] = True
    fires[:20, 2] = True
    found = overrepresented(csr_array(fires.astype(float)), chosen, top=6)
    assert found.concepts[0] == 2 and found.tested == 6 and found.chosen == 25
    for concept, seen, p in zip(found.concepts, found.fires, found.p_value, strict=True):
        on = fires[:, concept]
        table = [[(on & chosen).sum(), (~on & chosen).sum()], [(on & ~chosen).sum(), (~on & ~chosen).sum()]]
        assert seen == table[0][0]
        assert p == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert found.p_corrected == pytest.approx(np.minimum(1, 6 * found.p_value))


def test_two_strata_against_every_way_to_choose() -> None:
    # 6 items of which 3 are marked, 2 drawn; 5 items of which 2 are marked, 3 drawn.
    counts = [
        sum(i < 3 for i in first) + sum(j < 2 for j in second)
        for first in combinations(range(6), 2)
        for second in combinations(range(5), 3)
    ]
    for observed in range(6):
        expected = np.mean([one >= observed for one in counts])
        assert tail([(6, 3, 2), (5, 2, 3)], observed) == pytest.approx(expected)


def test_a_concept_of_one_modality_is_not_surprising_among_chosen_items_of_that_modality() -> None:
    modality = np.array(["text"] * 100 + ["image"] * 100)
    codes = csr_array(np.column_stack([modality == "text", np.arange(200) % 5 == 0]).astype(float))
    chosen = np.arange(200) < 40
    unaware = overrepresented(codes, chosen)
    assert unaware.concepts[0] == 0 and unaware.p_value[0] < 1e-10
    aware = overrepresented(codes, chosen, modality)
    assert 0 not in aware.concepts.tolist()


def test_chosen_at_random_nothing_is_found_more_often_than_promised() -> None:
    rng = np.random.default_rng(3)
    codes, strata = csr_array((rng.random((300, 40)) < 0.2).astype(float)), rng.choice(["a", "b"], 300)
    hits = 0
    for _ in range(60):
        found = overrepresented(codes, rng.permutation(300) < 60, strata)
        hits += bool((found.p_corrected < 0.05).any())
    assert hits <= 8  # 60 x 0.05 = 3 expected at most; 9 or more has a chance below 1%
