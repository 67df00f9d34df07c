"""The split into text and image concepts: by hand, against Eq 4, and what shuffling leaves of it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from core.analysis.concepts import modality_split as m


def codes(n: int = 300, c: int = 40, seed: int = 0) -> tuple[sp.csr_array, np.ndarray]:
    """Codes of 200 texts and 100 images; the first ten concepts fire on texts only, the next ten on images only."""
    rng = np.random.default_rng(seed)
    is_text = np.arange(n) < 2 * n // 3
    values = rng.random((n, c)) * (rng.random((n, c)) < 0.2)
    values[~is_text, :10] = 0
    values[is_text, 10:20] = 0
    return sp.csr_array(values), is_text


def test_scores_by_hand() -> None:
    """Concept 0: mean 2 on two texts, 1 on one image: 2/3. Concept 1 fires once. Concept 2 never."""
    values = sp.csr_array(np.array([[3.0, 0, 0], [1.0, 4, 0], [1.0, 0, 0]]))
    found = m.modality_scores(values, np.array([True, True, False]))
    assert found.score.tolist() == pytest.approx([2 / 3, 1.0]) and found.weight.tolist() == pytest.approx([3.0, 2.0])
    assert m.modality_scores(values, np.array([True, True, False]), least=2).score.tolist() == pytest.approx([2 / 3])


def test_shares_count_each_concept_once_or_by_its_weight() -> None:
    scores = m.Scores(np.array([0.95, 0.95, 0.5, 0.05]), np.array([1.0, 1.0, 6.0, 2.0]))
    once, energy = m.shares(scores), m.shares(scores, "energy")
    assert (once.text, once.image, once.between) == pytest.approx((0.5, 0.25, 0.25))
    assert (energy.text, energy.image, energy.between) == pytest.approx((0.2, 0.2, 0.6))


def test_twice_as_many_texts_change_nothing() -> None:
    """Each text given twice: both modalities weigh alike, however many items there are of each."""
    values, is_text = codes()
    rows = np.concatenate([np.flatnonzero(is_text), np.arange(len(is_text))])
    once, twice = m.modality_scores(values, is_text), m.modality_scores(values[rows], is_text[rows])
    np.testing.assert_allclose(once.score, twice.score)
    np.testing.assert_allclose(once.weight, twice.weight)


def test_balanced_draws_take_as_many_of_each() -> None:
    _, is_text = codes()
    for rows in m.balanced(is_text, 3):
        assert is_text[rows].sum() == (~is_text[rows]).sum() == 100 and len(set(rows.tolist())) == 200


def test_shuffling_leaves_rare_concepts_only() -> None:
    """A concept that fires once is a text concept two times in three; one that fires often is none."""
    is_text = np.arange(300) < 200
    rare = sp.csr_array((np.ones(60), (np.arange(60), np.arange(60))), shape=(300, 60))
    often = sp.csr_array(np.ones((300, 60)))
    null = {
        name: np.mean([s.text for s in m.shuffled(is_text, lambda t, c=c: m.shares(m.modality_scores(c, t)), 100)])
        for name, c in (("rare", rare), ("often", often))
    }
    assert null["rare"] == pytest.approx(2 / 3, abs=0.03) and null["often"] == 0


def test_intervals_of_shares_hold_them_and_are_near_the_binomial_ones() -> None:
    values, is_text = codes(c=400)
    scores = m.modality_scores(values, is_text)
    share = m.shares(scores).text
    low, high = m.share_intervals(scores)["text"]
    spread = 1.96 * np.sqrt(share * (1 - share) / len(scores.score))
    assert (low, high) == pytest.approx((share - spread, share + spread), abs=0.01)
    energy = m.share_intervals(scores, "energy")["text"]
    assert energy[0] < m.shares(scores, "energy").text < energy[1]
    lead = m.share_intervals(scores)["lead"]
    assert lead[0] < m.shares(scores).lead < lead[1]
