"""Intervals and tests over queries: against slow loops, scipy and cases worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from core.analysis import retrieval as r
from core.analysis.retrieval import resampling


def test_shared_answers_by_hand() -> None:
    """0-1 share candidate 5, 1-3 share candidate 2, so 0, 1 and 3 are one; 4 has no pair."""
    pairs = np.array([[0, 5], [1, 5], [1, 2], [3, 2], [2, 0]])
    assert r.shared_answers(pairs, 5).tolist() == [0, 0, 1, 0, 2]
    assert r.shared_answers(np.array([[0, 1], [1, 0], [1, 2]]), 3) is None
    assert r.shared_answers(np.empty((0, 2), dtype=np.int64), 3) is None


def test_the_ranking_of_shared_answers_knows_its_clusters() -> None:
    rows = np.eye(4)
    ranked = r.rank_relevant(rows, rows, np.array([[0, 1], [1, 1], [2, 2], [3, 3]]))
    assert ranked.clusters.tolist() == [0, 0, 1, 2]
    assert r.rank_relevant(rows, rows, np.array([[0, 0], [1, 1]])).clusters is None


@pytest.mark.parametrize("clusters", [None, np.arange(50)])
def test_clusters_of_one_query_change_nothing(clusters: np.ndarray | None) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(-1, 2, size=(50, 3)).astype(float)
    for given, alone in zip(
        r.bootstrap_means(values, 400, 7, clusters), r.bootstrap_means(values, 400, 7), strict=True
    ):
        np.testing.assert_allclose(given, alone, rtol=1e-12)
    for column in values.T:
        assert r.sign_flip(column, 300, 1, clusters) == r.sign_flip(column, 300, 1)
        expected = r.mcnemar_exact(int((column > 0).sum()), int((column < 0).sum()))
        assert r.exact_sign_flip(column, clusters) == pytest.approx(expected, rel=1e-12)


def test_cluster_bootstrap_against_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    clusters = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4])
    values = rng.normal(size=len(clusters))
    draws = np.random.default_rng(5).integers(5, size=(300, 5))
    means = [np.concatenate([values[clusters == g] for g in drawn]).mean() for drawn in draws]
    low, high = r.bootstrap_means(values[:, None], 300, 5, clusters)
    assert (low[0], high[0]) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_one_cluster_has_no_interval() -> None:
    low, high = r.bootstrap_means(np.ones((4, 1)), clusters=np.zeros(4, dtype=np.int64))
    assert np.isnan([low[0], high[0]]).all()


def test_twice_the_same_queries_say_no_more_than_once() -> None:
    """Every query given twice: clusters keep interval and p of the single ones, independent queries claim more."""
    rng = np.random.default_rng(1)
    once = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=60)
    twice, clusters = np.repeat(once, 2), np.repeat(np.arange(60), 2)
    np.testing.assert_allclose(
        r.bootstrap_means(twice[:, None], clusters=clusters), r.bootstrap_means(once[:, None]), rtol=1e-12
    )
    assert r.exact_sign_flip(twice, clusters) == pytest.approx(r.exact_sign_flip(once))
    assert r.exact_sign_flip(twice) < r.exact_sign_flip(once)
    assert r.sign_flip(twice, clusters=clusters) == r.sign_flip(once)


def test_exact_test_of_clusters_against_all_sign_patterns() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        n = int(rng.integers(4, 14))
        difference = rng.integers(-1, 2, size=n).astype(float)
        clusters = np.sort(rng.integers(0, 6, size=n))
        clusters = np.unique(clusters, return_inverse=True)[1]
        sums = np.bincount(clusters, weights=difference)
        totals = [abs(np.dot(signs, sums)) for signs in product((-1, 1), repeat=len(sums))]
        expected = np.mean([total >= abs(sums.sum()) - 1e-9 for total in totals])
        assert r.exact_sign_flip(difference, clusters) == pytest.approx(expected)


def test_exact_test_keeps_far_tails() -> None:
    """200 clusters that all improve, half of them by 2: chance 2 / 2^200."""
    assert r.exact_sign_flip(np.repeat([1.0, 2.0], 100)) == pytest.approx(2.0**-199, rel=1e-9)


def test_max_t_of_one_setting_is_a_sign_flip_test() -> None:
    difference = np.random.default_rng(4).normal(0.2, 1, size=40)
    assert r.max_t(difference[:, None])[0] == pytest.approx(r.sign_flip(difference), abs=0.02)


def test_max_t_costs_nothing_for_equal_settings_and_a_bonferroni_at_most() -> None:
    rng = np.random.default_rng(5)
    difference = rng.normal(0.3, 1, size=40)
    alone = r.max_t(difference[:, None])[0]
    assert r.max_t(np.column_stack([difference] * 5))[0] == alone
    among = np.column_stack([difference, rng.normal(size=(40, 6))])
    assert alone < r.max_t(among)[0] <= 7 * alone + 0.02
    assert r.max_t(np.zeros((4, 2))).tolist() == [1.0, 1.0]


def test_the_best_of_seven_equal_settings_is_rarely_called_better() -> None:
    """300 worlds with nothing to find: 2.5% should be called better; the best, tested as if it were the only one, is
    called so more than twice as often."""
    rng = np.random.default_rng(6)
    corrected, plain = 0, 0
    for seed in range(300):
        values = rng.normal(size=(24, 8))
        difference = values[:, 1:] - values[:, :1]
        best = difference.mean(axis=0).argmax()
        corrected += r.max_t(difference, 200, seed)[best] < 0.05 and difference[:, best].mean() > 0
        plain += r.max_t(difference[:, [best]], 200, seed)[0] < 0.05 and difference[:, best].mean() > 0
    assert corrected <= 12 and plain > 2 * corrected


def test_max_t_flips_clusters_together() -> None:
    once = np.random.default_rng(7).normal(0.3, 1, size=(30, 2))
    twice, clusters = np.repeat(once, 2, axis=0), np.repeat(np.arange(30), 2)
    np.testing.assert_allclose(r.max_t(twice, clusters=clusters), r.max_t(once))


def test_smallest_difference_is_seen_in_four_of_five_samples() -> None:
    rng, n, sigma = np.random.default_rng(8), 200, 1.0
    shift = r.smallest_difference(sigma / np.sqrt(n))
    samples = rng.normal(shift, sigma, size=(4000, n))
    z = samples.mean(axis=1) / (samples.std(axis=1, ddof=1) / np.sqrt(n))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.02)


def test_smallest_difference_where_no_query_changed() -> None:
    """Six changes, all one way, are the fewest that an exact test sees; 80% of samples must hold them."""
    n, rng = 1000, np.random.default_rng(9)
    share = r.smallest_difference(0.0, n)
    changed = rng.binomial(n, share, size=20_000)
    seen = {k: binomtest(k, k, 0.5).pvalue < 0.05 for k in range(1, 10)}
    assert [k for k, yes in seen.items() if yes][0] == 6
    assert np.mean(changed >= 6) == pytest.approx(0.8, abs=0.01)
    assert r.smallest_difference(0.02, n) == pytest.approx(0.056, abs=0.001)
    assert np.isnan(resampling._least_change(5)), "five queries can show nothing"


def test_fewer_queries_never_make_agreement_easier() -> None:
    spans = []
    for n in (10, 100, 1000, 10_000):
        low, high = r.independent_interval(0.01, (np.sqrt(0.25 / n), np.sqrt(0.25 / 5000)))
        spans.append((low, high))
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in zip(spans, spans[1:], strict=False))
    assert r.independent_interval(0.0, (0.03, 0.04)) == pytest.approx((-0.098, 0.098), abs=1e-4)
