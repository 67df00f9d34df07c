"""Playground, Compare and Lesson: what is shown is what core says, every choice is a link, and what is missing is
said."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest
from test_browser import Tab, browser, server, tab  # noqa: F401 (fixtures)
from test_pages import healthy, show, texts
from test_pages_deep import waterfall

from core.config import parse_spec
from core.errors import UserError
from core.pipeline import run as make_run
from core.progress import NoProgress
from core.questions import compare, live, retrieval
from core.run import Run, open_run
from core.store import Store
from dashboard import data, words
from dashboard.charts import compare as charts_compare
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson import shared as lesson_shared
from dashboard.lesson import steps as lesson

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]


@pytest.fixture
def run(demo_store: Store) -> Run:
    return open_run("demo", demo_store)


@pytest.fixture
def clip(demo_store: Store) -> Run:
    return open_run("demo-clip", demo_store)


def png(colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def story(app: AppTest) -> str:
    """The sentence in big type."""
    return next(m for m in re.findall(r'<p class="lens-(?:story|lesson)">(.*?)</p>', texts(app)))


# -- Playground ------------------------------------------------------------------------------------------------------


def test_stored_query_is_shown_with_the_stored_ranking(run: Run) -> None:
    app = show("playground", run="demo", query="5", variant="center")
    healthy(app, "playground")
    shown = texts(app)
    for row in retrieval.candidate_list(run, 5, "center", limit=10).itertuples():
        assert f"{row.rank}. {row.text}" in shown
        assert f"{row.similarity:.3f}" in shown
    assert "known to be right" in shown


def test_typed_text_is_a_link_and_ranks_as_core_ranks_it(demo_store: Store) -> None:
    run = open_run("demo-task1", demo_store)
    app = show("playground", run="demo-task1", start="none", typed="two foxes in the snow")
    healthy(app, "playground")
    assert app.text_input(key="w-typed").value == "two foxes in the snow"
    found = live.rank(run, live.embed(run, live.item(run, "two foxes in the snow")), "realign")
    assert f"{found['similarity'].iloc[0]:.3f}" in texts(app)
    assert "Nothing is known to be right" in texts(app)


def test_parts_of_a_live_similarity_sum_to_it(run: Run) -> None:
    app = show("playground", run="demo", query="5", variant="center")
    parts, last = waterfall(app)
    best = float(retrieval.candidate_list(run, 5, "center", limit=1)["similarity"].iloc[0])
    assert sum(parts) == pytest.approx(best, abs=1e-5)
    assert float(last) == pytest.approx(best, abs=1e-3)


def test_switch_of_a_concept_becomes_a_step_of_the_variant_and_changes_the_ranking(run: Run) -> None:
    app = show("playground", run="demo", query="5", variant="center")
    concept = int(live.concepts(run, live.embed(run, live.stored_item(run, "queries", 5)), 1)["concept"].iloc[0])
    app.toggle(key=f"on-{concept}-center").set_value(False).run()
    healthy(app, "playground")
    variant = f"set({concept}=0)+center"
    assert app.selectbox(key="w-variant").value == variant
    after = retrieval.candidate_list(run, 5, variant, limit=1)
    assert f"{after['similarity'].iloc[0]:.3f}" in texts(app)
    app.toggle(key=f"on-{concept}-{variant}").set_value(True).run()
    assert app.selectbox(key="w-variant").value == "center"


def test_switch_leaves_the_query_alone(run: Run) -> None:
    app = show("playground", run="demo")
    asked = compare.teaching_query(run, None, "realign")
    assert f"query {asked}<" in texts(app)
    app.toggle[[t.key.startswith("on-") for t in app.toggle].index(True)].set_value(False).run()
    assert app.selectbox(key="w-variant").value.startswith("set(")
    assert f"query {asked}<" in texts(app)


def test_another_kind_of_query_than_the_runs_is_remarked(demo_store: Store) -> None:
    assert "with their statistics" in texts(show("playground", run="demo", start="none", typed="a fox"))
    assert "itself among the candidates" in texts(show("playground", run="demo", start="candidates:7"))
    assert "with their statistics" not in texts(show("playground", run="demo", query="5"))


def test_model_speaks_where_it_can_and_says_where_it_cannot(run: Run) -> None:
    said = live.say(run, live.stored_item(run, "queries", 5))
    assert said in texts(show("playground", run="demo", query="5", speaks="true"))
    asked = live.say(run, live.stored_item(run, "queries", 5), "where is this?")
    assert asked in texts(show("playground", run="demo", query="5", speaks="true", request="where is this?"))
    app = show("playground", run="demo-clip", query="5", speaks="true")
    healthy(app, "playground")
    assert any("does not speak" in info.value for info in app.info)


def test_nothing_asked_is_a_designed_state(demo_store: Store) -> None:
    app = show("playground", run="demo", start="none")
    healthy(app, "playground")
    assert "Ask something" in texts(app)


@pytest.mark.parametrize(
    "bad", [{"start": "queries:99999"}, {"start": "loud"}, {"picture": "upload:beef"}, {"picture": "queries:x"}]
)
def test_impossible_starts_and_pictures_are_replaced_and_said(bad: dict[str, str], demo_store: Store) -> None:
    app = show("playground", run="demo", **bad)
    healthy(app, "playground")
    assert len(app.warning) == 1


def test_uploaded_picture_is_asked_with_the_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    name = data.keep_upload(png())
    app = show("playground", run="demo", start="none", picture=name, typed="a fox")
    healthy(app, "playground")
    assert not app.warning
    row = live.embed(run, live.item(run, "a fox", Image.new("RGB", (40, 30), "red")))
    assert f"{live.rank(run, row, 'realign')['similarity'].iloc[0]:.3f}" in texts(app)
    monkeypatch.setattr(data, "UPLOADS", 1)
    data.keep_upload(png("blue"))
    assert not data.has_upload(name)


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
        app = show("lesson", run="own", step=step)
        healthy(app, "lesson")
        assert len(app.info) + len(re.findall('class="lens-lesson"', texts(app))) == 1
    st.cache_data.clear()


# -- Compare ---------------------------------------------------------------------------------------------------------


def test_compare_shows_cores_table_and_counts(run: Run, clip: Run) -> None:
    app = show("compare", run="demo", other="demo-clip", variant="center", against="none")
    healthy(app, "compare")
    found = compare.compare(run, clip, "center", "none").table.set_index("metric")
    shown = texts(app)
    assert words.percent(found.loc["recall@1", "first"]) in story(app)
    assert words.percent(found.loc["recall@1", "second"]) in story(app)
    assert words.points(abs(found.loc["recall@1", "difference"])).lstrip("+") in story(app)
    counts = compare.outcomes(run, clip, "center", "none").set_index("kind")["queries"]
    assert (
        f"{words.count(counts['only first'])} queries only A gets right, {words.count(counts['only second'])} only B"
        in shown
    )
    table = next(d.value for d in app.dataframe if "What it says" in d.value.columns)
    assert len(table) == len(compare.SHOWN_MEASURES) == len(words.GEOMETRY)


def test_compare_without_common_queries_stands_alone_and_says_why(demo_store: Store) -> None:
    app = show("compare", run="demo", second="demo-task1")
    healthy(app, "compare")
    assert "Not paired, because demo has 1,000 queries, demo-task1 has 2,000" in texts(app)
    assert "Who finds what" not in texts(app)
    assert not any("difference" in d.value.columns for d in app.dataframe)


def test_compare_of_a_side_with_itself_claims_nothing(demo_store: Store) -> None:
    app = show("compare", run="demo", second="demo")
    healthy(app, "compare")
    assert "no clear difference" in story(app)
    assert "Both sides are the same" in texts(app)


def test_compare_a_run_with_itself_under_another_variant(run: Run) -> None:
    app = show("compare", run="demo", second="demo", against="center")
    row = compare.compare(run, run, "none", "center").table.set_index("metric").loc["recall@1"]
    assert words.points(row["difference"]).lstrip("+") in story(app)
    assert "B is ahead" in story(app)


def test_compare_replaces_what_cannot_be(demo_store: Store) -> None:
    app = show("compare", run="demo", second="nobody", against="frobnicate(")
    healthy(app, "compare")
    said = "\n".join(w.value for w in app.warning)
    assert "nobody" in said
    assert "frobnicate" in said


def test_outcome_table_holds_every_count_at_its_place() -> None:
    table = pd.DataFrame({"kind": ["both", "only first", "only second", "neither"], "queries": [5, 1, 3, 11]})
    figure = charts_compare.outcomes(table.assign(share=table["queries"] / 20), ("A", "B"), 1)
    at = {(a.x, a.y): a.text for a in figure.layout.annotations}
    assert at[0, 0].startswith("<b>5<")
    assert at[1, 0].startswith("<b>1<")  # A right (first row), B wrong (second column)
    assert at[0, 1].startswith("<b>3<")
    assert at[1, 1].startswith("<b>11<")


def test_bubbles_count_every_query_once() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 900, 500), rng.integers(1, 900, 500)
    table = charts_compare.binned(a, b)
    assert table["queries"].sum() == 500
    only = charts_compare.binned(np.array([1, 1, 40]), np.array([1, 1, 1]))
    assert only.set_index(only["x"].round(3)).loc[1.0, "queries"] == 2
    assert np.abs(np.log10(only["x"].max() / 40)) <= charts_compare.BIN / 2
    assert len(charts_compare.ranks(np.array([0, 0]), np.array([1, 2]), ("A", "B")).data[0].x) == 0


# -- Lesson ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(1, len(lesson.STEPS) + 1))
def test_every_step_says_one_thing(step: int, demo_store: Store) -> None:
    app = show("lesson", run="demo", other="demo-clip", step=str(step))
    healthy(app, "lesson")
    assert not app.warning
    assert not app.info
    assert len(re.findall('class="lens-lesson"', texts(app))) == 1
    assert f"Step {step} of 9" in texts(app)
    assert ":material/record_voice_over:" in texts(app)


@pytest.mark.parametrize("name", ["demo-clip", "demo-task1", "demo-task7"])
@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_steps_hold_on_other_runs(step: int, name: str, demo_store: Store) -> None:
    app = show("lesson", run=name, step=str(step))
    healthy(app, "lesson")
    assert not app.error
    assert not app.warning
    assert len(app.info) + len(re.findall('class="lens-lesson"', texts(app))) == 1


def test_first_step_shows_what_the_model_says(run: Run) -> None:
    said = live.say(run, live.stored_item(run, "queries", 5))
    app = show("lesson", run="demo", query="5")
    assert said in story(app)
    things = run.corpus.items("queries").truth(5)["things"]
    shown = texts(app)
    assert (f"of the {len(things)} things" in shown) == (len(live.named(said, things)) < len(things))


def test_model_that_only_compares_is_not_made_to_speak(demo_store: Store) -> None:
    assert "it only compares" in story(show("lesson", run="demo-clip", step="1"))


def test_default_example_is_one_where_the_story_holds(run: Run, clip: Run) -> None:
    first = data.examples(run.key, clip.key)[0]
    said = live.say(run, live.stored_item(run, "queries", first))
    things = run.corpus.items("queries").truth(first)["things"]
    assert live.named(said, things) == things
    assert retrieval.evaluate(run, "none").ranks[first] > 1
    assert retrieval.evaluate(run, "center").ranks[first] == 1
    assert retrieval.evaluate(clip, "none").ranks[first] == 1


def test_switch_of_the_common_part_changes_rank_and_recall(run: Run) -> None:
    for switched, variant in (("false", "none"), ("true", "center")):
        app = show("lesson", run="demo", query="9", step="7", centred=switched)
        values = {m.label: m.value for m in app.metric}
        evaluated = retrieval.evaluate(run, variant)
        assert values["Recall@1"] == words.percent(evaluated.evaluation.recall[1])
        assert values["This query’s rank"] == words.count(evaluated.ranks[9])


@pytest.mark.parametrize(
    ("difference", "low", "high", "p", "wanted"),
    [
        (0.1, 0.05, 0.15, 0.001, "a clear gain"),
        (-0.1, -0.15, -0.05, 0.001, "a clear loss"),
        (0.01, -0.01, 0.03, 0.2, "not clear"),
        (0.01, -0.001, 0.03, 0.04, "not clear"),
        (0.01, 0.001, 0.03, 0.06, "not clear"),
    ],
)
def test_a_difference_is_clear_or_called_not_clear(
    difference: float, low: float, high: float, p: float, wanted: str
) -> None:
    row = {"difference": difference, "difference_low": low, "difference_high": high, "p_value": p}
    assert lesson_shared.change(row) == wanted


def test_whitening_step_is_worded_from_the_paired_test(run: Run) -> None:
    row = retrieval.compare(run, "center", "realign").table.set_index("metric").loc["recall@1"]
    told = story(show("lesson", run="demo", step="8"))
    assert lesson_shared.change(row) in told
    assert words.points(row["difference"]) in told


def test_next_and_back_turn_the_page(demo_store: Store) -> None:
    app = show("lesson", run="demo", step="4")
    next(b for b in app.button if b.label == "Next").click().run()
    assert "Step 5 of 9" in texts(app)
    next(b for b in app.button if b.label == "Back").click().run()
    assert "Step 4 of 9" in texts(app)
    assert next(b for b in show("lesson", run="demo", step="1").button if b.label == "Back").disabled


def test_bars_of_a_pair_point_to_their_side() -> None:
    table = pd.DataFrame(
        {
            "name": ["a", "b"],
            "query_activation": [2.0, 0.0],
            "candidate_activation": [1.0, 3.0],
            "modality_score": [0.5, 1],
        }
    )
    left, right = charts_lesson.two_sides(table, ("query", "answer")).data
    assert list(left.x) == [-2.0, 0.0]
    assert list(right.x) == [1.0, 3.0]


# -- in the browser --------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_dropped_picture_is_asked_and_a_bad_one_refused(tab: Tab) -> None:  # noqa: F811
    tab.open("playground", run="demo", start="none")
    field = tab.page.get_by_test_id("stFileUploaderDropzoneInput")
    field.set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"not a picture"})
    tab.page.get_by_text("this file cannot be used as a picture").wait_for()
    field.set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": png()})
    tab.page.get_by_role("heading", name="What it finds").wait_for()
    assert tab.settle("playground").link()["picture"].startswith("upload:")
    tab.healthy()


@pytest.mark.browser
def test_lesson_is_turned_by_keys_and_in_the_link(tab: Tab) -> None:  # noqa: F811
    tab.open("lesson", run="demo", other="demo-clip", step="7")
    tab.page.keyboard.press("ArrowRight")
    tab.wait_for_link(step="8")
    tab.page.keyboard.press("ArrowLeft")
    tab.wait_for_link(step="7")
    tab.settle("lesson").healthy()


@pytest.mark.browser
def test_item_is_picked_changed_and_emptied_each_a_link(tab: Tab, demo_store: Store) -> None:  # noqa: F811
    tab.open("playground", run="demo-task7", query="3")
    tab.page.get_by_role("button", name="Pick an item of the run").click()
    body = tab.page.get_by_test_id("stPopoverBody")
    search = body.get_by_label("Search", exact=True)
    search.fill("test-12")
    search.press("Enter")
    tab.wait_for_link(search="test-12")
    table = tab.settle("playground").page.get_by_test_id("stPopoverBody").get_by_test_id("stDataFrame")
    table.click(position={"x": 12, "y": 54})
    picked = live.find(open_run("demo-task7", demo_store), "queries", "test-12", 1)["row"].iloc[0]
    tab.wait_for_link(start=f"queries:{picked}")
    tab.open("playground", run="demo-task7", start="queries:12")
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


@pytest.mark.browser
def test_another_top_counts_anew_and_is_in_the_link(tab: Tab, run: Run, clip: Run) -> None:  # noqa: F811
    tab.open("compare", run="demo", other="demo-clip")
    tab.page.get_by_role("radio", name="5", exact=True).or_(
        tab.page.get_by_role("button", name="5", exact=True)
    ).first.click()
    tab.wait_for_link(**{"top-k": "5"})
    only = compare.outcomes(run, clip, k=5).set_index("kind")["queries"]["only second"]
    tab.page.get_by_text(f"{only} only B").first.wait_for()
    tab.healthy()
