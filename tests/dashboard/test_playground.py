"""Playground: what is asked is ranked as core ranks it, every form of it is a link, what is missing is said."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from dashboard_driver import Tab, healthy, show, texts, waterfall
from PIL import Image

from core.config import parse_spec
from core.errors import UserError
from core.pipeline import run as make_run
from core.progress import NoProgress
from core.questions import compare, live, retrieval
from core.run import Run, open_run
from core.store import Store
from dashboard import data
from dashboard.data import live as uploads


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_stored_query_is_shown_with_the_stored_ranking(run: Run) -> None:
    app = show("playground", run="small", query="5", variant="center")
    healthy(app, "playground")
    shown = texts(app)
    for row in retrieval.candidate_list(run, 5, "center", limit=10).itertuples():
        assert f"{row.rank}. {row.text}" in shown
        assert f"{row.similarity:.3f}" in shown
    assert "known to be right" in shown


def test_typed_text_is_a_link_and_ranks_as_core_ranks_it(small_store: Store) -> None:
    run = open_run("small-task1", small_store)
    app = show("playground", run="small-task1", start="none", typed="two foxes in the snow")
    healthy(app, "playground")
    assert app.text_input(key="w-typed").value == "two foxes in the snow"
    found = live.rank(run, live.embed(run, live.item(run, "two foxes in the snow")), "realign")
    assert f"{found['similarity'].iloc[0]:.3f}" in texts(app)
    assert "Nothing is known to be right" in texts(app)


def test_parts_of_a_live_similarity_sum_to_it(run: Run) -> None:
    app = show("playground", run="small", query="5", variant="center")
    parts, last = waterfall(app)
    best = float(retrieval.candidate_list(run, 5, "center", limit=1)["similarity"].iloc[0])
    assert sum(parts) == pytest.approx(best, abs=1e-5)
    assert float(last) == pytest.approx(best, abs=1e-3)


def test_switch_of_a_concept_becomes_a_step_of_the_variant_and_changes_the_ranking(run: Run) -> None:
    app = show("playground", run="small", query="5", variant="center")
    concept = int(live.concepts(run, live.embed(run, live.stored_item(run, "queries", 5)), 1)["concept"].iloc[0])
    app.toggle(key=f"on-{concept}-center").set_value(False).run()
    healthy(app, "playground")
    variant = f"set({concept}=0)+center"
    assert app.selectbox(key="w-variant").value == variant
    after = retrieval.candidate_list(run, 5, variant, limit=1)
    assert f"{after['similarity'].iloc[0]:.3f}" in texts(app)
    app.toggle(key=f"on-{concept}-{variant}").set_value(True).run()
    assert app.selectbox(key="w-variant").value == "center"


def test_a_text_typed_beside_the_preset_picture_is_a_text_alone(run: Run) -> None:
    app = show("playground", run="small")
    app.text_input(key="w-typed").set_value("two foxes in the snow").run()
    healthy(app, "playground")
    alone = live.embed(run, live.item(run, "two foxes in the snow"))
    assert f"{live.rank(run, alone, 'realign')['similarity'].iloc[0]:.3f}" in texts(app)
    asked = compare.teaching_query(run, None, "realign")
    picture = live.stored_item(run, "queries", asked).image
    next(b for b in app.button if b.label == "Ask with the picture too").click().run()
    both = live.embed(run, live.item(run, "two foxes in the snow", picture))
    row = live.rank(run, both, "realign", modality="image,text")
    assert f"{row['similarity'].iloc[0]:.3f}" in texts(app)


def test_a_switch_inside_the_model_changes_what_it_says_and_what_it_finds(run: Run) -> None:
    where = {"edit-where": "inside"}
    app = show("playground", run="small", query="5", variant="center", speaks="true", **where)
    item = live.stored_item(run, "queries", 5)
    concept = int(live.concepts(run, live.embed(run, item), 1)["concept"].iloc[0])
    app.toggle(key=f"on-{concept}-center-inside").set_value(False).run()
    healthy(app, "playground")
    variant = f"inside(layer=-1,{concept}=0)+center"
    assert app.selectbox(key="w-variant").value == variant
    assert "are not computed yet" in texts(app) and "go through the changed model" in texts(app)
    assert live.say(run, item) in texts(app) and live.say(run, item, "", variant) in texts(app)
    app.button(key=f"compute-{variant}").click().run()
    healthy(app, "playground")
    found = retrieval.candidate_list(run, 5, variant, limit=1)
    assert f"{found['similarity'].iloc[0]:.3f}" in texts(app)
    assert "Raw" in texts(app) and "Variant" in texts(app)
    app.toggle(key=f"on-{concept}-{variant}-inside").set_value(True).run()
    assert app.selectbox(key="w-variant").value == "center"


def test_switch_leaves_the_query_alone(run: Run) -> None:
    app = show("playground", run="small")
    asked = compare.teaching_query(run, None, "realign")
    assert f"query {asked}<" in texts(app)
    app.toggle[[t.key.startswith("on-") for t in app.toggle].index(True)].set_value(False).run()
    assert app.selectbox(key="w-variant").value.startswith("set(")
    assert f"query {asked}<" in texts(app)


def test_another_kind_of_query_than_the_runs_is_remarked(small_store: Store) -> None:
    assert "with their statistics" in texts(show("playground", run="small", start="none", typed="a fox"))
    assert "itself among the candidates" in texts(show("playground", run="small", start="candidates:7"))
    assert "with their statistics" not in texts(show("playground", run="small", query="5"))


def test_model_speaks_where_it_can_and_says_where_it_cannot(run: Run) -> None:
    said = live.say(run, live.stored_item(run, "queries", 5))
    assert said in texts(show("playground", run="small", query="5", speaks="true"))
    asked = live.say(run, live.stored_item(run, "queries", 5), "where is this?")
    assert asked in texts(show("playground", run="small", query="5", speaks="true", request="where is this?"))
    app = show("playground", run="small-clip", query="5", speaks="true")
    healthy(app, "playground")
    assert any("does not speak" in info.value for info in app.info)


def test_nothing_asked_is_a_designed_state(small_store: Store) -> None:
    app = show("playground", run="small", start="none")
    healthy(app, "playground")
    assert "Ask something" in texts(app)


@pytest.mark.parametrize(
    "bad", [{"start": "queries:99999"}, {"start": "loud"}, {"picture": "upload:beef"}, {"picture": "queries:x"}]
)
def test_impossible_starts_and_pictures_are_replaced_and_said(bad: dict[str, str], small_store: Store) -> None:
    app = show("playground", run="small", **bad)
    healthy(app, "playground")
    assert len(app.warning) == 1


def test_uploaded_picture_is_asked_with_the_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = data.keep_upload(png())
    app = show("playground", run="small", start="none", picture=name, typed="a fox")
    healthy(app, "playground")
    assert not app.warning
    row = live.embed(run, live.item(run, "a fox", Image.new("RGB", (40, 30), "red")))
    assert f"{live.rank(run, row, 'realign')['similarity'].iloc[0]:.3f}" in texts(app)
    monkeypatch.setattr(uploads, "UPLOADS_PER_VISITOR", 1)
    data.keep_upload(png("blue"))
    assert not data.has_upload(name)


def test_uploads_cost_what_they_show() -> None:
    kept = uploads.Uploads()
    for visitor in "ab":
        for i in range(uploads.UPLOADS_PER_VISITOR + 2):
            kept.add(f"{visitor}{i}", visitor, Image.new("RGB", (8, 8)))
    assert kept.bytes() == 2 * uploads.UPLOADS_PER_VISITOR * 3 * 64
    assert kept.get("a0") is None
    assert kept.get("a5") is not None
    for i in range(30):
        kept.add(f"large{i}", f"visitor {i}", Image.new("RGB", (2048, 2048)))
    assert kept.bytes() <= uploads.UPLOAD_BYTES


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "JPEG"), ("RGB", "PNG"), ("P", "GIF"), ("I;16", "PNG"), ("1", "PNG")]
)
def test_a_large_upload_is_made_small(mode: str, kind: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (4100, 2050)).save(buffer, kind)
    picture = live.picture(buffer.getvalue())
    assert picture.mode == "RGB"
    assert picture.size == (live.UPLOAD_SIDE, live.UPLOAD_SIDE // 2)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("1", (13_000, 13_000)).save(buffer, "PNG")
    content = buffer.getvalue()
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(UserError, match="13000 x 13000"):
        data.keep_upload(content)


def test_bad_upload_is_one_line_and_keeps_nothing() -> None:
    with pytest.raises(UserError, match="cannot be used as a picture"):
        data.keep_upload(b"%PDF-1.7 not a picture")


def test_own_embeddings_say_that_there_is_no_model(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rng = tmp_path / "own", np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "queries.npy", rng.normal(size=(6, 8)).astype(np.float32))
    np.save(folder / "candidates.npy", rng.normal(size=(6, 8)).astype(np.float32))
    pd.DataFrame({"query-id": range(6), "corpus-id": range(6), "score": 1}).astype(str).to_csv(
        folder / "qrels.tsv", sep="\t", index=False
    )
    monkeypatch.setenv("RETRIEVAL_LENS_CACHE", str(tmp_path / "cache"))
    spec = {
        "name": "own",
        "corpus": {"source": "embeddings", "path": str(folder), "task": 4},
        "sae": {"source": "none"},
    }
    make_run(parse_spec(spec), Store(tmp_path / "cache"), NoProgress())
    st.cache_data.clear()
    app = show("playground", run="own")
    healthy(app, "playground")
    assert "No model to ask" in texts(app)
    healthy(show("compare", run="own"), "compare")
    for step in ("1", "2", "4", "8"):
        app = show("lesson", run="own", step=step, answer="true")
        healthy(app, "lesson")
        assert len(app.info) + len(re.findall('class="lens-lesson"', texts(app))) == 1
    st.cache_data.clear()


@pytest.mark.browser
def test_dropped_picture_is_asked_and_a_bad_one_refused(tab: Tab) -> None:
    tab.open("playground", run="small", start="none")
    field = tab.page.get_by_test_id("stFileUploaderDropzoneInput")
    field.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not a picture"})
    tab.page.get_by_text("this file cannot be used as a picture").wait_for()
    field.set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": png()})
    tab.page.get_by_role("heading", name="What it finds").wait_for()
    assert tab.settle("playground").link()["picture"].startswith("upload:")
    tab.healthy()


@pytest.mark.browser
def test_item_is_picked_changed_and_emptied_each_a_link(tab: Tab, small_store: Store) -> None:
    tab.open("playground", run="small-task7", query="3")
    tab.page.get_by_role("button", name="Pick an item of the run").click()
    body = tab.page.get_by_test_id("stPopoverBody")
    search = body.get_by_label("Search", exact=True)
    search.fill("test-12")
    search.press("Enter")
    tab.wait_for_link(search="test-12")
    table = tab.settle("playground").page.get_by_test_id("stPopoverBody").get_by_test_id("stDataFrame")
    table.click(position={"x": 12, "y": 54})
    picked = live.find(open_run("small-task7", small_store), "queries", "test-12", 1)["row"].iloc[0]
    tab.wait_for_link(start=f"queries:{picked}")
    tab.open("playground", run="small-task7", start="queries:12")
    field = tab.page.get_by_label("Text", exact=True)
    before = field.input_value()
    field.fill("at night")
    field.press("Enter")
    tab.wait_for_link(start="queries:12", typed="at night")
    field.fill("")
    field.press("Enter")
    tab.wait_for_link(start="none", picture="queries:12")
    assert "typed" not in tab.link()
    assert before
    tab.settle("playground").healthy()
