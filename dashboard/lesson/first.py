"""The first three steps of the Lesson: what the model sees, what it finds, and what a model trained to match finds."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import NotAvailable
from dashboard import data, words
from dashboard.data import Asked
from dashboard.parts import widgets
from dashboard.parts.claims import CLEAR
from dashboard.words import count, percent, points

PICTURE = "14rem"
"""Least width of the one picture of a step."""
SHOWN = 5
"""Candidates of a ranking."""


UNCLEAR = "not clear"


@dataclass(frozen=True)
class Class:
    """What the lesson is about: keys of the run and of one to compare with, a query, its right and its best-ranked
    wrong candidate."""

    run: str
    other: str | None
    query: int
    right: int
    wrong: int

    @property
    def model(self) -> str:
        return data.facts(self.run).model


def story(sentence: str) -> None:
    """The sentence of a step, in big type; already HTML."""
    widgets.html(f'<p class="lens-lesson">{sentence}</p>')


def quoted(text: str) -> str:
    """A text in quotation marks, as HTML."""
    return f"“{escape(text)}”"


def sees(lesson: Class) -> str:
    """Its own caption beside the truth."""
    part, row = pictured(lesson)
    item = data.item(lesson.run, part, row)
    other = "candidates" if part == "queries" else "queries"
    truths = [data.item(lesson.run, other, r).text for _, r in data.partners(lesson.run, part, row)]
    said, remark = "", ""
    try:
        said = data.ask_live("live.say", lesson.run, Asked("", f"{part}:{row}"), "")
        story(f"Asked to describe this picture, {escape(lesson.model)} says: <b>{quoted(said)}</b>")
        remark = named(said, item.truth)
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
    if not said:
        return (
            "This model turns an item into one vector and nothing else. A run of a model that generates shows what such"
            " a model sees."
        )
    return (
        "Look at the picture first, then read aloud what the model says. It says it by predicting one word after the"
        " other."
    )


def pictured(lesson: Class) -> tuple[str, int]:
    """The query or its right candidate, whichever is a picture alone.

    Raises:
        NotAvailable: neither is.
    """
    for part, row in (("queries", lesson.query), ("candidates", lesson.right)):
        item = data.item(lesson.run, part, row)
        if item.modality == "image" and item.image:
            return part, row
    raise NotAvailable(
        "neither this query nor its right answer is a picture alone", todo="choose a run from images to texts, or back"
    )


def named(said: str, truth: Any) -> str:
    """How many of the things in the picture it names, where they are known."""
    if not truth or "things" not in truth:
        return ""
    things = truth["things"]
    found = data.named(said, things)
    if len(found) == len(things):
        return (
            f"It names {({1: 'the one thing', 2: 'both things'}).get(len(things), f'all {len(things)} things')} in it."
        )
    return f"It names {len(found)} of the {len(things)} things in it ({escape(', '.join(things))})."


def searches(lesson: Class) -> str:
    """What the same model ranks first for the same query."""
    contest = data.ask("retrieval.contest", lesson.run, lesson.query, "none")
    if contest.right is None:
        story("For this query, nothing in the pool is right.")
    elif contest.right.rank == 1:
        story("Asked to <b>find</b> it, the same model puts a right answer <b>first</b>.")
    else:
        story(
            "Asked to <b>find</b> what belongs to it, the same model puts a right answer only on place"
            f" <b>{count(contest.right.rank)}</b>."
        )
    table = data.ask("retrieval.rankings", lesson.run, lesson.query, "none", "none", SHOWN).before
    side_by_side(lesson, lesson.run, table)
    found = data.ask("retrieval.evaluate", lesson.run, "none").evaluation
    low, high = found.ci95["recall@1"]
    return (
        f"The same weights; nothing was trained in between. An embedding is the {data.facts(lesson.run).view}, compared"
        f" by cosine. Over all {count(found.queries)} queries a right answer stands first for"
        f" {percent(found.recall[1])} (95% interval {words.interval(low, high)})."
    )


def contrasts(lesson: Class) -> str:
    """A second model on the same query, and over all queries."""
    if lesson.other is None:
        raise NotAvailable("no second run to compare with", todo="choose one under “Compare with” in the menu")
    found = data.ask_two("compare.compare", lesson.run, lesson.other, "none", "none")
    name = escape(data.facts(lesson.other).model)
    if found.why_not:
        raise NotAvailable(
            "the second run does not ask the same queries",
            got=found.why_not,
            todo="choose one of the same corpus and task",
        )
    row, rank = found.table.set_index("metric").loc["recall@1"], int(found.second.ranks[lesson.query])
    kind = ", trained to match pictures and words," if data.facts(lesson.other).contrastive else ""
    place = "first" if rank == 1 else f"on place {count(rank)}" if rank else "nowhere"
    story(f"{name}{kind} puts a right answer <b>{place}</b>.")
    table = data.ask("retrieval.rankings", lesson.other, lesson.query, "none", "none", SHOWN).before
    side_by_side(lesson, lesson.other, table)
    if row["p_value"] >= CLEAR:
        told = "No clear difference between the two"
    else:
        told = f"{name if row['difference'] > 0 else escape(lesson.model)} is clearly ahead"
    return (
        f"One query proves nothing. Recall@1 over all {count(row['n'])}: {lesson.model} {percent(row['first'])}, "
        f"{name} {percent(row['second'])}; paired difference {signed(row)}, p {p_of(row)}. {told}."
    )


def side_by_side(lesson: Class, run: str, table: pd.DataFrame) -> None:
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


# -- words about differences -----------------------------------------------------------------------------------------


def clearly(row: Any) -> str:
    """What a paired difference shows, or that it shows nothing clearly."""
    if row["p_value"] >= CLEAR or row["difference_low"] <= 0 <= row["difference_high"]:
        return UNCLEAR
    return "a clear gain" if row["difference"] > 0 else "a clear loss"


def signed(row: Any) -> str:
    """`+17.3 points (+14.0 to +20.6)`."""
    low, high = (f"{100 * row[end]:+.1f}".replace("-", "−") for end in ("difference_low", "difference_high"))
    return f"{points(row['difference'])} ({low} to {high})"


def p_of(row: Any) -> str:
    """`< 0.001` or `= 0.012`."""
    return "< 0.001" if row["p_value"] < 0.001 else f"= {row['p_value']:.3f}"
