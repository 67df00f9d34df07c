"""Overview: its numbers are core's, its verdicts the exhibits' own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dashboard_driver import healthy, metric, show, story, texts

from core.exhibits import Verdict, beyond_answer
from core.exhibits.claims import claims
from core.questions import fidelity, retrieval
from core.records import EmbeddingView
from core.run import Run, open_run
from core.store import Store
from dashboard import data, words
from dashboard.parts import claims as claim_cards


@pytest.mark.parametrize("chosen", ["recall@1", "recall@5"])
def test_numbers_are_cores_for_the_chosen_recall(chosen: str, run: Run) -> None:
    link = {} if chosen == "recall@5" else {"metric": chosen}
    app = show("overview", run="small", **link)
    healthy(app, "overview")
    row = retrieval.compare(run, "none", "realign").table.set_index("metric").loc[chosen]
    for side in ("before", "after"):
        assert words.percent(row[side]) in story(app)
    assert metric(app, "explained_variance") == words.percent(fidelity.fidelity(run).value("explained variance"))


def test_every_claim_has_a_card_with_its_number_interval_and_n(run: Run, clip: Run) -> None:
    shown = texts(show("overview", run="small", other="small-clip"))
    judged = claims([run, clip])
    assert {claim.claim for claim in judged} == {1, 2, 3, 4}
    for claim in judged:
        assert f"Claim {claim.claim} · {claim.title}" in shown
        if claim.value is not None:
            assert claim_cards.number(claim) in shown
            assert claim_cards.basis(claim) in shown


def test_a_run_that_a_claim_cannot_speak_of_says_so(small_store: Store) -> None:
    app = show("overview", run="small-task7", other="none")
    healthy(app, "overview")
    assert "cannot be said" in texts(app)


def test_an_impossible_metric_is_replaced_and_said(small_store: Store) -> None:
    app = show("overview", run="small", metric="recall@7")
    healthy(app, "overview")
    assert "recall@7" in app.warning[0].value


@pytest.mark.demo
def test_no_pooling_is_named_where_the_mean_is_best(demo_store: Store) -> None:
    run = open_run("demo", demo_store)
    hits = {}
    for pooling in ("mean", "last", "max", "min"):
        q, c = (
            np.asarray(run.embeddings(part, EmbeddingView(-1, pooling, "all")), np.float64)
            for part in ("queries", "candidates")
        )
        unit_q, unit_c = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, c))
        best = (unit_q @ unit_c.T).argmax(1)
        relevant = {(int(a), int(b)) for a, b in run.qrels("test").pairs}
        hits[pooling] = np.mean([(row, int(column)) in relevant for row, column in enumerate(best)])
    assert max(hits, key=hits.__getitem__) == "mean"
    for name in ("demo", "demo-clip"):
        assert "The pooling" not in texts(show("overview", run=name, metric="recall@1"))


@pytest.mark.parametrize("outcome", ["disagrees", "agrees", "not clear"])
def test_a_better_pooling_is_named_where_it_is_clear(outcome: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exhibit's own numbers, of a run where another pooling wins; hand-made here."""
    rows = [
        {"pooling": "mean", "variant": "none", "recall@1": 0.313, "queries": 400},
        {"pooling": "max", "variant": "none", "recall@1": 0.402, "queries": 400},
        {"pooling": "last", "variant": "none", "recall@1": 0.517, "queries": 400},
        {"pooling": "max", "variant": "realign", "recall@1": 0.9, "queries": 400},
    ]
    gain = {"gain": 0.204, "gain_low": 0.176, "gain_high": 0.238}
    verdict = Verdict(on="small", outcome=outcome, why="what: ...")  # type: ignore[arg-type]
    made = SimpleNamespace(verdicts=(verdict,), table=pd.DataFrame([row | gain for row in rows]))
    exhibit = data.exhibit
    monkeypatch.setattr(
        data, "exhibit", lambda name, *rest: made if name == "table-5" else exhibit(name, *rest), raising=True
    )
    shown = texts(show("overview", run="small", metric="recall@1"))
    assert ("The pooling" in shown) == (outcome == "disagrees")
    if outcome == "disagrees":
        assert f"represented by {words.POOLINGS['last']} instead of {words.POOLINGS['mean']}" in shown
        assert "right answer first for **51.7%** of 400 queries" in shown and "+20.4" in shown and "+17.6" in shown


@pytest.mark.parametrize("outcome", ["agrees", "not clear"])
def test_where_it_is_read_is_said_where_that_is_clear(outcome: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exhibit's own numbers, of a run that stores where the answer begins; hand-made here."""
    numbers = {"queries": 400, "beyond_no_header": 0.64, "beyond_no_header_low": 0.61, "beyond_no_header_high": 0.67}
    rows = [
        {"reading": beyond_answer.ANSWER, "variant": "none", "recall@5": 0.941, "recall@1": 0.9} | numbers,
        {"reading": beyond_answer.LAST, "variant": "none", "recall@5": 0.301, "recall@1": 0.2} | numbers,
    ]
    verdict = Verdict(on="small", outcome=outcome, why="what: ...")  # type: ignore[arg-type]
    made = SimpleNamespace(verdicts=(verdict,), table=pd.DataFrame(rows))
    exhibit = data.exhibit
    monkeypatch.setattr(
        data, "exhibit", lambda name, *rest: made if name == "answer" else exhibit(name, *rest), raising=True
    )
    shown = texts(show("overview", run="small"))
    assert ("Where it is read" in shown) == (outcome == "agrees")
    if outcome == "agrees":
        assert "**94.1%** of 400 queries" in shown and "**30.1%**" in shown and "+64.0" in shown and "+61.0" in shown


def test_a_run_that_was_not_read_there_says_nothing_of_it(small_store: Store) -> None:
    assert "Where it is read" not in texts(show("overview", run="small-clip"))
