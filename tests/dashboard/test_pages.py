"""Every page in every state: no cache, a run, impossible links; and shown numbers are core's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.questions import fidelity, modality, removal, retrieval
from core.records import EmbeddingView
from core.run import open_run
from core.store import Store
from dashboard import words

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
PAGES = list(words.PAGES)
FRONT = PAGES[0]


def show(page: str, **link: str) -> AppTest:
    """The page as a fresh session sees it that opens the link."""
    app = AppTest.from_file(str(APP), default_timeout=240)
    if page != FRONT:
        app.switch_page(f"views/{page}.py")
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def texts(app: AppTest) -> str:
    """Everything written, as one string."""
    kinds = (
        app.markdown,
        app.caption,
        app.warning,
        app.info,
        app.error,
        app.code,
        app.title,
        app.subheader,
        app.get("html"),
    )
    return "\n".join(str(getattr(e, "value", None) or getattr(e.proto, "body", "")) for kind in kinds for e in kind)


def metric(app: AppTest, name: str) -> str:
    """The value of the first card with that word."""
    return next(m.value for m in app.metric if m.label == words.word(name).label)


def healthy(app: AppTest, page: str) -> None:
    assert not app.exception, [e.value for e in app.exception]
    assert app.title[0].value == words.PAGES[page][0]


@pytest.mark.parametrize("page", PAGES)
def test_empty_cache_is_a_designed_state(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path))
    app = show(page)
    healthy(app, page)
    assert app.code[0].value == "retrieval-lens demo"
    assert str(tmp_path) in texts(app)


@pytest.mark.demo
@pytest.mark.parametrize("run", ["demo", "demo-clip", "demo-task7"])
@pytest.mark.parametrize("page", PAGES)
def test_page_shows_a_run(page: str, run: str, demo_store: Store) -> None:
    app = show(page, run=run)
    healthy(app, page)
    assert not app.error
    assert not app.warning
    assert app.selectbox(key="w-run").value == run


@pytest.mark.demo
@pytest.mark.parametrize("page", PAGES)
def test_page_shows_two_runs_and_a_variant(page: str, demo_store: Store) -> None:
    app = show(page, run="demo", other="demo-clip", variant="center")
    healthy(app, page)
    assert not app.error
    assert (app.selectbox(key="w-other").value, app.selectbox(key="w-variant").value) == ("demo-clip", "center")


@pytest.mark.demo
@pytest.mark.parametrize("page", PAGES)
def test_impossible_link_is_replaced_and_said(page: str, demo_store: Store) -> None:
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
    assert app.selectbox(key="w-run").value == "demo"


@pytest.mark.demo
@pytest.mark.parametrize("page", ["concepts", "similarity", "retrieval"])
def test_last_row_is_allowed_and_one_beyond_is_not(page: str, demo_store: Store) -> None:
    run = open_run("demo", demo_store)
    name, last = (
        ("concept", run.need_sae().width - 1) if page == "concepts" else ("query", len(run.corpus.items("queries")) - 1)
    )
    assert not show(page, run="demo", **{name: str(last)}).warning
    assert str(last + 1) in "\n".join(w.value for w in show(page, run="demo", **{name: str(last + 1)}).warning)


@pytest.mark.demo
def test_overview_numbers_are_cores(demo_store: Store) -> None:
    app, run = show("overview", run="demo"), open_run("demo", demo_store)
    shown, table = texts(app), retrieval.compare(run, "none", "realign").table.set_index("metric")
    for side in ("before", "after"):
        assert words.percent(table.loc["recall@1", side]) in shown
    assert words.percent(modality.scores(run).share_image) in shown
    curve = removal.removal_curve(run)
    at = curve[(curve["share"] == 0.01) & (curve["kind"] == "top attribution")]
    assert words.percent(at["recall@1"].iloc[0]) in shown
    assert metric(app, "explained_variance") == words.percent(fidelity.fidelity(run).value("explained variance"))


@pytest.mark.demo
def test_overview_names_a_better_pooling_where_there_is_one(demo_store: Store) -> None:
    run = open_run("demo", demo_store)
    q, c = (
        np.asarray(run.embeddings(part, EmbeddingView(-1, "last", "all")), np.float64)
        for part in ("queries", "candidates")
    )
    best = (q / np.linalg.norm(q, axis=1, keepdims=True) @ (c / np.linalg.norm(c, axis=1, keepdims=True)).T).argmax(1)
    relevant = {(int(a), int(b)) for a, b in run.qrels("test").pairs}
    hits = np.mean([(row, int(column)) in relevant for row, column in enumerate(best)])
    assert f"right answer first for **{words.percent(hits)}** of 1,000 queries" in texts(show("overview", run="demo"))
    assert "Beside the claims" not in texts(show("overview", run="demo-clip"))


@pytest.mark.demo
def test_modality_numbers_are_cores(demo_store: Store) -> None:
    app, found = show("modality", run="demo"), modality.scores(open_run("demo", demo_store))
    assert metric(app, "share_text") == words.percent(found.share_text)
    assert metric(app, "share_image") == words.percent(found.share_image)
    app.segmented_control(key="w-weight").set_value("by its energy").run()
    assert metric(app, "energy_share_text") == words.percent(found.energy_share_text)


@pytest.mark.demo
def test_what_is_undefined_is_said_and_not_judged(demo_store: Store) -> None:
    assert "No modality scores in demo-task7" in texts(show("modality", run="demo-task7"))
    assert "cannot be judged here" in texts(show("overview", run="demo-task7"))


@pytest.mark.demo
def test_choice_in_a_widget_becomes_the_state(demo_store: Store) -> None:
    app = show("modality", run="demo")
    app.selectbox(key="w-run").set_value("demo-clip").run()
    healthy(app, "modality")
    found = modality.scores(open_run("demo-clip", demo_store))
    assert metric(app, "share_text") == words.percent(found.share_text)


@pytest.mark.demo
def test_every_number_card_has_a_definition(demo_store: Store) -> None:
    for page in PAGES:
        for card in show(page, run="demo").metric:
            assert len(card.help) > 20, (page, card.label)


@pytest.mark.demo
def test_frame_choices_survive_a_change_of_page(demo_store: Store) -> None:
    app = show("modality", run="demo-clip", variant="center")
    app.switch_page("views/runs.py").run()
    healthy(app, "runs")
    assert (app.selectbox(key="w-run").value, app.selectbox(key="w-variant").value) == ("demo-clip", "center")
