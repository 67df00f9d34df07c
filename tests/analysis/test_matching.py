"""Matched controls against the definition, by hand and by a plain loop."""

import numpy as np
import pytest

from core.analysis.concepts.matching import matched_draws, nearest_concepts
from core.errors import UserError


def test_the_nearest_by_hand():
    """In logs: frequency 0, -1, -2, -3 and the same energy for all, so that frequency alone tells them apart."""
    frequency, energy = np.exp([0.0, -1.0, -2.0, -3.0]), np.ones(4)
    assert nearest_concepts(1, frequency, energy, np.array([0, 2, 3])).tolist() == [0, 2, 3]
    assert nearest_concepts(3, frequency, energy, np.array([0, 1, 2, 3])).tolist() == [2, 1, 0]


def test_a_single_concept_is_matched_with_its_nearest_each_once():
    rng = np.random.default_rng(1)
    frequency, energy = rng.uniform(0.01, 1, 80), rng.exponential(size=80) + 0.01
    frequency[:10] = 0
    drawn = matched_draws([33], frequency, energy, draws=8)
    fires = [k for k in range(10, 80) if k != 33]
    spread = [np.log(values[fires]).std() for values in (frequency, energy)]
    distance = {
        k: np.hypot(*(np.log(v[k] / v[33]) / s for v, s in zip((frequency, energy), spread, strict=True)))
        for k in fires
    }
    assert sorted(drawn[:, 0].tolist()) == sorted(sorted(fires, key=distance.__getitem__)[:8])


def test_draws_are_different_concepts_and_never_the_chosen_ones():
    rng = np.random.default_rng(2)
    frequency, energy = rng.uniform(0.01, 1, 60), rng.exponential(size=60) + 0.01
    chosen = [5, 6, 7, 8]
    energy[6] = frequency[6] = 0  # one that never fires has a match all the same
    drawn = matched_draws(chosen, frequency, energy)
    assert drawn.shape == (20, 4) and all(len(set(row)) == 4 for row in drawn.tolist())
    assert not np.isin(drawn, chosen).any()
    np.testing.assert_array_equal(drawn, matched_draws(chosen, frequency, energy))
    assert (drawn != matched_draws(chosen, frequency, energy, seed=1)).any()
    # Matched: nearer in frequency than concepts drawn at random, whatever they are.
    far = np.abs(np.log(frequency[drawn[:, 0]] / frequency[5])).mean()
    assert far < np.abs(np.log(frequency[9:] / frequency[5])).mean()


def test_too_few_concepts_that_fire_are_refused():
    with pytest.raises(UserError, match="too few concepts fire"):
        matched_draws([0], np.ones(6), np.ones(6))
