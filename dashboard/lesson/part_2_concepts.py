"""Lesson, steps 3 to 5: what fires inside, what speaks text or image, and what every similarity is made of."""

from __future__ import annotations

from math import isnan

import streamlit as st

from core.errors import NotAvailable
from core.questions import compare, live, modality, similarity
from dashboard import data, words
from dashboard.charts import base as charts
from dashboard.charts import compare as charts_compare
from dashboard.charts import lesson as charts_lesson
from dashboard.charts import modality as charts_modality
from dashboard.charts import similarity as charts_similarity
from dashboard.lesson.shared import PICTURE, Subject, story
from dashboard.parts import explanations, listings, trust, widgets
from dashboard.words import count, percent


def ask_what_they_share(lesson: Subject) -> str:
    """The query and its right answer beside each other."""
    left, right = st.columns(2, gap="large")
    with left:
        widgets.show_item(data.item(lesson.run, "queries", lesson.query), cell=PICTURE)
    with right:
        widgets.show_item(data.item(lesson.run, "candidates", lesson.right), cell=PICTURE)
    return "Inside the model each of the two is a few dozen features that fire. What do you expect them to share?"


def fires(lesson: Subject) -> str:
    """Concepts of the query and of its right answer, face to face."""
    table = data.ask(live.pair_concepts, lesson.run, lesson.query, lesson.right, 10)
    n = table.attrs
    sentence = (
        "Most of what they share says nothing about them"
        if n["telling"] <= n["both"] / 2
        else "What they share tells them apart from most"
    )
    story(
        f"{n['query']} fire on the query and {n['candidate']} on its right answer. They share <b>{n['both']}</b>."
        f" {sentence}."
    )
    names = [listings.concept_name(k, label) for k, label in zip(table["concept"], table["label"], strict=True)]
    chart = charts_lesson.two_sides(table.assign(name=names), ("query", "right answer"))
    note = "The ten strongest of either. Blue: text concepts, orange: image concepts, green: both."
    widgets.figure(
        "One bar per concept and side", chart, "lesson-inside", table, note, help=words.explain("activation")
    )
    return (
        "A sparse autoencoder writes each embedding as a short list of concepts, with a strength for each. Of the"
        f" {n['both']} shared here, {n['both'] - n['telling']} fire on at least half of all items; {n['telling']} do"
        " not."
    )


def ask_who_speaks(lesson: Subject) -> str:
    """The question alone."""
    return "A fox in a picture, the word “fox” in a sentence: is that one feature of the model, or two?"


def speaks(lesson: Subject) -> str:
    """Text against image concepts."""
    scores = data.ask(modality.scores, lesson.run)
    if isnan(scores.share_text):
        raise NotAvailable(
            "this run lacks items of one pure modality, so no concept speaks text or image",
            todo="choose a run with both",
        )
    split = scores.share_text + scores.share_image
    answer = "Mostly two vocabularies" if split > 0.5 else "Mostly one vocabulary for both"
    story(
        f"{answer}: <b>{percent(scores.share_image, 0)}</b> of the concepts speak only image,"
        f" <b>{percent(scores.share_text, 0)}</b> only text."
    )
    chart = charts_modality.modality_histogram(scores.histogram, weighted=False)
    title = f"{count(scores.alive)} concepts of {lesson.model} by modality score"
    widgets.figure(
        title, chart, "lesson-speaks", scores.histogram, help=words.explain("modality_score", scores.alive, "concepts")
    )
    study = "The study finds that in generative models most speak text; its verdict on this run stands below."
    if lesson.other is None:
        return study
    their = data.ask(modality.scores, lesson.other)
    name = data.facts(lesson.other).model
    return f"{study} In {name}: {percent(their.share_image, 0)} image only, {percent(their.share_text, 0)} text only."


def ask_how_alike(lesson: Subject) -> str:
    """The question alone."""
    return (
        "Take a query and an answer that have <b>nothing</b> to do with each other. How alike does the model find them,"
        " from 0 to 1?"
    )


def made_of(lesson: Subject) -> str:
    """The similarity that everything has with everything, and the small rest that decides."""
    shape = data.ask_two(compare.shape, lesson.run, lesson.run, "none", "center").set_index("measure")
    strangers = float(shape.loc["mean cosine of other pairs"]["first"])
    pairs = float(shape.loc["mean cosine of matching pairs"]["first"])
    story(f"<b>{strangers:.2f}</b>. Those that belong together: <b>{pairs:.2f}</b>. Only the small rest decides.")
    left, right = st.columns(2, gap="large")
    with left:
        table = data.ask_two(compare.similarities, lesson.run, lesson.run, "none", "center")
        part, n = table[table["side"] == "first"], table.attrs["first"]
        note = f"{count(n['n_positive'])} matching pairs, {count(n['n_negative'])} others."
        widgets.figure(
            f"Matching pairs and strangers: d′ = {n['d_prime']:.2f}",
            charts_compare.similarities(part, charts.AFTER),
            "lesson-strangers",
            part,
            note,
            help=words.D_PRIME_HELP,
        )
    explanation = data.ask(similarity.margin, lesson.run, lesson.query, lesson.right, lesson.wrong, "none", 6)
    with right:
        trust.bar(explanation)
        rows = {"query": lesson.query, "candidate": lesson.right, "rival": lesson.wrong}
        trust.way_out_links(lesson.run, explanation, **rows)
        labels, values, table = explanations.parts_of(explanation)
        digits = 4 if abs(explanation.similarity) < 0.1 else 3
        winner = "wrong" if explanation.similarity < 0 else "right"
        widgets.figure(
            f"This query: the {winner} answer wins by {abs(explanation.similarity):.3f}",
            charts_similarity.parts(labels, values, "right − wrong", digits),
            "lesson-decides",
            table,
            "Bars to the right speak for the right answer.",
            help=words.explain("contribution"),
        )
    return (
        f"The bars add up exactly to the lead of the {winner} answer (residual {explanation.residual:.0e})."
        f" {explanations.sentence(explanation, 'margin')}."
    )
