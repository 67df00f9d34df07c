"""The nine steps of the Lesson: each draws one idea from live numbers and returns what to say about it.

Sentences are chosen by the numbers: nothing is claimed that the run at hand does not show, and a difference whose test
is not clear (p of 0.05 or more) is called that. What is missing (no pictures, no SAE, no second run) is said in its
place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from math import isnan

import pandas as pd
import streamlit as st

from core.errors import NotAvailable
from dashboard import data, state, words
from dashboard.charts import base as charts
from dashboard.charts import compare as charts_compare
from dashboard.charts import concepts as charts_concepts
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson.first import UNCLEAR, Class, clearly, contrasts, p_of, searches, sees, signed, story
from dashboard.parts import explanations, listings, widgets
from dashboard.parts.claims import recall_change
from dashboard.words import count, percent, points


@dataclass(frozen=True)
class Step:
    """One idea: its title, what draws it, and the page that shows more (with its label)."""

    title: str
    draw: Callable[[Class], str]
    page: str
    see: str
    one_query: bool = True
    """Whether it is about one query, so that another example shows something else."""


# -- 4 to 6: inside --------------------------------------------------------------------------------------------------


def inside(lesson: Class) -> str:
    """Concepts of the query and of its right answer, face to face."""
    table = data.ask("live.pair_concepts", lesson.run, lesson.query, lesson.right, 10)
    n = table.attrs
    told = (
        "Most of what they share says nothing about them"
        if n["telling"] <= n["both"] / 2
        else "What they share tells them apart from most"
    )
    story(
        f"Inside, {n['query']} concepts fire on the query and {n['candidate']} on its right answer. They share"
        f" <b>{n['both']}</b>. {told}."
    )
    names = [listings.concept_name(k, label) for k, label in zip(table["concept"], table["label"], strict=True)]
    chart = charts_lesson.two_sides(table.assign(name=names), ("query", "right answer"))
    note = "The ten strongest of either. Blue: text concepts, orange: image concepts, green: both."
    widgets.figure(
        "One bar per concept and side", chart, "lesson-inside", table, note, help=words.explain("activation")
    )
    return (
        f"A sparse autoencoder writes each embedding as a short list of concepts. Of the {n['both']} shared here, "
        f"{n['both'] - n['telling']} fire on at least half of all items; only {n['telling']} do not."
    )


def speaks(lesson: Class) -> str:
    """Text against image concepts."""
    found = data.ask("modality.scores", lesson.run)
    if isnan(found.share_text):
        raise NotAvailable(
            "this run lacks items of one pure modality, so no concept speaks text or image",
            todo="choose a run with both",
        )
    split = found.share_text + found.share_image
    told = "two vocabularies, hardly one language" if split > 0.5 else "one vocabulary for both"
    story(
        f"<b>{percent(found.share_image, 0)}</b> of the concepts speak only image,"
        f" <b>{percent(found.share_text, 0)}</b> only text: {told}."
    )
    chart = charts.modality_histogram(found.histogram, weighted=False)
    title = f"{count(found.alive)} concepts of {lesson.model} by modality score"
    widgets.figure(
        title, chart, "lesson-speaks", found.histogram, help=words.explain("modality_score", found.alive, "concepts")
    )
    study = "The study finds that in generative models most speak text"
    agrees = f"{study}; so it is here." if found.share_text > 0.5 else f"{study}. Not so here: be open about it."
    if lesson.other is None:
        return agrees
    their = data.ask("modality.scores", lesson.other)
    name = data.facts(lesson.other).model
    return f"{agrees} In {name}: {percent(their.share_image, 0)} image only, {percent(their.share_text, 0)} text only."


def decides(lesson: Class) -> str:
    """Right against wrong, concept by concept."""
    found = data.ask("similarity.margin", lesson.run, lesson.query, lesson.right, lesson.wrong, "none", 8)
    first = explanations.leading(found, "margin")
    winner = "wrong" if found.similarity < 0 else "right"
    by = (
        ""
        if first is None
        else f", above all by concept <b>{escape(listings.concept_name(int(first.concept), first.label))}</b>"
    )
    story(f"The {winner} answer wins by <b>{abs(found.similarity):.3f}</b>{by}.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        for name, row in (("Right", lesson.right), ("Wrong", lesson.wrong)):
            place = data.ask("retrieval.place", lesson.run, lesson.query, row, "none")
            st.markdown(
                f"**{name}**, place {count(place.rank)}, similarity {place.similarity:.3f}",
                help=words.word("similarity").help,
            )
            listings.show(data.item(lesson.run, "candidates", row), hit=name == "Right")
    with right:
        labels, values, table = explanations.parts_of(found)
        digits = 4 if abs(found.similarity) < 0.1 else 3
        chart = charts_concepts.parts(labels, values, "right − wrong", digits)
        widgets.figure(
            "Right minus wrong, part by part", chart, "lesson-decides", table, help=words.explain("contribution")
        )
    errors = abs(found.query_error + found.candidate_error)
    return (
        f"The bars add up exactly to the difference (residual {found.residual:.0e}). To the right: speaks for the right"
        f" answer. What the SAE does not explain is {errors:.3f} here; say so when it is as large as the margin."
    )


# -- 7 to 9: what helps ----------------------------------------------------------------------------------------------


def common(lesson: Class) -> str:
    """The mean direction, taken out at the flip of a switch."""
    out = state.toggle("centred", "Take the common part out (centre each side)", help=words.CENTRED_HELP)
    variant = "center" if out else "none"
    shape = data.ask_two("compare.shape", lesson.run, lesson.run, "none", "center").set_index("measure")
    strangers = shape.loc["mean cosine of other pairs"]
    rank = int(data.ask("retrieval.evaluate", lesson.run, variant).ranks[lesson.query])
    row = recall_change(lesson.run, "center")
    recall = row["after" if out else "before"]
    if out:
        alike = round(strangers["second"], 2) + 0.0  # no minus before a zero
        story(
            f"Without the common part, strangers are <b>{alike:.2f}</b> alike. This query: place <b>{count(rank)}</b>."
        )
    else:
        same = " Everything looks much the same." if strangers["first"] > 0.3 else ""
        story(
            f"Two items that have <b>nothing</b> to do with each other are <b>{strangers['first']:.2f}</b> alike.{same}"
        )
    table = data.ask_two("compare.similarities", lesson.run, lesson.run, "none", "center")
    side = "second" if out else "first"
    part, n = table[table["side"] == side], table.attrs[side]
    left, right = st.columns([3, 2], gap="large")
    with left:
        title = f"Matching pairs and strangers, {'centred' if out else 'raw'}: d′ = {n['d_prime']:.2f}"
        note = f"{count(n['n_positive'])} matching pairs, {count(n['n_negative'])} others."
        widgets.figure(
            title,
            charts_compare.similarities(part, charts.AFTER),
            f"lesson-common-{side}",
            part,
            note,
            help=words.D_PRIME_HELP,
        )
    with right:
        st.metric("This query’s rank", count(rank), help=words.word("rank").help, border=True)
        queries = data.facts(lesson.run).queries
        st.metric("Recall@1", percent(recall), help=words.explain("recall@1", queries, "queries"), border=True)
    change = f"Centring changes Recall@1 by {signed(row)}, p {p_of(row)}"
    return (
        f"Flip the switch and watch the two hills. {change}: {clearly(row)}. No training: one mean per side is"
        " subtracted."
    )


def whitens(lesson: Class) -> str:
    """What whitening adds to centring."""
    variants = {"none": "raw", "center": "centred", "realign": "ReAlign, β = 0.1", "zca": "fully whitened"}
    found = {v: data.ask("retrieval.evaluate", lesson.run, v).evaluation for v in variants}
    values, bounds = [e.recall[1] for e in found.values()], [e.ci95["recall@1"] for e in found.values()]
    best = max(range(len(values)), key=values.__getitem__)
    step = data.ask("retrieval.compare", lesson.run, "center", "realign").table.set_index("metric").loc["recall@1"]
    whole = data.ask("retrieval.compare", lesson.run, "center", "zca").table.set_index("metric").loc["recall@1"]
    amount = "" if clearly(step) == UNCLEAR else f" ({points(step.difference)})"
    story(f"Whitening on top of centring: <b>{clearly(step)}</b>{amount}.")
    lows, highs = zip(*bounds, strict=True)
    table = pd.DataFrame(
        {"variant": list(variants), "recall@1": values, "low": lows, "high": highs, "queries": found["none"].queries}
    )
    chart = charts_lesson.settings(list(variants.values()), values, lows, highs, best)
    title = f"Highest of these: {list(variants.values())[best]}, {percent(values[best])}"
    widgets.figure(
        title, chart, "lesson-whitens", table, help=words.explain("recall@1", found["none"].queries, "queries")
    )
    sweep = data.ask("retrieval.beta_sweep", lesson.run)
    top = sweep.loc[sweep["recall@1"].idxmax()]
    return (
        f"ReAlign (β = 0.1) against centring alone: {signed(step)}, p {p_of(step)}, {clearly(step)}. Full whitening"
        f" against centring: {signed(whole)}, p {p_of(whole)}, {clearly(whole)}. Of the shrinkages tried, β ="
        f" {top['beta']:g} is best ({percent(top['recall@1'])}); β = 1 only centres. The best of many is chosen on"
        f" these same {count(step['n'])} queries, so take it with caution."
    )


def takes_home(lesson: Class) -> str:
    """The commands that do it again, and on one's own data."""
    name = data.facts(lesson.run).name
    story("Every number here is <b>one command</b> away, and the whitening is <b>one matrix per side</b>.")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**See these numbers again**")
        evaluate = f"retrieval-lens evaluate {name}"
        st.code(f"{evaluate}\n{evaluate} --transform center\n{evaluate} --transform realign", language="bash")
        st.markdown("**On your own pictures and captions**")
        st.code("retrieval-lens corpus photos\nretrieval-lens run mine.toml\nretrieval-lens serve", language="bash")
    with right:
        st.markdown("**Use the whitening elsewhere**")
        st.code(f"retrieval-lens export {name} --out DIR", language="bash")
        st.code(words.WHITENING_LINES, language="python")
    step = data.ask("retrieval.compare", lesson.run, "center", "realign").table.set_index("metric").loc["recall@1"]
    worse = (
        f"Here ReAlign at β = 0.1 is a clear loss against centring alone, {signed(step)}: set `[whitening] beta = 1`"
        " before you export. "
    )
    advice = worse if step["difference"] < 0 and clearly(step) != UNCLEAR else ""
    return (
        f"{advice}Everything of this lesson is a page: open one and ask your own question. Every address is a link to"
        " exactly that view."
    )


STEPS: tuple[Step, ...] = (
    Step("It sees", sees, "playground", "Ask it yourself"),
    Step("It searches", searches, "retrieval", "All queries, one by one"),
    Step("A second model", contrasts, "compare", "Compare the two"),
    Step("Look inside", inside, "concepts", "Every concept"),
    Step("Who speaks", speaks, "modality", "The whole distribution", one_query=False),
    Step("What decides", decides, "similarity", "Take this similarity apart"),
    Step("The common part", common, "map", "See it on the map"),
    Step("What whitening adds", whitens, "retrieval", "Move β yourself", one_query=False),
    Step("Take it home", takes_home, "exhibits", "The study’s figures and tables", one_query=False),
)
