"""Rows of a comparison against `paired_difference`, hand-worked corrections and slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.retrieval import Ranked, evaluate, paired_difference
from core.questions.comparisons import by_metric, compared, holm


def ranked(first: np.ndarray) -> Ranked:
    return Ranked(first, first, np.zeros(len(first)), 50)


def some(seed: int, n: int = 120) -> Ranked:
    return ranked(np.random.default_rng(seed).integers(0, 14, n))


def test_a_row_of_two_rankings_is_what_evaluate_and_paired_difference_say() -> None:
    a, b = some(0), some(1)
    row = compared([b], {"gain": [a]}, "recall@5")
    expected, paired = evaluate(b), paired_difference(a, b, "recall@5")
    for k in (1, 5, 10):
        assert row[f"recall@{k}"] == expected.recall[k]
        assert (row[f"recall@{k}_low"], row[f"recall@{k}_high"]) == pytest.approx(expected.ci95[f"recall@{k}"])
    found = (row["gain"], row["gain_low"], row["gain_high"], row["gain_p"], row["queries"])
    assert found == pytest.approx((paired.difference, paired.low, paired.high, paired.p_value, paired.n))


def test_several_draws_are_averaged_query_by_query() -> None:
    draws, other = [some(s, 9) for s in range(3)], some(7, 9)
    row = next(r for r in by_metric([other], {"beyond_random": draws}) if r["metric"] == "recall@5")
    by_hand = []
    for q in range(9):
        hits = [1.0 if 0 < d.first[q] <= 5 else 0.0 for d in draws]
        by_hand.append((1.0 if 0 < other.first[q] <= 5 else 0.0) - sum(hits) / 3)
    assert row["beyond_random"] == pytest.approx(sum(by_hand) / 9)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 9)).reshape(9, -1).T
    exact = np.mean(np.abs(signs @ np.array(by_hand)) >= abs(sum(by_hand)) - 1e-9)
    assert row["beyond_random_p"] == pytest.approx(exact, abs=0.04)
    assert row["beyond_random_low"] <= row["beyond_random"] <= row["beyond_random_high"]


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04; running maximum 0.04, 0.06, 0.06,
    0.06."""
    assert holm([0.04, 0.01, np.nan, 0.03, 0.02]) == pytest.approx([0.06, 0.04, np.nan, 0.06, 0.06], nan_ok=True)
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    """Slow definition: walk up the sorted p-values, reject while p_(i) <= alpha / (m - i + 1), stop at the first that
    is not."""
    p = np.random.default_rng(3).beta(0.3, 3, 25)
    for alpha in (0.01, 0.05, 0.2):
        rejected = set()
        for i, at in enumerate(np.argsort(p)):
            if p[at] > alpha / (len(p) - i):
                break
            rejected.add(int(at))
        assert set(np.flatnonzero(holm(p) <= alpha).tolist()) == rejected
