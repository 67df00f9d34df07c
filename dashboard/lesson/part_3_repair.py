"""Lesson, steps 7 to 9: the direction all items share, what whitening adds, and what to take home."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.questions import compare, retrieval
from dashboard import data, state, words
from dashboard.charts import base as charts
from dashboard.charts import compare as charts_compare
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson.shared import CHANGES, Subject, change, p_of, recall_change, signed, story
from dashboard.parts import widgets
from dashboard.words import count, percent, points


def common(lesson: Subject) -> str:
    """The mean direction, taken out at the flip of a switch."""
    out = state.toggle("centred", "Take the common part out (centre each side)", help=words.CENTRED_HELP)
    variant = "center" if out else "none"
    shape = data.ask_two(compare.shape, lesson.run, lesson.run, "none", "center").set_index("measure")
    strangers = shape.loc["mean cosine of other pairs"]
    rank = int(data.ask(retrieval.evaluate, lesson.run, variant).ranks[lesson.query])
    row = recall_change(lesson.run, "none", "center")
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
    table = data.ask_two(compare.similarities, lesson.run, lesson.run, "none", "center")
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
    effect = f"Centring changes Recall@1 by {signed(row)}, p {p_of(row)}"
    return (
        f"Flip the switch and watch the two hills. {effect}: {change(row)}. No training: one mean per side is"
        " subtracted."
    )


def whitens(lesson: Subject) -> str:
    """What whitening adds to centring."""
    variants = {"none": "raw", "center": "centred", "realign": "ReAlign, β = 0.1", "zca": "fully whitened"}
    evaluations = {v: data.ask(retrieval.evaluate, lesson.run, v).evaluation for v in variants}
    values, bounds = [e.recall[1] for e in evaluations.values()], [e.ci95["recall@1"] for e in evaluations.values()]
    best, n = max(range(len(values)), key=values.__getitem__), evaluations["none"].queries
    step = recall_change(lesson.run, "center", "realign")
    whole = recall_change(lesson.run, "center", "zca")
    amount = "" if change(step) == CHANGES[0] else f" ({points(step['difference'])})"
    story(f"Whitening on top of centring: <b>{change(step)}</b>{amount}.")
    lows, highs = zip(*bounds, strict=True)
    table = pd.DataFrame(
        {
            "variant": list(variants),
            "recall@1": values,
            "low": lows,
            "high": highs,
            "queries": evaluations["none"].queries,
        }
    )
    chart = charts_lesson.settings(list(variants.values()), values, lows, highs, best)
    title = f"Highest of these: {list(variants.values())[best]}, {percent(values[best])}"
    widgets.figure(title, chart, "lesson-whitens", table, help=words.explain("recall@1", n, "queries"))
    sweep = data.ask(retrieval.beta_sweep, lesson.run)
    top = sweep.loc[sweep["recall@1"].idxmax()]
    return (
        f"ReAlign (β = 0.1) against centring alone: {signed(step)}, p {p_of(step)}, {change(step)}. Full whitening"
        f" against centring: {signed(whole)}, p {p_of(whole)}, {change(whole)}. Of the shrinkages tried, β ="
        f" {top['beta']:g} is best ({percent(top['recall@1'])}); β = 1 only centres. The best of many is chosen on"
        f" these same {count(step['n'])} queries, so take it with caution."
    )


def takes_home(lesson: Subject) -> str:
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
    step = recall_change(lesson.run, "center", "realign")
    worse = (
        f"Here ReAlign at β = 0.1 is a clear loss against centring alone, {signed(step)}: set `[whitening] beta = 1`"
        " before you export. "
    )
    advice = worse if change(step) == CHANGES[-1] else ""
    return (
        f"{advice}Everything of this lesson is a page: open one and ask your own question. Every address is a link to"
        " exactly that view."
    )
