"""Similarity: parts add up to the score, ranks are core's, removal follows its curve."""

from __future__ import annotations

import pytest
from dashboard_driver import Tab, healthy, show, texts, waterfall

from core.questions import removal, retrieval, similarity
from core.run import Run
from dashboard import words
from dashboard.parts import explanations


def failing(run: Run) -> tuple[int, int, int]:
    """First query that fails raw, its right candidate, its rival."""
    query = int(retrieval.query_list(run, "none", "none", "failing", limit=1)["row"].iloc[0])
    contest = retrieval.contest(run, query)
    return query, contest.right.row, contest.wrong.row


@pytest.mark.parametrize("variant", ["none", "realign"])
@pytest.mark.parametrize("view", ["margin", "right", "wrong"])
def test_parts_shown_sum_to_the_score(view: str, variant: str, run: Run) -> None:
    query, right, wrong = failing(run)
    app = show("similarity", run="small", view=view, variant=variant)
    healthy(app, "similarity")
    score = {row: retrieval.place(run, query, row, variant).similarity for row in (right, wrong)}
    wanted = {"margin": score[right] - score[wrong], "right": score[right], "wrong": score[wrong]}[view]
    parts, last = waterfall(app)
    assert sum(parts) == pytest.approx(wanted, abs=1e-5)
    assert float(last) == pytest.approx(wanted, abs=1e-3)
    assert f"{wanted:+.5f}" in texts(app) or f"{sum(parts):+.6f}" in texts(app)


def test_similarity_shows_cores_ranks(run: Run) -> None:
    query, right, wrong = failing(run)
    shown = texts(show("similarity", run="small", variant="center"))
    for row in (right, wrong):
        place = retrieval.place(run, query, row, "center")
        assert f"similarity {place.similarity:.4f}" in shown
        assert f"#{words.count(place.rank)}<" in shown


def test_removal_slider_shows_the_curve(run: Run) -> None:
    app = show("similarity", run="small", share="0.02", then="center")
    curve = removal.removal_curve(run, "center")
    at = curve[curve["share"] == 0.02]
    values = {m.label: m.value for m in app.metric}
    assert values["Top gone"] == words.percent(float(at[at["kind"] == "top attribution"]["recall@1"].iloc[0]))
    assert values["Random gone"] == words.percent(float(at[at["kind"] != "top attribution"]["recall@1"].mean()))


@pytest.mark.browser
def test_from_a_failing_query_to_a_repaired_ranking(tab: Tab, run: Run) -> None:
    query, right, wrong = failing(run)
    found = similarity.margin(run, query, right, wrong)
    tab.open("similarity", run="small")
    assert f"The wrong candidate is ahead by {-found.similarity:.4f}" in tab.text()
    concept = int(explanations.leading(found, "margin").concept)
    tab.page.get_by_role("button", name="Switch off").click()
    variant, before = f"set({concept}=0)", retrieval.evaluate(run, "none").evaluation.recall[1]
    after = retrieval.compare(run, "none", variant)
    tab.page.get_by_text(f"{words.percent(before)} → {words.percent(after.after.evaluation.recall[1])}").wait_for()
    tab.wait_for_link(variant=variant)
    tab.page.get_by_role("link", name="See the rankings under this variant").click()
    tab.settle("retrieval").wait_for_link(variant=variant)
    assert f"{len(after.fixed):,} fixed" in tab.text()
    tab.page.get_by_role("link", name="Why is the right one").first.click()
    tab.settle("similarity").healthy()
