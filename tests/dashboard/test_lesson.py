"""Lesson: each step says one thing that the numbers show, on every run."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from dashboard_driver import Tab, healthy, show, story, texts

from core.questions import live, retrieval
from core.run import Run, open_run
from core.store import Store
from dashboard import data, words
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson import shared as lesson_shared
from dashboard.lesson import steps as lesson


@pytest.mark.parametrize("step", range(1, len(lesson.STEPS) + 1))
def test_every_step_says_one_thing(step: int, small_store: Store) -> None:
    app = show("lesson", run="small", other="small-clip", step=str(step))
    healthy(app, "lesson")
    assert not app.warning
    assert not app.info
    assert len(re.findall('class="lens-lesson"', texts(app))) == 1
    assert f"Step {step} of 9" in texts(app)
    assert ":material/record_voice_over:" in texts(app)


@pytest.mark.parametrize("name", ["small-clip", "small-task1", "small-task7"])
@pytest.mark.parametrize("step", [1, 3, 5, 7])
def test_steps_hold_on_other_runs(step: int, name: str, small_store: Store) -> None:
    app = show("lesson", run=name, step=str(step))
    healthy(app, "lesson")
    assert not app.error
    assert not app.warning
    assert len(app.info) + len(re.findall('class="lens-lesson"', texts(app))) == 1


def test_first_step_shows_what_the_model_says(run: Run) -> None:
    said = live.say(run, live.stored_item(run, "queries", 5))
    app = show("lesson", run="small", query="5")
    assert said in story(app)
    things = run.corpus.items("queries").truth(5)["things"]
    shown = texts(app)
    assert (f"of the {len(things)} things" in shown) == (len(live.named(said, things)) < len(things))


def test_model_that_only_compares_is_not_made_to_speak(small_store: Store) -> None:
    assert "it only compares" in story(show("lesson", run="small-clip", step="1"))


@pytest.mark.demo
def test_default_example_is_one_where_the_story_holds(demo_store: Store) -> None:
    run, clip = open_run("demo", demo_store), open_run("demo-clip", demo_store)
    first = data.examples(run.key, clip.key)[0]
    said = live.say(run, live.stored_item(run, "queries", first))
    things = run.corpus.items("queries").truth(first)["things"]
    assert live.named(said, things) == things
    assert retrieval.evaluate(run, "none").ranks[first] > 1
    assert retrieval.evaluate(run, "center").ranks[first] == 1
    assert retrieval.evaluate(clip, "none").ranks[first] == 1


def test_switch_of_the_common_part_changes_rank_and_recall(run: Run) -> None:
    for switched, variant in (("false", "none"), ("true", "center")):
        app = show("lesson", run="small", query="9", step="7", centred=switched)
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
    told = story(show("lesson", run="small", step="8"))
    assert lesson_shared.change(row) in told
    assert lesson_shared.change(row) == "not clear" or words.points(row["difference"]) in told


def test_next_and_back_turn_the_page(small_store: Store) -> None:
    app = show("lesson", run="small", step="4")
    next(b for b in app.button if b.label == "Next").click().run()
    assert "Step 5 of 9" in texts(app)
    next(b for b in app.button if b.label == "Back").click().run()
    assert "Step 4 of 9" in texts(app)
    assert next(b for b in show("lesson", run="small", step="1").button if b.label == "Back").disabled


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


@pytest.mark.browser
def test_lesson_is_turned_by_keys_and_in_the_link(tab: Tab) -> None:
    tab.open("lesson", run="small", other="small-clip", step="7")
    tab.page.keyboard.press("ArrowRight")
    tab.wait_for_link(step="8")
    tab.page.keyboard.press("ArrowLeft")
    tab.wait_for_link(step="7")
    tab.settle("lesson").healthy()
