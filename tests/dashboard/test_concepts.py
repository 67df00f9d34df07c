"""Concepts: the numbers are core's, a concept is searched, switched off and left alone."""

from __future__ import annotations

import numpy as np
import pytest
from dashboard_driver import Tab, healthy, metric, show, texts

from core.analysis.variants import parse_variant
from core.questions import concepts, retrieval
from core.run import Run
from dashboard import words


def test_concept_numbers_are_cores(run: Run) -> None:
    k = int(concepts.table(run)["attribution"].idxmax())
    app, card = show("concepts", run="small", concept=str(k)), concepts.concept(run, k)
    healthy(app, "concepts")
    for name in ("energy", "modality_score", "bridge", "attribution", "frequency"):
        assert metric(app, name) == words.word(name).write(card.figures[name])
    for row in card.images.head(12).itertuples():
        assert f">{row.activation:.2f}<" in texts(app)


def test_concept_search(run: Run) -> None:
    label = concepts.table(run).sort_values("energy")["label"].iloc[-1].rstrip("?")
    app = show("concepts", run="small", find=label)
    listed = next(d.value for d in app.dataframe if "modality_score" in d.value.columns)
    assert listed["label"].str.lower().str.contains(label.lower().split()[0], regex=False).all()
    assert "No such concept" in texts(show("concepts", run="small", find="qwertyuiop"))


def test_concept_that_never_fires(run: Run) -> None:
    dead = np.flatnonzero(concepts.table(run)["energy"].to_numpy() == 0)
    if not len(dead):
        pytest.skip("every concept fires")
    app = show("concepts", run="small", concept=str(dead[0]))
    healthy(app, "concepts")
    assert "It never fires here" in texts(app)


def test_switch_off_scale_and_remove_make_a_variant(run: Run) -> None:
    app = show("concepts", run="small", concept="5", variant="center")
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


@pytest.mark.browser
def test_a_row_opens_a_concept_and_a_fellow_opens_the_next(tab: Tab, run: Run) -> None:
    k = int(concepts.table(run)["energy"].idxmax())
    tab.open("concepts", run="small", concept=str(k))
    fellow = int(concepts.concept(run, k).co_firing["concept"].iloc[0])
    tab.page.get_by_role("button", name=f"{fellow} · ").first.click()
    tab.page.get_by_role("heading", name=f"{fellow} · ").wait_for()
    tab.wait_for_link(concept=str(fellow))
    tab.healthy()


@pytest.mark.browser
def test_heat_is_shown_on_demand(tab: Tab, run: Run) -> None:
    k = int(concepts.table(run)["energy"].idxmax())
    tab.open("concepts", run="small", concept=str(k), heat="true")
    tab.page.locator(".lens-marked span").first.wait_for(timeout=240_000)  # the model is loaded first
    tab.healthy()
