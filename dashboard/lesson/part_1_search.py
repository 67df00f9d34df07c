"""Lesson, steps 1 to 3: what the model sees, what it ranks first, and what a model trained to match ranks first."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import NotAvailable
from core.questions import compare, live, retrieval
from core.records import Part
from dashboard import data, words
from dashboard.data import LiveQuery
from dashboard.lesson.shared import PICTURE, Subject, p_of, quoted, signed, story
from dashboard.parts import widgets
from dashboard.words import count, percent

TOP = 5
"""Candidates of a ranking."""


def sees(lesson: Subject) -> str:
    """Its own caption beside the truth."""
    part, row = pictured(lesson)
    item = data.item(lesson.run, part, row)
    other: Part = "candidates" if part == "queries" else "queries"
    truths = [data.item(lesson.run, other, r).text for _, r in data.partners(lesson.run, part, row)]
    description, remark = "", ""
    try:
        description = data.ask_item(live.say, lesson.run, LiveQuery("", f"{part}:{row}"), "")
        story(f"LiveQuery to describe this picture, {escape(lesson.model)} says: <b>{quoted(description)}</b>")
        remark = things_named(description, item.truth)
    except NotAvailable:
        story(f"{escape(lesson.model)} cannot be asked what it sees: it does not generate, it only compares.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        widgets.show_item(item, cell=PICTURE)
    with right:
        st.markdown("**What people would say**" if any(truths) else "**No caption goes with it**")
        widgets.gallery(
            [widgets.card(data.ItemView(other, 0, "", "text", text, None, None)) for text in truths[:3] if text],
            rows=True,
        )
        if remark:
            widgets.html(f'<p class="lens-story" style="margin-top:1rem">{remark}</p>')
    if not description:
        return (
            "This model turns an item into one vector and nothing else. A run of a model that generates shows what such"
            " a model sees."
        )
    return (
        "Look at the picture first, then read aloud what the model says. It says it by predicting one word after the"
        " other."
    )


def pictured(lesson: Subject) -> tuple[Part, int]:
    """The query or its right candidate, whichever is a picture alone.

    Raises:
        NotAvailable: neither is.
    """
    places: tuple[tuple[Part, int], ...] = (("queries", lesson.query), ("candidates", lesson.right))
    for part, row in places:
        item = data.item(lesson.run, part, row)
        if item.modality == "image" and item.image:
            return part, row
    raise NotAvailable(
        "neither this query nor its right answer is a picture alone", todo="choose a run from images to texts, or back"
    )


def things_named(description: str, truth: Mapping[str, Any] | None) -> str:
    """How many of the things in the picture it names, where they are known."""
    if not truth or "things" not in truth:
        return ""
    things = truth["things"]
    named = data.named(description, things)
    if len(named) == len(things):
        return (
            f"It names {({1: 'the one thing', 2: 'both things'}).get(len(things), f'all {len(things)} things')} in it."
        )
    return f"It names {len(named)} of the {len(things)} things in it ({escape(', '.join(things))})."


def searches(lesson: Subject) -> str:
    """What the same model ranks first for the same query."""
    contest = data.ask(retrieval.contest, lesson.run, lesson.query, "none")
    if contest.right is None:
        story("For this query, nothing in the pool is right.")
    elif contest.right.rank == 1:
        story("LiveQuery to <b>find</b> it, the same model puts a right answer <b>first</b>.")
    else:
        story(
            "LiveQuery to <b>find</b> what belongs to it, the same model puts a right answer only on place"
            f" <b>{count(contest.right.rank)}</b>."
        )
    table = data.ask(retrieval.rankings, lesson.run, lesson.query, "none", "none", TOP).before
    side_by_side(lesson, lesson.run, table)
    evaluation = data.ask(retrieval.evaluate, lesson.run, "none").evaluation
    low, high = evaluation.ci95["recall@1"]
    return (
        f"The same weights; nothing was trained in between. An embedding is the {data.facts(lesson.run).view}, compared"
        f" by cosine. Over all {count(evaluation.queries)} queries a right answer stands first for"
        f" {percent(evaluation.recall[1])} (95% interval {words.interval(low, high)})."
    )


def contrasts(lesson: Subject) -> str:
    """A second model on the same query, and over all queries."""
    if lesson.other is None:
        raise NotAvailable("no second run to compare with", todo="choose one under “Compare with” in the menu")
    sides = data.ask_two(compare.compare, lesson.run, lesson.other, "none", "none")
    name = escape(data.facts(lesson.other).model)
    if sides.why_not:
        raise NotAvailable(
            "the second run does not ask the same queries",
            got=sides.why_not,
            todo="choose one of the same corpus and task",
        )
    row, rank = sides.table.set_index("metric").loc["recall@1"], int(sides.second.ranks[lesson.query])
    kind = ", trained to match pictures and words," if data.facts(lesson.other).contrastive else ""
    place = "first" if rank == 1 else f"on place {count(rank)}" if rank else "nowhere"
    story(f"{name}{kind} puts a right answer <b>{place}</b>.")
    table = data.ask(retrieval.rankings, lesson.other, lesson.query, "none", "none", TOP).before
    side_by_side(lesson, lesson.other, table)
    ahead = data.direction(row["difference_low"], row["difference_high"], row["p_value"])
    leader = name if ahead > 0 else escape(lesson.model)
    verdict = f"{leader} is clearly ahead" if ahead else "No clear difference between the two"
    return (
        f"One query proves nothing. Recall@1 over all {count(row['n'])}: {lesson.model} {percent(row['first'])}, "
        f"{name} {percent(row['second'])}; paired difference {signed(row)}, p {p_of(row)}. {verdict}."
    )


def side_by_side(lesson: Subject, run: str, table: pd.DataFrame) -> None:
    """The query and the first candidates."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        widgets.show_item(data.item(run, "queries", lesson.query), cell=PICTURE)
    with right:
        st.markdown(
            f"**The first {len(table)} of {count(data.facts(run).candidates)}**", help=words.word("similarity").help
        )
        widgets.gallery([ranked(run, row) for row in table.itertuples()], rows=True)


def ranked(run: str, row: Any) -> str:
    """One candidate of a ranking as a card: place, item, similarity."""
    foot = [widgets.badge("relevant", "relevant")] if row.relevant else []
    foot += [f'<span class="lens-number" title="{escape(words.explain("similarity"))}">{row.similarity:.3f}</span>']
    item = data.item(run, "candidates", row.row)
    return widgets.card(item, foot, hit=row.relevant, title=f"{row.rank}. " if item.text else f"{row.rank}.")
