"""Failures and the concepts that decide them, on a small run, against the single-pair explanation and dense numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import NotAvailable, UserError
from core.questions import failures, retrieval, similarity
from core.questions.answers import transformed
from core.run import Run, open_run
from core.store import Store


@pytest.fixture
def run(small_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(failures, "SEEDS", (0, 1))
    return open_run("small", Store(small_cache))


@pytest.mark.parametrize("variant", ["none", "center"])
def test_failures_and_terms_are_those_of_the_single_explanation(run: Run, variant: str) -> None:
    found = failures.failures(run, variant)
    summary = found.summary
    ranks = retrieval.evaluate(run, variant).ranks
    assert summary.failures[:, 0].tolist() == np.flatnonzero(ranks > 1).tolist() and found.queries == len(ranks)
    for i in (0, len(summary.failures) // 2):
        query, right, wrong = map(int, summary.failures[i])
        contest = retrieval.contest(run, query, variant)
        assert (
            contest.right is not None
            and contest.wrong is not None
            and (right, wrong) == (contest.right.row, contest.wrong.row)
        )
        one = similarity.margin(run, query, right, wrong, variant, top=run.need_sae().width)
        terms = one.table.set_index("concept")["contribution"]
        assert summary.margin[i] == pytest.approx(one.similarity, abs=1e-9)
        deciding = sorted(int(k) for k in terms[(terms < 0) & (terms <= one.similarity)].index)
        assert sorted(summary.deciding[[i]].indices.tolist()) == deciding
        assert summary.worst[i] == terms.idxmin() and summary.worst_term[i] == pytest.approx(terms.min(), abs=1e-9)


def test_concepts_are_ranked_by_the_failures_they_decide(run: Run) -> None:
    table, summary = failures.failing_concepts(run), failures.failures(run).summary
    counts = np.zeros(run.need_sae().width, dtype=int)
    for row in summary.deciding.toarray():
        counts[np.flatnonzero(row)] += 1
    assert table["decided"].is_monotonic_decreasing and (table["decided"] == counts[table["concept"]]).all()
    assert set(table["concept"]) == set(np.flatnonzero(counts))
    assert (table["share_of_failures"] * len(summary.failures)).to_numpy() == pytest.approx(table["decided"].to_numpy())
    assert table.attrs["failures"] == len(summary.failures) == int((retrieval.evaluate(run).ranks > 1).sum())
    parts = [table.attrs[name] for name in ("concept_sum", "offset", "query_error", "candidate_error")]
    assert sum(parts) == pytest.approx(table.attrs["margin"], abs=1e-9)


def test_the_queries_of_one_concept(run: Run) -> None:
    """Without the concept's term the margin is no longer negative; every listed query fails as the rankings say."""
    k = int(failures.failing_concepts(run)["concept"].iloc[0])
    table = failures.decided_by(run, k)
    assert len(table) == failures.failing_concepts(run)["decided"].iloc[0]
    assert ((table["margin"] <= 0) & (table["margin"] - table["term"] >= 0)).all() and table[
        "term"
    ].is_monotonic_increasing
    q, c = transformed(run, "none", "queries").astype(float), transformed(run, "none", "candidates").astype(float)
    for row in table.itertuples():
        assert q[row.row] @ c[row.right] - q[row.row] @ c[row.wrong] == pytest.approx(row.margin, abs=1e-6)
        assert row.wrong not in run.qrels("test").relevant(row.row) and row.right in run.qrels("test").relevant(row.row)
    with pytest.raises(UserError, match="no such concept"):
        failures.decided_by(run, 10**6)


def test_switched_off_concepts_are_chosen_on_support_and_judged_on_test(run: Run) -> None:
    table = failures.switched_off(run, counts=(3,)).set_index("choice")
    assert table.attrs["chosen_on"] == "support"
    summary = failures.failures(run, split="support").summary
    order = sorted(range(len(summary.decided)), key=lambda k: (-summary.decided[k], summary.term_sum[k], k))[:3]
    assert table.loc["deciding", "concepts"] == ", ".join(map(str, order))
    sides, d = [], run.need_sae().dictionary.astype(np.float64)
    for part in ("queries", "candidates"):
        x = np.asarray(run.embeddings(part), dtype=np.float64) - run.codes(part)[:, order].toarray() @ d[order]
        sides.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    best = np.argmax((sides[0] @ sides[1].T).astype(np.float32), axis=1)
    recall = np.mean([best[q] in run.qrels("test").relevant(q) for q in range(len(best))])
    assert table.loc["deciding", "recall@1"] == pytest.approx(recall, abs=1e-9)
    raw = retrieval.evaluate(run).evaluation.recall[1]
    assert table.loc["deciding", "gain"] == pytest.approx(recall - raw)
    assert table.loc["deciding", "beyond_random"] == pytest.approx(recall - table.loc["random", "recall@1"])


def test_without_support_the_test_failures_choose_and_it_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "parts", property(lambda self: ("queries", "candidates")))
    assert failures.switched_off(run, counts=(1,)).attrs["chosen_on"] == "test"
    with pytest.raises(NotAvailable, match="support split"):
        failures.failures(run, split="support")


def test_without_an_sae_it_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "sae", None)
    for ask in (failures.failing_concepts, failures.switched_off):
        with pytest.raises(NotAvailable, match="no SAE"):
            ask(run)
