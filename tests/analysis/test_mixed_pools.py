"""Pools of several modalities: every number against a slow loop over its definition."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.retrieval import bias_by_chance, pool_answers
from core.errors import NotAvailable


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def pool(seed: int = 0, kinds: tuple[str, ...] = ("text", "image", "image,text")):
    rng = np.random.default_rng(seed)
    queries, candidates = unit(rng.standard_normal((30, 6))), unit(rng.standard_normal((42, 6)))
    candidates[7] = candidates[3]  # a tie across modalities
    modality = np.array([kinds[(i % 5) % len(kinds)] for i in range(42)])
    pairs = np.array([(q, c) for q in range(28) for c in rng.choice(42, 1 + q % 2, replace=False)])
    return queries, candidates, modality, pairs


@pytest.mark.parametrize("kinds", [("text", "image", "image,text"), ("text", "image,text")])
def test_every_number_is_that_of_a_slow_loop(kinds: tuple[str, ...]) -> None:
    queries, candidates, modality, pairs = pool(1, kinds)
    found = pool_answers(queries, candidates, modality, pairs, k=5)
    assert set(found.modalities) == set(kinds)
    for q in range(len(queries)):
        scores = [float(np.float32(np.dot(queries[q].astype(float), c.astype(float)))) for c in candidates]
        order = sorted(range(42), key=lambda c: (-scores[c], c))
        relevant = [int(c) for query, c in pairs if query == q]
        wants = {modality[c] for c in relevant}
        assert {m for m, w in zip(found.modalities, found.wanted[q], strict=True) if w} == wants
        assert found.modalities[found.answered[q]] == modality[order[0]]
        assert found.missed[q] == (bool(wants) and modality[order[0]] not in wants)
        shares = [sum(modality[c] == m for c in order[:5]) / 5 for m in found.modalities]
        biases = [s - sum(modality == m) / 42 for s, m in zip(shares, found.modalities, strict=True)]
        np.testing.assert_allclose(found.bias[q], biases, atol=1e-12)
        assert found.bias_size[q] == pytest.approx(sum(map(abs, biases)) / 2)
        assert found.right[q] == next((c for c in order if c in relevant), -1)
        unwanted = [c for c in order if wants and modality[c] not in wants]
        assert found.rival[q] == (unwanted[0] if unwanted else -1)
    missed = [q for q in range(30) if found.missed[q]]
    assert missed and found.preferences[:, 0].tolist() == missed
    tops = [max(range(42), key=lambda c: float(np.float32(queries[q] @ candidates[c]))) for q in missed]
    assert all(modality[r] == modality[t] for r, t in zip(found.preferences[:, 2], tops, strict=True))


def test_a_tie_goes_to_the_earlier_candidate_whatever_its_modality() -> None:
    candidates = unit(np.array([[1, 0], [0, 1], [1, 0.0], [0, 1]]))
    modality = np.array(["image,text", "text", "image", "image"])
    found = pool_answers(unit(np.array([[1, 0.0]])), candidates, modality, np.array([[0, 1]]))
    assert found.rival.tolist() == [0] and found.missed.tolist() == [True]
    swapped = pool_answers(
        unit(np.array([[1, 0.0]])), candidates[[2, 1, 0, 3]], modality[[2, 1, 0, 3]], np.array([[0, 1]])
    )
    assert swapped.rival.tolist() == [0] and swapped.modalities[swapped.answered[0]] == "image"


def test_biases_sum_to_zero_and_are_largest_where_one_modality_fills_the_list() -> None:
    queries, candidates, modality, pairs = pool(2)
    found = pool_answers(queries, candidates, modality, pairs)
    np.testing.assert_allclose(found.bias.sum(axis=1), 0, atol=1e-12)
    split = np.vstack([np.tile([[1, 0.0]], (20, 1)), np.tile([[0, 1.0]], (20, 1))])
    one = pool_answers(unit(np.array([[1, 0.0]])), unit(split), np.array(["text"] * 20 + ["image"] * 20), pairs[:0])
    assert one.bias_size.tolist() == [0.5] and not one.judged.any() and not one.missed.any()
    assert one.right.tolist() == [-1] and one.rival.tolist() == [-1]


def test_a_modality_of_one_candidate_counts() -> None:
    queries, candidates, _, pairs = pool(3)
    modality = np.array(["image", *["text"] * 41])
    found = pool_answers(queries, candidates, modality, pairs)
    assert found.modalities == ("text", "image") and found.pool_share.tolist() == [41 / 42, 1 / 42]
    assert set(found.rival[found.judged & ~found.wanted[:, 1]].tolist()) == {0}


def test_a_pool_of_one_modality_is_refused() -> None:
    queries, candidates, _, pairs = pool()
    with pytest.raises(NotAvailable, match=r"one modality.*text.*demo-mixed"):
        pool_answers(queries, candidates, np.array(["text"] * 42), pairs)


def test_the_bias_by_chance_is_that_of_random_draws() -> None:
    sizes, rng = np.array([30, 12, 8]), np.random.default_rng(0)
    labels = np.repeat(np.arange(3), sizes)
    draws = [np.bincount(rng.choice(labels, 10, replace=False), minlength=3) / 10 for _ in range(4000)]
    simulated = np.abs(np.array(draws) - sizes / 50).sum(axis=1).mean() / 2
    assert bias_by_chance(sizes, 10) == pytest.approx(simulated, abs=0.005)
