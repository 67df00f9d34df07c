"""Lesson, steps 1 and 2: the model sees what is in a picture, and cannot find what belongs to it."""

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
from dashboard.lesson.shared import PICTURE, Subject, direction, p_of, pictured, quoted, signed, story
from dashboard.parts import widgets
from dashboard.words import count, percent

TOP = 5
"""Candidates of a ranking."""


def ask_what_it_sees(lesson: Subject) -> str:
    """The picture alone."""
    part, row = pictured(lesson)
    widgets.show_item(data.item(lesson.run, part, row), cell=PICTURE)
    return f"What will {escape(lesson.model)} say that it sees here?"


def sees(lesson: Subject) -> str:
    """Its own caption beside the truth."""
    part, row = pictured(lesson)
    item = data.item(lesson.run, part, row)
    other: Part = "candidates" if part == "queries" else "queries"
    captions = [data.item(lesson.run, other, r).text for _, r in data.partners(lesson.run, part, row)]
    description, remark = "", ""
    try:
        description = data.ask_item(live.say, lesson.run, LiveQuery("", f"{part}:{row}"), "")
        story(f"Asked to describe this picture, {escape(lesson.model)} says: <b>{quoted(description)}</b>")
        remark = things_named(description, item.truth)
    except NotAvailable:
        story(f"{escape(lesson.model)} cannot be asked what it sees: it does not generate, it only compares.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        widgets.show_item(item, cell=PICTURE)
    with right:
        st.markdown("**What people would say**" if any(captions) else "**No caption goes with it**")
        widgets.gallery(
            [widgets.card(data.ItemView(other, 0, "", "text", text, None, None)) for text in captions[:3] if text],
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
        "Let them look at the picture first, then read aloud what the model says. It says it by predicting one word"
        " after the other."
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


def ask_where_it_lands(lesson: Subject) -> str:
    """The query, and how many candidates there are."""
    widgets.show_item(data.item(lesson.run, "queries", lesson.query), cell=PICTURE)
    pool = count(data.facts(lesson.run).candidates)
    right = data.item(lesson.run, "candidates", lesson.right)
    what = {"text": f"one of {pool} texts", "image": f"one of {pool} pictures"}.get(
        right.modality, f"one of {pool} candidates"
    )
    return f"What belongs to this is {what}. On which place does the same model find it?"


def finds(lesson: Subject) -> str:
    """What the same model ranks first for the same query, beside chance and beside a second model."""
    contest = data.ask(retrieval.contest, lesson.run, lesson.query, "none")
    second = _second_model(lesson)
    if contest.right is None:
        story("For this query, nothing in the pool is right.")
    else:
        place = "first" if contest.right.rank == 1 else f"on place {count(contest.right.rank)}"
        theirs = f" {second[0]}" if second else ""
        story(f"{escape(lesson.model)} puts it <b>{place}</b>.{theirs}")
    left, right = st.columns([2, 3], gap="large")
    with left:
        widgets.show_item(data.item(lesson.run, "queries", lesson.query), cell=PICTURE)
    with right:
        table = data.ask(retrieval.rankings, lesson.run, lesson.query, "none", "none", TOP).before
        st.markdown(
            f"**The first {len(table)} of {count(data.facts(lesson.run).candidates)}**",
            help=words.word("similarity").help,
        )
        widgets.gallery(ranking_cards(lesson.run, table), rows=True)
    evaluation = data.ask(retrieval.evaluate, lesson.run, "none").evaluation
    low, high = evaluation.ci95["recall@1"]
    lucky = data.ask(retrieval.chance, lesson.run, 1)
    return (
        "The same weights as a minute ago; nothing was trained in between. Each item becomes one list of numbers, the"
        f" {data.facts(lesson.run).view}, and two items are compared by their angle. One query proves nothing: over all"
        f" {count(evaluation.queries)} queries a right answer stands first for {percent(evaluation.recall[1])} (95%"
        f" interval {words.interval(low, high)}; a blind draw: {percent(lucky, 2)})." + (second[1] if second else "")
    )


def _second_model(lesson: Subject) -> tuple[str, str] | None:
    """How the run to compare with does on this query, and on all; None where there is none that asks the same
    queries."""
    if lesson.other is None:
        return None
    sides = data.ask_two(compare.compare, lesson.run, lesson.other, "none", "none")
    if sides.why_not:
        return None
    facts = data.facts(lesson.other)
    rank = int(sides.second.ranks[lesson.query])
    kind = ", which cannot speak but was trained to match," if facts.contrastive else ""
    place = "<b>first</b>" if rank == 1 else f"on place <b>{count(rank)}</b>" if rank else "nowhere"
    row = sides.table.set_index("metric").loc["recall@1"]
    ahead = direction(row)
    leader = facts.model if ahead > 0 else lesson.model
    verdict = f"{leader} is clearly ahead" if ahead else "no clear difference between the two"
    return f"{escape(facts.model)}{kind} puts it {place}.", (
        f" {facts.model}: {percent(row['second'])}; paired difference {signed(row)}, p {p_of(row)}: {verdict}."
    )


def ranking_cards(run: str, table: pd.DataFrame) -> list[str]:
    """Candidates of a ranking as cards: place, item, similarity."""
    cards = []
    for row in table.itertuples():
        foot = [widgets.badge("relevant", "relevant")] if row.relevant else []
        help = escape(words.explain("similarity"))
        foot += [f'<span class="lens-number" title="{help}">{row.similarity:.3f}</span>']
        item = data.item(run, "candidates", int(row.row))
        title = f"{row.rank}. " if item.text else f"{row.rank}."
        cards.append(widgets.card(item, foot, hit=bool(row.relevant), title=title))
    return cards
