"""Concepts, Similarity and Retrieval: numbers are core's, parts add up, the path from a failing query to a repaired
ranking works."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_browser import Tab, browser, server, tab  # noqa: F401 (fixtures)
from test_pages import healthy, metric, show, texts

from core.analysis.variants import parse_variant
from core.config import SaeSpec
from core.pipeline import run as make_run
from core.questions import concepts, removal, retrieval, similarity
from core.run import Run, open_run
from core.store import Store
from dashboard import words
from dashboard.parts import explanations

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]


@pytest.fixture
def run(demo_store: Store) -> Run:
    return open_run("demo", demo_store)


def failing(run: Run) -> tuple[int, int, int]:
    """First query that fails raw, its right candidate, its rival."""
    query = int(retrieval.query_list(run, "none", "none", "failing", limit=1)["row"].iloc[0])
    contest = retrieval.contest(run, query)
    return query, contest.right.row, contest.wrong.row


def waterfall(app: AppTest) -> tuple[list[float], str]:
    """Parts of the waterfall on the page, and the text on its last bar."""
    for chart in app.get("plotly_chart"):
        trace = json.loads(chart.proto.spec)["data"][0]
        if trace["type"] == "waterfall":
            return list(map(float, trace["x"][:-1])), trace["text"][-1]
    raise AssertionError("no waterfall")


# -- core: who stands where ------------------------------------------------------------------------------------------


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


# -- numbers on the pages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["none", "realign"])
@pytest.mark.parametrize("view", ["margin", "right", "wrong"])
def test_parts_shown_sum_to_the_score(view: str, variant: str, run: Run) -> None:
    query, right, wrong = failing(run)
    app = show("similarity", run="demo", view=view, variant=variant)
    healthy(app, "similarity")
    score = {row: retrieval.place(run, query, row, variant).similarity for row in (right, wrong)}
    wanted = {"margin": score[right] - score[wrong], "right": score[right], "wrong": score[wrong]}[view]
    parts, last = waterfall(app)
    assert sum(parts) == pytest.approx(wanted, abs=1e-5)
    assert float(last) == pytest.approx(wanted, abs=1e-3)
    assert f"{wanted:+.5f}" in texts(app) or f"{sum(parts):+.6f}" in texts(app)


def test_similarity_shows_cores_ranks(run: Run) -> None:
    query, right, wrong = failing(run)
    shown = texts(show("similarity", run="demo", variant="center"))
    for row in (right, wrong):
        place = retrieval.place(run, query, row, "center")
        assert f"similarity {place.similarity:.4f}" in shown
        assert f"#{words.count(place.rank)}<" in shown


def test_removal_slider_shows_the_curve(run: Run) -> None:
    app = show("similarity", run="demo", share="0.02", then="center")
    curve = removal.removal_curve(run, "center")
    at = curve[curve["share"] == 0.02]
    values = {m.label: m.value for m in app.metric}
    assert values["Top gone"] == words.percent(float(at[at["kind"] == "top attribution"]["recall@1"].iloc[0]))
    assert values["Random gone"] == words.percent(float(at[at["kind"] != "top attribution"]["recall@1"].mean()))


def test_retrieval_numbers_are_cores(run: Run) -> None:
    app, found = show("retrieval", run="demo"), retrieval.compare(run, "none", "realign")
    healthy(app, "retrieval")
    shown = texts(app)
    assert f"{len(found.fixed):,} fixed" in shown
    assert f"{int((found.after.ranks == 1).sum()):,}</b> of {len(found.after.ranks):,} queries" in shown
    table = next(d.value for d in app.dataframe if "difference" in d.value.columns).set_index("metric")
    for row in found.table.itertuples():
        word = words.word(row.metric)
        assert table.loc[word.label, "after"].startswith(word.write(row.after))
        assert table.loc[word.label, "before"].startswith(word.write(row.before))


def test_beta_slider_evaluates_at_once(run: Run) -> None:
    app = show("retrieval", run="demo")
    app.slider(key="w-beta").set_value(0.37).run()
    found = retrieval.evaluate(run, f"realign(beta=0.37,eps={run.spec.whitening.eps})").evaluation
    assert f"β = 0.37: Recall @1 {words.percent(found.recall[1])}, @5 {words.percent(found.recall[5])}" in texts(app)


def test_concept_numbers_are_cores(run: Run) -> None:
    k = int(concepts.table(run)["attribution"].idxmax())
    app, card = show("concepts", run="demo", concept=str(k)), concepts.concept(run, k)
    healthy(app, "concepts")
    for name in ("energy", "modality_score", "bridge", "attribution", "frequency"):
        assert metric(app, name) == words.word(name).write(card.figures[name])
    for row in card.images.head(12).itertuples():
        assert f">{row.activation:.2f}<" in texts(app)


def test_concept_search(run: Run) -> None:
    label = concepts.table(run).sort_values("energy")["label"].iloc[-1].rstrip("?")
    app = show("concepts", run="demo", find=label)
    listed = next(d.value for d in app.dataframe if "modality_score" in d.value.columns)
    assert listed["label"].str.lower().str.contains(label.lower().split()[0], regex=False).all()
    assert "No such concept" in texts(show("concepts", run="demo", find="qwertyuiop"))


# -- the path --------------------------------------------------------------------------------------------------------


def test_switch_off_scale_and_remove_make_a_variant(run: Run) -> None:
    app = show("concepts", run="demo", concept="5", variant="center")
    app.button(key="off-5").click().run()
    assert app.selectbox(key="w-variant").value == "set(5=0)+center"
    before, after = (retrieval.evaluate(run, v).evaluation.recall[1] for v in ("center", "set(5=0)+center"))
    assert f"{words.percent(before)} → {words.percent(after)}" in texts(app)
    app.button(key="remove-5").click().run()
    assert app.selectbox(key="w-variant").value == "set(5=0)+remove(5)+center"
    app.button(key="off-5").click().run()
    assert app.selectbox(key="w-variant").value == str(parse_variant("remove(5)+center"))
    app.button(key="raw-5").click().run()
    assert app.selectbox(key="w-variant").value == "none"


def test_choosing_an_after_changes_the_variant_of_all_pages(run: Run) -> None:
    app = show("retrieval", run="demo")
    app.selectbox(key="after-realign").set_value("center").run()
    assert app.selectbox(key="w-variant").value == "center"


@pytest.mark.browser
def test_from_a_failing_query_to_a_repaired_ranking(tab: Tab, run: Run) -> None:  # noqa: F811
    query, right, wrong = failing(run)
    found = similarity.margin(run, query, right, wrong)
    tab.open("similarity", run="demo")
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


@pytest.mark.browser
def test_a_row_opens_a_concept_and_a_fellow_opens_the_next(tab: Tab, run: Run) -> None:  # noqa: F811
    k = int(concepts.table(run)["energy"].idxmax())
    tab.open("concepts", run="demo", concept=str(k))
    fellow = int(concepts.concept(run, k).co_firing["concept"].iloc[0])
    tab.page.get_by_role("button", name=f"{fellow} · ").first.click()
    tab.page.get_by_role("heading", name=f"{fellow} · ").wait_for()
    tab.wait_for_link(concept=str(fellow))
    tab.healthy()


@pytest.mark.browser
def test_heat_is_shown_on_demand(tab: Tab, run: Run) -> None:  # noqa: F811
    k = int(concepts.table(run)["energy"].idxmax())
    tab.open("concepts", run="demo", concept=str(k), heat="true")
    tab.page.locator(".lens-marked span").first.wait_for(timeout=240_000)  # the model is loaded first
    tab.healthy()


# -- nothing to show -------------------------------------------------------------------------------------------------


def test_concept_that_never_fires(run: Run) -> None:
    dead = np.flatnonzero(concepts.table(run)["energy"].to_numpy() == 0)
    if not len(dead):
        pytest.skip("every concept fires")
    app = show("concepts", run="demo", concept=str(dead[0]))
    healthy(app, "concepts")
    assert "It never fires here" in texts(app)


@pytest.mark.parametrize("page", ["concepts", "similarity", "retrieval"])
def test_run_without_sae(page: str, run: Run, demo_store: Store) -> None:
    make_run(replace(run.spec, name="demo-bare", sae=SaeSpec(source="none")), demo_store)
    st.cache_data.clear()  # the list of runs is kept for some seconds
    app = show(page, run="demo-bare")
    healthy(app, page)
    assert bool(app.info) == (page != "retrieval")
    assert all("no SAE" in box.value for box in app.info)
