"""Lesson, steps 4 to 6: the concepts inside, which of them speak text or image, and which decide a comparison."""

from __future__ import annotations

from html import escape
from math import isnan

import streamlit as st

from core.errors import NotAvailable
from core.questions import live, modality, retrieval, similarity
from dashboard import data, words
from dashboard.charts import lesson as charts_lesson
from dashboard.charts import modality as charts_modality
from dashboard.charts import similarity as charts_similarity
from dashboard.lesson.shared import Subject, story
from dashboard.parts import explanations, listings, widgets
from dashboard.words import count, percent


def inside(lesson: Subject) -> str:
    """Concepts of the query and of its right answer, face to face."""
    table = data.ask(live.pair_concepts, lesson.run, lesson.query, lesson.right, 10)
    n = table.attrs
    sentence = (
        "Most of what they share says nothing about them"
        if n["telling"] <= n["both"] / 2
        else "What they share tells them apart from most"
    )
    story(
        f"Inside, {n['query']} concepts fire on the query and {n['candidate']} on its right answer. They share"
        f" <b>{n['both']}</b>. {sentence}."
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


def speaks(lesson: Subject) -> str:
    """Text against image concepts."""
    scores = data.ask(modality.scores, lesson.run)
    if isnan(scores.share_text):
        raise NotAvailable(
            "this run lacks items of one pure modality, so no concept speaks text or image",
            todo="choose a run with both",
        )
    split = scores.share_text + scores.share_image
    vocabularies = "two vocabularies, hardly one language" if split > 0.5 else "one vocabulary for both"
    story(
        f"<b>{percent(scores.share_image, 0)}</b> of the concepts speak only image,"
        f" <b>{percent(scores.share_text, 0)}</b> only text: {vocabularies}."
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


def decides(lesson: Subject) -> str:
    """Right against wrong, concept by concept."""
    explanation = data.ask(similarity.margin, lesson.run, lesson.query, lesson.right, lesson.wrong, "none", 8)
    first = explanations.leading(explanation, "margin")
    winner = "wrong" if explanation.similarity < 0 else "right"
    by = (
        ""
        if first is None
        else f", above all by concept <b>{escape(listings.concept_name(int(first.concept), first.label))}</b>"
    )
    story(f"The {winner} answer wins by <b>{abs(explanation.similarity):.3f}</b>{by}.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        for name, row in (("Right", lesson.right), ("Wrong", lesson.wrong)):
            place = data.ask(retrieval.place, lesson.run, lesson.query, row, "none")
            st.markdown(
                f"**{name}**, place {count(place.rank)}, similarity {place.similarity:.3f}",
                help=words.word("similarity").help,
            )
            listings.show(data.item(lesson.run, "candidates", row), hit=name == "Right")
    with right:
        labels, values, table = explanations.parts_of(explanation)
        digits = 4 if abs(explanation.similarity) < 0.1 else 3
        chart = charts_similarity.parts(labels, values, "right − wrong", digits)
        widgets.figure(
            "Right minus wrong, part by part", chart, "lesson-decides", table, help=words.explain("contribution")
        )
    errors = abs(explanation.query_error + explanation.candidate_error)
    return (
        f"The bars add up exactly to the difference (residual {explanation.residual:.0e}). To the right: speaks for"
        f" the right answer. What the SAE does not explain is {errors:.3f} here; say so when it is as large as the"
        " margin."
    )
