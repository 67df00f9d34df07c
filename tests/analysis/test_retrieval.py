"""Ranking and metrics against full sorting, ir-measures, scipy, and by hand."""

from dataclasses import replace

import ir_measures
import numpy as np
import pytest
from scipy import stats

from core.analysis import retrieval as r
from core.analysis.retrieval import ranking
from core.analysis.retrieval.rows import row_source
from core.errors import ShapeMismatch, UserError


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def task():
    """80 queries, 130 candidates with duplicates, so ties are real; two queries have no relevant candidate."""
    rng = np.random.default_rng(5)
    candidates = unit(rng.standard_normal((130, 12))).astype(np.float32)
    candidates[100:] = candidates[:30]
    pairs = np.array([(i, j) for i in range(78) for j in rng.choice(130, rng.integers(1, 4), replace=False)])
    one_relevant = np.vstack([candidates[[pairs[pairs[:, 0] == i][0, 1]]] for i in range(78)] + [np.zeros((2, 12))])
    queries = unit(rng.standard_normal((80, 12)) + 2 * one_relevant)
    return queries.astype(np.float32), candidates, pairs


def full_scores(queries, candidates):
    return (queries.astype(np.float64) @ candidates.astype(np.float64).T).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
def test_top_k_is_a_stable_full_sort(task, block, monkeypatch):
    monkeypatch.setattr(ranking, "QUERY_BLOCK", 33)
    scores = full_scores(*task[:2])
    order = np.argsort(-scores, axis=1, kind="stable")
    top = r.rank_top_k(*task[:2], k=10, block=block)
    np.testing.assert_array_equal(top.candidates, order[:, :10])
    np.testing.assert_array_equal(top.scores, np.take_along_axis(scores, order, 1)[:, :10])


def test_top_k_beyond_the_pool_gives_the_pool(task):
    queries, candidates, _ = task
    assert np.array_equal(
        np.sort(r.rank_top_k(queries, candidates, k=999).candidates, axis=1), np.tile(np.arange(130), (80, 1))
    )
    assert r.rank_top_k(queries[:0], candidates).candidates.shape == (0, 10)


def test_zero_and_negative_scores_keep_their_order():
    q = np.array([[1.0, 0.0]], np.float32)
    c = np.array([[-1, 0], [0, 1], [-0.0, 1], [0.5, 0], [0, -1], [-0.5, 0]], np.float32)
    assert r.rank_top_k(q, c, 6).candidates.tolist() == [[3, 1, 2, 4, 5, 0]]


@pytest.mark.parametrize("block", [5, 4096])
def test_first_rank_is_where_a_relevant_candidate_first_stands(task, block, monkeypatch):
    monkeypatch.setattr(ranking, "QUERY_BLOCK", 33)
    queries, candidates, pairs = task
    scores = full_scores(queries, candidates)
    order = np.argsort(-scores, axis=1, kind="stable")
    relevant = np.zeros(scores.shape, bool)
    relevant[pairs[:, 0], pairs[:, 1]] = True
    expected, worst = np.zeros(80, int), np.zeros(80, int)
    for i in range(78):
        expected[i] = np.flatnonzero(relevant[i][order[i]])[0] + 1
        best = scores[i][relevant[i]].max()
        worst[i] = np.sum((scores[i] >= best) & ~relevant[i]) + 1
    found = r.rank_relevant(queries, candidates, pairs, block=block)
    np.testing.assert_array_equal(found.first, expected)
    np.testing.assert_array_equal(found.pessimistic, worst)
    np.testing.assert_array_equal(r.first_relevant_rank(queries, candidates, pairs, pessimistic=True), worst)
    assert (worst > expected).any(), "the case has ties"


def test_a_negative_zero_is_a_zero():
    """-1e-50 becomes -0.0 in float32, which equals 0.0."""
    assert r.rank_top_k(np.ones((1, 1)), np.array([[-1e-50], [0.0], [-1e-50]]), 3).candidates.tolist() == [[0, 1, 2]]


def test_ndcg_with_more_than_ten_relevant():
    c = np.eye(14)[:, :1] + np.linspace(0.9, 0, 14)[:, None] * 0.5
    ranked = r.rank_relevant(np.ones((1, 1)), c, np.column_stack([np.zeros(12, int), np.arange(12)]))
    assert ranked.ndcg10.tolist() == [1.0]


def test_all_equal_candidates():
    """Ties by candidate order: the rank is the position; pessimistic: behind all irrelevant ones."""
    ones = np.ones((6, 3), np.float32) / np.sqrt(3).astype(np.float32)
    found = r.rank_relevant(ones[:1], ones, np.array([[0, 2], [0, 4]]))
    assert (found.first.tolist(), found.pessimistic.tolist()) == ([3], [5])


def test_metrics_are_those_of_ir_measures(task):
    queries, candidates, pairs = task
    rng = np.random.default_rng(0)
    candidates = unit(rng.standard_normal(candidates.shape)).astype(
        np.float32
    )  # no ties: ir-measures breaks them its own way
    gains = rng.integers(1, 4, len(pairs)).astype(float)
    scores = full_scores(queries, candidates)
    run = [ir_measures.ScoredDoc(f"q{i}", f"d{j}", float(scores[i, j])) for i in range(80) for j in range(130)]
    qrels = [ir_measures.Qrel(f"q{i}", f"d{j}", int(g)) for (i, j), g in zip(pairs, gains, strict=True)]
    m = ir_measures
    measures = [m.Success @ 1, m.Success @ 5, m.Success @ 10, m.RR, m.nDCG @ 10]
    theirs = {(x.query_id, str(x.measure)): x.value for x in m.iter_calc(measures, qrels, run)}
    ranked = r.rank_relevant(queries, candidates, pairs, gains)
    names = {
        "recall@1": "Success@1",
        "recall@5": "Success@5",
        "recall@10": "Success@10",
        "mrr": "RR",
        "ndcg@10": "nDCG@10",
    }
    for ours, name in names.items():
        values = [theirs[f"q{i}", name] for i in range(78)] + [0.0, 0.0]
        np.testing.assert_allclose(r.per_query(ranked, ours), values, atol=1e-9, err_msg=ours)


def test_evaluation_counts_queries_without_relevant_as_misses(task):
    result = r.evaluate(r.rank_relevant(*task))
    assert (result.queries, result.queries_without_relevant, result.candidates) == (80, 2, 130)
    hits = result.ranked.first[:78]
    assert result.recall == {k: np.mean(hits <= k) * 78 / 80 for k in (1, 5, 10)}
    assert result.mrr == pytest.approx(np.sum(1 / hits) / 80)
    assert result.to_json()["recall"]["5"] == result.value("recall@5")


def test_permuting_candidates_and_queries_changes_no_metric(task):
    queries, candidates, pairs = task
    rng = np.random.default_rng(1)
    candidates = unit(rng.standard_normal(candidates.shape)).astype(np.float32)
    new_q, new_c = rng.permutation(80), rng.permutation(130)
    moved = np.column_stack([np.argsort(new_q)[pairs[:, 0]], np.argsort(new_c)[pairs[:, 1]]])
    a, b = r.rank_relevant(queries, candidates, pairs), r.rank_relevant(queries[new_q], candidates[new_c], moved)
    np.testing.assert_array_equal(a.first[new_q], b.first)
    np.testing.assert_allclose(a.ndcg10[new_q], b.ndcg10)


def test_bootstrap_is_seeded_and_near_scipys(task):
    ranked = replace(r.rank_relevant(*task), clusters=None)  # scipy draws queries one by one
    one, same, other = (r.evaluate(ranked, seed=s).ci95 for s in (0, 0, 1))
    assert one == same != other
    values = r.per_query(ranked, "mrr")
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    np.testing.assert_allclose(one["mrr"], theirs, atol=0.01)
    low, high = one["recall@5"]
    assert low < r.evaluate(ranked).recall[5] < high


def test_bootstrap_in_blocks_is_the_same(monkeypatch):
    from core.analysis.retrieval import resampling

    table = np.random.default_rng(0).random((50, 2))
    whole = r.bootstrap_means(table, 300)
    monkeypatch.setattr(resampling, "_BLOCK", 170)
    np.testing.assert_array_equal(whole, r.bootstrap_means(table, 300))


def ranked_of(first):
    first = np.array(first)
    return r.Ranked(first, first, np.divide(1.0, first, out=np.zeros(len(first)), where=first > 0), 99)


def test_paired_difference_by_hand():
    before, after = ranked_of([1, 2, 3, 9, 0, 1, 4, 2, 2, 2]), ranked_of([1, 1, 1, 1, 0, 2, 1, 1, 1, 1])
    found = r.paired_difference(before, after, "recall@1")
    assert (found.improved, found.worsened, found.n, found.test) == (7, 1, 10, "mcnemar-exact")
    assert found.difference == pytest.approx(0.6)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert found.low < 0.6 < found.high
    back = r.paired_difference(after, before, "recall@1")
    assert (back.difference, back.p_value) == (pytest.approx(-0.6), found.p_value)


def test_sign_flip_is_near_scipys_permutation_test():
    rng = np.random.default_rng(2)
    d = rng.normal(0.25, 1, 40)
    theirs = stats.permutation_test(
        (d, np.zeros(40)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).pvalue
    assert 0.01 < theirs < 0.5
    assert r.sign_flip(d) == pytest.approx(theirs, abs=0.02)
    assert r.sign_flip(np.zeros(5)) == r.mcnemar_exact(0, 0) == 1.0


def test_p_values_of_equal_variants_are_uniform_enough():
    """Under the null no more than about 5% of p values fall below 0.05."""
    rng = np.random.default_rng(0)
    ps = [r.sign_flip(rng.normal(size=30), permutations=500, seed=i) for i in range(300)]
    assert 0.02 < np.mean(np.array(ps) < 0.05) < 0.09


def test_fixed_and_broken_by_hand():
    changes = r.fixed_and_broken(np.array([1, 3, 0, 2, 0]), np.array([2, 1, 1, 1, 0]), 1)
    assert (changes.fixed.tolist(), changes.broken.tolist()) == ([1, 2, 3], [0])
    changes = r.fixed_and_broken(np.array([1, 3, 0]), np.array([2, 1, 6]), 5)
    assert (changes.fixed.tolist(), changes.broken.tolist()) == ([], [])


def test_arrays_round_trip(task):
    ranked = r.rank_relevant(*task)
    back = r.Ranked.from_arrays(ranked.arrays())
    assert back.n_candidates == 130
    np.testing.assert_array_equal(back.pessimistic, r.Ranked.from_arrays(ranked.arrays().get).pessimistic)


def test_bad_input_is_refused(task):
    queries, candidates, pairs = task
    with pytest.raises(ShapeMismatch, match="80 x 130"):
        r.rank_relevant(queries, candidates, pairs + [0, 100])
    with pytest.raises(ShapeMismatch, match="equal widths"):
        next(ranking._product_blocks(queries[:, :4], row_source(candidates), None))
    with pytest.raises(UserError):
        r.rank_top_k(queries, candidates, 0)
    with pytest.raises(UserError, match="recall@1"):
        r.per_query(ranked_of([1]), "recall@3")
    with pytest.raises(ShapeMismatch):
        r.paired_difference(ranked_of([1]), ranked_of([1, 2]))


def test_no_queries_is_unknown():
    result = r.evaluate(r.rank_relevant(np.zeros((0, 3)), np.eye(3), np.zeros((0, 2), int)))
    assert result.queries == 0
    assert np.isnan([result.mrr, *result.ci95["mrr"], result.value("mrr")]).all()


@pytest.mark.parametrize("block", [7, 4096])
def test_sparse_rows_rank_as_the_same_rows_written_out(block, monkeypatch):
    """Next-word distributions: few entries of many, not of unit length, duplicates among the candidates."""
    from scipy.sparse import csr_matrix

    monkeypatch.setattr(ranking, "QUERY_BLOCK", 33)
    rng = np.random.default_rng(8)
    rows = np.where(rng.random((210, 900)) < 0.03, rng.random((210, 900)), 0).astype(np.float32)
    queries, candidates = rows[:80], np.vstack([rows[80:], rows[80:100]])
    pairs = np.array([(i, j) for i in range(78) for j in rng.choice(150, rng.integers(1, 4), replace=False)])
    dense = r.rank_relevant(queries, candidates, pairs)
    sparse = r.rank_relevant(csr_matrix(queries), csr_matrix(candidates), pairs, block=block)
    assert (dense.first > dense.pessimistic.min()).any() and (dense.pessimistic != dense.first).any()
    for name, values in dense.arrays().items():
        np.testing.assert_allclose(sparse.arrays()[name], values, rtol=1e-12, err_msg=name)
