"""Lesson: each step says one thing that the numbers show, on every run."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pandas as pd
import pytest
from dashboard_driver import Tab, healthy, show, story, texts

from core.errors import NotAvailable
from core.questions import live, retrieval
from core.run import Run, open_run
from core.store import Store
from dashboard import data, words
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson import part_3_repair, part_4_answer
from dashboard.lesson import shared as lesson_shared
from dashboard.lesson import steps as lesson

ORDER = (
    "It sees",
    "It must find",
    "What fires",
    "Text and image",
    "What every similarity is made of",
    "What one matrix repairs",
    "What the repair is made of",
    "One token too early",
    "Your own retriever",
)


def answered(step: int, **choices: str) -> object:
    """The Lesson at the answer of a step."""
    return show("lesson", step=str(step), answer="true", **choices)


def test_steps_stand_in_the_order_of_the_story() -> None:
    assert tuple(step.title for step in lesson.STEPS) == ORDER


@pytest.mark.parametrize("step", range(1, 10))
def test_every_step_asks_before_it_answers(step: int, small_store: Store) -> None:
    asked = show("lesson", run="small", other="small-clip", step=str(step))
    healthy(asked, "lesson")
    question = re.findall(r'<p class="lens-lesson lens-question">(.*?)</p>', texts(asked), re.DOTALL)
    assert len(question) == 1
    assert "?" in question[0]
    assert 'class="lens-lesson"' not in texts(asked)
    assert f"Step {step} of 9" in texts(asked)

    app = answered(step, run="small", other="small-clip")
    healthy(app, "lesson")
    assert not app.warning
    assert not app.info
    assert len(re.findall('class="lens-lesson"', texts(app))) == 1
    assert 'class="lens-lesson lens-question"' not in texts(app)
    assert ":material/record_voice_over:" in texts(app)


@pytest.mark.parametrize("name", ["small-clip", "small-task1", "small-task7"])
@pytest.mark.parametrize("step", [1, 2, 5, 6, 7, 9])
def test_steps_hold_on_other_runs(step: int, name: str, small_store: Store) -> None:
    app = answered(step, run=name)
    healthy(app, "lesson")
    assert not app.error
    assert not app.warning
    assert len(app.info) + len(re.findall('class="lens-lesson"', texts(app))) == 1


def test_first_step_shows_what_the_model_says(run: Run) -> None:
    said = live.say(run, live.stored_item(run, "queries", 5))
    assert said not in texts(show("lesson", run="small", query="5"))
    app = answered(1, run="small", query="5")
    assert said in story(app)
    things = run.corpus.items("queries").truth(5)["things"]
    assert (f"of the {len(things)} things" in texts(app)) == (len(live.named(said, things)) < len(things))


def test_model_that_only_compares_is_not_made_to_speak(small_store: Store) -> None:
    assert "it only compares" in story(answered(1, run="small-clip"))


def test_second_step_states_both_places_and_chance(run: Run, clip: Run) -> None:
    app = answered(2, run="small", other="small-clip", query="9")
    place = int(retrieval.evaluate(run, "none").ranks[9])
    other = int(retrieval.evaluate(clip, "none").ranks[9])
    for rank in (place, other):
        assert ("first" if rank == 1 else f"on place <b>{rank}</b>") in story(
            app
        ) or f"<b>on place {rank}</b>" in story(app)
    # Each picture of task 4 has its captions among the candidates: r of N at random.
    relevant = len(run.qrels("test")) / len(run.corpus.items("queries"))
    assert words.percent(relevant / len(run.corpus.items("candidates")), 2) in texts(app)


@pytest.mark.demo
def test_default_example_is_one_where_the_story_holds(demo_store: Store) -> None:
    run, clip = open_run("demo", demo_store), open_run("demo-clip", demo_store)
    first = data.examples(run.key, clip.key)[0]
    said = live.say(run, live.stored_item(run, "queries", first))
    things = run.corpus.items("queries").truth(first)["things"]
    assert live.named(said, things) == things
    assert retrieval.evaluate(run, "none").ranks[first] > 1
    assert retrieval.evaluate(run, "realign").ranks[first] == 1
    assert retrieval.evaluate(clip, "none").ranks[first] == 1


def test_matrix_step_states_places_and_recall_before_and_after(run: Run) -> None:
    app = answered(6, run="small", query="9")
    row = lesson_shared.recall_change(run.key, "none", "realign")
    assert f"{words.percent(row['before'])} → {words.percent(row['after'])}" in story(app)
    for variant in ("none", "realign"):
        assert f"place <b>{words.count(int(retrieval.evaluate(run, variant).ranks[9]))}</b>" in story(app)


@pytest.mark.parametrize("stage", ["none", "center", "realign", "zca"])
def test_stages_of_the_repair_are_chosen_and_shown(stage: str, run: Run) -> None:
    app = answered(7, run="small", stage=stage)
    recall = retrieval.evaluate(run, stage).evaluation.recall[1]
    assert f"Recall@1 {part_3_repair.STAGES[stage]}: {words.percent(recall)}" in texts(app)


def test_advice_agrees_with_what_the_repair_was_made_of(run: Run) -> None:
    made, advice = texts(answered(7, run="small")), texts(answered(9, run="small"))
    for before, after in (("none", "center"), ("center", "realign")):
        row = lesson_shared.recall_change(run.key, before, after)
        assert lesson_shared.signed(row) in made
        assert lesson_shared.signed(row) in advice
    loses = lesson_shared.direction(lesson_shared.recall_change(run.key, "center", "realign")) < 0
    assert ("--beta 1" in advice) == loses


def test_another_model_is_named_once_however_many_runs_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"mine": "a", "theirs": "b", "theirs-again": "b", "not-read-there": "c", "last": "d"}
    recalls = {"theirs": 0.096, "theirs-again": 0.5, "last": 0.25}

    def readings(run: str) -> pd.DataFrame:
        if run not in recalls:
            raise NotAvailable("not read there", todo="read it there")
        return pd.DataFrame({"recall@1": {"where the answer begins": recalls[run]}})

    monkeypatch.setattr(data, "siblings", lambda run: [key for key in models if key != run])
    monkeypatch.setattr(data, "facts", lambda key: SimpleNamespace(model=models[key]))
    monkeypatch.setattr(part_4_answer, "_readings", readings)
    said = part_4_answer._siblings(lesson_shared.Subject("mine", None, 0, 0, 0))
    assert said.endswith("(a is above): b 9.6%, d 25.0%.")


@pytest.mark.parametrize(
    ("centring", "whitening", "wanted"),
    [
        ((0.2, 0.15, 0.25), (-0.05, -0.07, -0.03), "even costs"),
        ((0.2, 0.15, 0.25), (0.01, -0.01, 0.03), "nothing clear"),
        ((0.2, 0.15, 0.25), (0.05, 0.03, 0.07), "does most of it"),
        ((0.05, 0.03, 0.07), (0.2, 0.15, 0.25), "Reshaping it"),
        ((0.0, -0.02, 0.02), (0.0, -0.02, 0.02), "Neither"),
    ],
)
def test_larger_part_of_the_repair_is_named(
    centring: tuple[float, float, float], whitening: tuple[float, float, float], wanted: str
) -> None:
    names = ("difference", "difference_low", "difference_high")
    rows = [dict(zip(names, row, strict=True)) | {"p_value": 0.001} for row in (centring, whitening)]
    assert wanted in part_3_repair.what_does_more(*rows)


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


def test_next_first_answers_then_turns_the_page(small_store: Store) -> None:
    app = show("lesson", run="small", step="4")

    def press(label: str) -> None:
        next(b for b in app.button if b.label == label).click().run()

    press("Answer")
    assert "Step 4 of 9" in texts(app)
    assert 'class="lens-lesson"' in texts(app)
    press("Next")
    assert "Step 5 of 9" in texts(app)
    assert 'class="lens-lesson lens-question"' in texts(app)
    press("Back")
    assert "Step 4 of 9" in texts(app)
    assert 'class="lens-lesson"' in texts(app)  # an answer that was given stays given
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


def test_number_of_a_short_bar_stands_beside_its_interval() -> None:
    chart = charts_lesson.settings(["long", "short"], [0.9, 0.08], [0.85, 0.07], [0.95, 0.1], 0)
    assert list(chart.data[0].text) == ["90.0%", ""]
    assert [(note.x, note.y, note.text) for note in chart.layout.annotations] == [(0.1, "short", "8.0%")]


@pytest.mark.browser
def test_lesson_is_turned_by_keys_and_in_the_link(tab: Tab) -> None:
    tab.open("lesson", run="small", other="small-clip", step="7")
    tab.page.keyboard.press("ArrowRight")
    tab.wait_for_link(step="7", answer="true")
    tab.settle("lesson").page.keyboard.press("ArrowRight")
    tab.wait_for_link(step="8")
    tab.settle("lesson").page.keyboard.press("ArrowLeft")
    tab.wait_for_link(step="7", answer="true")
    tab.settle("lesson").healthy()
