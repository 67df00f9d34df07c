"""Two runs beside each other, against loops over dense rankings, scipy's test, and permuted corpora."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from core.errors import UserError
from core.memo import Memo
from core.questions import compare, geometry, retrieval
from core.records import Qrels
from core.run import Run

pytestmark = pytest.mark.demo


@pytest.fixture
def mllm(demo_runs: Mapping[str, Run]) -> Run:
    return demo_runs["demo"]


@pytest.fixture
def clip(demo_runs: Mapping[str, Run]) -> Run:
    return demo_runs["demo-clip"]


@pytest.fixture
def other_task(demo_runs: Mapping[str, Run]) -> Run:
    return demo_runs["demo-task1"]


def order(run: Run, centre: bool) -> np.ndarray:
    """Dense rankings of all queries, best first, by numpy."""
    sides = []
    for part in ("queries", "candidates"):
        x = np.asarray(run.embeddings(part), np.float64)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        x = x - x.mean(axis=0) if centre else x
        sides.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    return np.argsort(-(sides[0] @ sides[1].T).astype(np.float32), axis=1, kind="stable")


def ranks(run: Run, centre: bool) -> np.ndarray:
    best = order(run, centre)
    return np.array([np.flatnonzero(np.isin(best[q], run.qrels("test").relevant(q)))[0] + 1 for q in range(len(best))])


@pytest.mark.parametrize("k", [1, 5])
def test_outcomes_are_counted_by_a_loop(k: int, mllm: Run, clip: Run) -> None:
    a, b = ranks(mllm, True), ranks(clip, False)
    table = compare.outcomes(mllm, clip, "center", "none", k).set_index("kind")["queries"]
    wanted = {"both": 0, "only first": 0, "only second": 0, "neither": 0}
    for x, y in zip(a, b, strict=True):
        wanted["both" if x <= k and y <= k else "only first" if x <= k else "only second" if y <= k else "neither"] += 1
    assert table.to_dict() == wanted
    assert table.sum() == len(a)


def test_table_is_the_two_evaluations_and_their_paired_test(mllm: Run, clip: Run) -> None:
    a, b = ranks(mllm, False), ranks(clip, False)
    row = compare.compare(mllm, clip, "none", "none").table.set_index("metric").loc["recall@1"]
    assert row["first"] == pytest.approx((a == 1).mean())
    assert row["second"] == pytest.approx((b == 1).mean())
    assert row["difference"] == pytest.approx((b == 1).mean() - (a == 1).mean())
    better, worse = int(((b == 1) & (a != 1)).sum()), int(((a == 1) & (b != 1)).sum())
    assert row["p_value"] == pytest.approx(binomtest(better, better + worse).pvalue)
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_swapped_sides_swap_the_table(mllm: Run, clip: Run) -> None:
    there, back = (
        compare.compare(mllm, clip, "center", "none").table,
        compare.compare(clip, mllm, "none", "center").table,
    )
    np.testing.assert_allclose(there["difference"], -back["difference"])
    np.testing.assert_allclose(there["first"], back["second"])
    np.testing.assert_allclose(there["p_value"], back["p_value"], atol=0.02)


def test_one_run_with_itself_differs_nowhere(mllm: Run) -> None:
    table = compare.compare(mllm, mllm, "center", "center").table
    assert (table["difference"] == 0).all()
    assert (table["p_value"] == 1).all()
    outcomes = compare.outcomes(mllm, mllm, "center", "center").set_index("kind")["queries"]
    assert outcomes["only first"] == outcomes["only second"] == 0


def test_runs_of_other_tasks_are_not_paired_and_say_why(mllm: Run, other_task: Run) -> None:
    found = compare.compare(mllm, other_task)
    assert "1,000 queries" in found.why_not
    assert "2,000" in found.why_not
    assert found.table[["difference", "p_value"]].isna().all(axis=None)
    assert found.table.set_index("metric").loc["recall@1", "second_n"] == 2000
    for ask in (compare.outcomes, compare.query_list):
        with pytest.raises(UserError, match="same queries"):
            ask(mllm, other_task)
    with pytest.raises(UserError, match="same queries"):
        compare.rankings(mllm, other_task, 0)


def test_same_items_with_other_pairs_are_not_paired(mllm: Run, clip: Run) -> None:
    """One pair fewer on the other side."""
    qrels = clip.qrels("test")
    other = replace(clip, _memos=Memo())
    other.memo(("qrels", "test"), lambda: Qrels(qrels.query_rows[1:], qrels.candidate_rows[1:]))
    assert compare.pairing(mllm, clip) == ""
    assert "other pairs" in compare.pairing(mllm, other)


def test_queries_that_differ_most_come_first(mllm: Run, clip: Run) -> None:
    a, b = ranks(mllm, False), ranks(clip, False)
    found = compare.query_list(mllm, clip, limit=10**6)
    assert found.attrs["total"] == len(a)
    assert sorted(found["row"]) == list(range(len(a)))
    np.testing.assert_array_equal(found["rank_first"], a[found["row"]])
    np.testing.assert_array_equal(found["rank_second"], b[found["row"]])
    ratio = np.maximum(found["rank_first"] / found["rank_second"], found["rank_second"] / found["rank_first"])
    assert (np.diff(ratio) <= 1e-9).all()
    only = compare.query_list(mllm, clip, kind="only second", limit=10**6)
    assert set(only["row"]) == set(np.flatnonzero((a > 1) & (b == 1)))
    with pytest.raises(UserError, match="unknown kind"):
        compare.query_list(mllm, clip, kind="loud")  # type: ignore[arg-type]


def test_rankings_name_the_rank_on_the_other_side(mllm: Run, clip: Run) -> None:
    first, second = order(mllm, True)[5].tolist(), order(clip, False)[5].tolist()
    found = compare.rankings(mllm, clip, 5, "center", "none", 4)
    assert found.before["row"].tolist() == first[:4]
    assert found.after["row"].tolist() == second[:4]
    assert found.before["rank_other"].tolist() == [second.index(row) + 1 for row in first[:4]]
    assert found.after["rank_other"].tolist() == [first.index(row) + 1 for row in second[:4]]
    with pytest.raises(UserError, match="no such query"):
        compare.rankings(mllm, clip, 10**6)


def test_similarities_stand_side_by_side(mllm: Run, clip: Run) -> None:
    found = compare.similarities(mllm, clip, "center", "none")
    assert found.groupby("side")["positive"].sum().tolist() == pytest.approx([1, 1])
    alone = geometry.similarities(clip, ("none",))
    np.testing.assert_array_equal(found[found["side"] == "second"]["positive"], alone["positive"])
    assert found.attrs["second"] == alone.attrs["none"]


def test_shape_is_measured_on_each_side_by_itself(mllm: Run, clip: Run) -> None:
    """The gap between the sides' means and the mean cosine of two distinct queries, by numpy."""
    found = compare.shape(mllm, clip, "none", "none").set_index("measure")
    for column, run in (("first", mllm), ("second", clip)):
        q, c = (np.asarray(run.embeddings(part), np.float64) for part in ("queries", "candidates"))
        q, c = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, c))
        assert found.loc["modality gap", column] == pytest.approx(np.linalg.norm(q.mean(0) - c.mean(0)), abs=1e-5)
        within = (np.sum(q @ q.T) - len(q)) / (len(q) * (len(q) - 1))
        assert found.loc["mean cosine within queries", column] == pytest.approx(within, abs=1e-5)


def test_teaching_query_is_missed_raw_found_centred_and_found_by_the_other(
    mllm: Run, clip: Run, other_task: Run
) -> None:
    row = compare.teaching_query(mllm, clip)
    assert retrieval.evaluate(mllm, "none").ranks[row] > 1
    assert retrieval.evaluate(mllm, "center").ranks[row] == 1
    assert retrieval.evaluate(clip, "none").ranks[row] == 1
    alone = compare.teaching_query(mllm, other_task)
    assert retrieval.evaluate(mllm, "center").ranks[alone] == 1
    several = compare.teaching_queries(mllm, clip, limit=9)
    raw = retrieval.evaluate(mllm, "none").ranks
    assert several[0] == row
    assert len(set(several)) == 9
    assert all(raw[q] > 1 and retrieval.evaluate(mllm, "center").ranks[q] == 1 for q in several)
