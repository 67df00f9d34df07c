"""Who stands where: the contest of a query and its list of candidates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from core.questions import retrieval
from core.run import Run

pytestmark = pytest.mark.demo


@pytest.fixture
def run(demo_runs: Mapping[str, Run]) -> Run:
    return demo_runs["demo"]


def test_contest_is_right_against_wrong(run: Run) -> None:
    evaluated = retrieval.evaluate(run, "none")
    for query in range(0, len(evaluated.ranks), 97):
        contest, relevant = retrieval.contest(run, query), set(run.qrels("test").relevant(query).tolist())
        assert contest.right.rank == evaluated.ranks[query]
        assert contest.right.row in relevant
        assert contest.wrong.row not in relevant
        assert min(contest.right.rank, contest.wrong.rank) == 1
        assert retrieval.place(run, query, contest.right.row) == contest.right


def test_candidate_list_is_the_ranking_and_can_be_searched(run: Run) -> None:
    everything = retrieval.candidate_list(run, 0, "center", limit=10**6)
    assert everything["rank"].tolist() == list(range(1, len(everything) + 1))
    assert (np.diff(everything["similarity"]) <= 1e-6).all()
    word = everything["text"].iloc[5].split()[-1]
    found = retrieval.candidate_list(run, 0, "center", word, limit=10**6)
    assert 0 < len(found) < len(everything)
    assert found.attrs["total"] == len(found)
    assert found["text"].str.lower().str.contains(word).all()
