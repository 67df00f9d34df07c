"""Every page in every state: no cache, one run, two runs and a variant, impossible links."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
from dashboard_driver import PAGES, healthy, show, texts

from core.config import SaeSpec
from core.pipeline import run as make_run
from core.run import Run, open_run
from core.store import Store


@pytest.mark.parametrize("page", PAGES)
def test_empty_cache_is_a_designed_state(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path))
    app = show(page)
    healthy(app, page)
    assert app.code[0].value == "retrieval-lens demo"
    assert str(tmp_path) in texts(app).replace("\\", "")  # shown as it is: Markdown's signs are escaped


@pytest.mark.parametrize("run", ["small", "small-clip", "small-task7"])
@pytest.mark.parametrize("page", PAGES)
def test_page_shows_a_run(page: str, run: str, small_store: Store) -> None:
    app = show(page, run=run)
    healthy(app, page)
    assert not app.error
    assert not app.warning
    assert app.selectbox(key="w-run").value == run


@pytest.mark.parametrize("page", PAGES)
def test_page_shows_two_runs_and_a_variant(page: str, small_store: Store) -> None:
    app = show(page, run="small", other="small-clip", variant="center")
    healthy(app, page)
    assert not app.error
    assert (app.selectbox(key="w-other").value, app.selectbox(key="w-variant").value) == ("small-clip", "center")


@pytest.mark.parametrize("page", PAGES)
def test_impossible_link_is_replaced_and_said(page: str, small_store: Store) -> None:
    bad = {
        "run": "nope",
        "other": "nobody",
        "variant": "frobnicate(",
        "concept": "99999999",
        "query": "-3",
        "candidate": "x",
        "rival": "1e9",
    }
    app = show(page, **bad)
    healthy(app, page)
    said = "\n".join(w.value for w in app.warning)
    assert "“nope”" in said
    assert "“nobody”" in said
    assert "frobnicate" in said
    assert app.selectbox(key="w-run").value == "small"


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("playground", {"uploads": "x"}),
        ("playground", {"start": "queries:²"}),
        ("playground", {"picture": "candidates:٣"}),
        ("retrieval", {"query-drawn": "x"}),
        ("concepts", {"concept-drawn": "-1e9"}),
        ("map", {"point": "queries:²"}),
        ("map", {"selected": "0000.q1"}),
        ("map", {"selected": "²"}),
        ("runs", {"selected": "x.k../../etc/passwd"}),
        ("modality", {"point-small": "x"}),
        ("modality", {"point-small": "²:fox"}),
        ("runs", {"run_key": "x"}),
        ("runs", {"variant": "+".join(["center"] * 17)}),
        ("compare", {"against": "+".join(["center"] * 10_000)}),
    ],
)
def test_a_link_that_cannot_be_read_gives_the_page_with_a_note(
    page: str, link: dict[str, str], small_store: Store
) -> None:
    app = show(page, run="small", **link)
    healthy(app, page)
    assert len(app.warning) == 1
    assert app.selectbox(key="w-run").value == "small"


def test_a_chain_of_too_many_steps_says_the_limit(small_store: Store) -> None:
    app = show("runs", run="small", variant="+".join(["center"] * 17))
    assert "up to 16" in app.warning[0].value
    assert not show("runs", run="small", variant="+".join(["center"] * 16)).warning


@pytest.mark.parametrize("page", ["concepts", "similarity", "retrieval"])
def test_last_row_is_allowed_and_one_beyond_is_not(page: str, small_store: Store) -> None:
    run = open_run("small", small_store)
    name, last = (
        ("concept", run.need_sae().width - 1) if page == "concepts" else ("query", len(run.corpus.items("queries")) - 1)
    )
    assert not show(page, run="small", **{name: str(last)}).warning
    assert str(last + 1) in "\n".join(w.value for w in show(page, run="small", **{name: str(last + 1)}).warning)


@pytest.mark.parametrize("page", ["concepts", "similarity", "retrieval"])
def test_run_without_sae(page: str, run: Run, small_store: Store) -> None:
    make_run(replace(run.spec, name="small-bare", sae=SaeSpec(source="none")), small_store)
    st.cache_data.clear()  # the list of runs is kept for some seconds
    app = show(page, run="small-bare")
    healthy(app, page)
    assert bool(app.info) == (page != "retrieval")
    assert all("no SAE" in box.value for box in app.info)


def test_every_number_card_has_a_definition(small_store: Store) -> None:
    for page in PAGES:
        for card in show(page, run="small").metric:
            assert len(card.help) > 20, (page, card.label)


def test_frame_choices_survive_a_change_of_page(small_store: Store) -> None:
    app = show("modality", run="small-clip", variant="center")
    app.switch_page("views/runs.py").run()
    healthy(app, "runs")
    assert (app.selectbox(key="w-run").value, app.selectbox(key="w-variant").value) == ("small-clip", "center")
