"""Lesson, steps 6 and 7: what one matrix repairs, and what the repair is made of."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.questions import compare, retrieval
from dashboard import data, state, words
from dashboard.charts import base as charts
from dashboard.charts import compare as charts_compare
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson.part_1_search import ranking_cards
from dashboard.lesson.shared import PICTURE, Subject, change, direction, p_of, recall_change, signed, story
from dashboard.parts import widgets
from dashboard.words import count, percent

STAGES = {"none": "raw", "center": "centred", "realign": "ReAlign", "zca": "fully whitened"}
"""Variants from nothing to full whitening, and what they are called in the Lesson."""
TOP = 3
"""Candidates of a ranking where two rankings stand beside each other."""


def ask_what_a_matrix_does(lesson: Subject) -> str:
    """The query and its raw place."""
    widgets.show_item(data.item(lesson.run, "queries", lesson.query), cell=PICTURE)
    rank = int(data.ask(retrieval.evaluate, lesson.run, "none").ranks[lesson.query])
    now = f"Now it is on place <b>{count(rank)}</b>. " if rank else ""
    return (
        f"One mean and one matrix per side, computed in seconds; the model stays as it is. {now}On which place is the"
        " right answer then?"
    )


def repairs(lesson: Subject) -> str:
    """The ranking of one query and the recall of all, before and after ReAlign."""
    raw, after = (data.ask(retrieval.evaluate, lesson.run, v) for v in ("none", "realign"))
    ranks = int(raw.ranks[lesson.query]), int(after.ranks[lesson.query])
    row = recall_change(lesson.run, "none", "realign")
    all_of_them = {1: "lifts", -1: "lowers", 0: "does not clearly change"}[direction(row)]
    story(
        f"From place <b>{count(ranks[0])}</b> to place <b>{count(ranks[1])}</b>. Over all queries it {all_of_them} the"
        f" share with a right answer first: <b>{percent(row['before'])} → {percent(row['after'])}</b>."
    )
    rankings = data.ask(retrieval.rankings, lesson.run, lesson.query, "none", "realign", TOP)
    columns = st.columns([2, 3, 3], gap="large")
    with columns[0]:
        widgets.show_item(data.item(lesson.run, "queries", lesson.query), cell=PICTURE)
    for column, name, table in (
        (columns[1], "Raw", rankings.before),
        (columns[2], "After the matrix", rankings.after),
    ):
        with column:
            st.markdown(f"**{name}: the first {len(table)}**", help=words.word("similarity").help)
            widgets.gallery(ranking_cards(lesson.run, table), rows=True)
    return (
        f"This is ReAlign, the study's whitening: {signed(row)} in Recall@1 on {count(row['n'])} queries, p"
        f" {p_of(row)}, {change(row)}. The matrix stretches directions in which items hardly differ and shrinks those"
        " in which all differ alike. No label and no training."
    )


def ask_what_does_the_work(lesson: Subject) -> str:
    """The question alone."""
    return "The repair does two things: it moves the cloud of items to the middle, then reshapes it. Which does more?"


def taken_apart(lesson: Subject) -> str:
    """Recall and the two hills, stage by stage."""
    centring, whitening = (recall_change(lesson.run, *pair) for pair in (("none", "center"), ("center", "realign")))
    story(what_does_more(centring, whitening))
    stage = state.pick(
        st.segmented_control, "stage", "Step by step", list(STAGES), "center", format_func=STAGES.__getitem__
    )
    left, right = st.columns(2, gap="large")
    evaluations = {v: data.ask(retrieval.evaluate, lesson.run, v).evaluation for v in STAGES}
    values, bounds = [e.recall[1] for e in evaluations.values()], [e.ci95["recall@1"] for e in evaluations.values()]
    lows, highs = zip(*bounds, strict=True)
    n = evaluations["none"].queries
    with left:
        table = pd.DataFrame(
            {"variant": list(STAGES), "recall@1": values, "low": lows, "high": highs, "queries": n},
        )
        chart = charts_lesson.settings(list(STAGES.values()), values, lows, highs, list(STAGES).index(stage))
        title = f"Recall@1 {STAGES[stage]}: {percent(evaluations[stage].recall[1])}"
        widgets.figure(title, chart, "lesson-whitens", table, help=words.explain("recall@1", n, "queries"))
    with right:
        table = data.ask_two(compare.similarities, lesson.run, lesson.run, "none", stage)
        side = "first" if stage == "none" else "second"
        part, facts = table[table["side"] == side], table.attrs[side]
        widgets.figure(
            f"Matching pairs and strangers: d′ = {facts['d_prime']:.2f}",
            charts_compare.similarities(part, charts.AFTER),
            f"lesson-hills-{stage}",
            part,
            f"{count(facts['n_positive'])} matching pairs, {count(facts['n_negative'])} others.",
            help=words.D_PRIME_HELP,
        )
    whole = recall_change(lesson.run, "center", "zca")
    return (
        f"Centring subtracts one mean per side: {signed(centring)}, p {p_of(centring)}, {change(centring)}. ReAlign"
        f" (β = 0.1) on top of it: {signed(whitening)}, p {p_of(whitening)}, {change(whitening)}. Full whitening on"
        f" top of centring: {signed(whole)}, p {p_of(whole)}, {change(whole)}. Step through the stages and watch the"
        " two hills part."
    )


def what_does_more(centring: Mapping[str, float], whitening: Mapping[str, float]) -> str:
    """The larger of the two parts in one sentence; parts that are not clear are called that."""
    moved, reshaped = direction(centring), direction(whitening)
    if moved > 0 and reshaped <= 0:
        rest = "reshaping adds nothing clear" if not reshaped else "reshaping even costs"
        return f"<b>Moving it to the middle</b> does the work; {rest}."
    if moved > 0 and centring["difference"] >= whitening["difference"]:
        return "<b>Moving it to the middle</b> does most of it; reshaping adds to that."
    if reshaped > 0:
        return "<b>Reshaping it</b> does more than moving it to the middle."
    return "Neither changes retrieval clearly here."
