"""Lesson, steps 8 and 9: read where the model answers, and what to do with a retriever of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd
import streamlit as st

from core.errors import NotAvailable
from dashboard import data, words
from dashboard.charts import lesson as charts_lesson
from dashboard.lesson.shared import CHANGES, Subject, direction, recall_change, signed, story
from dashboard.parts import widgets
from dashboard.words import count, percent

READINGS = {
    ("mean of all tokens", "none"): "mean of all tokens",
    ("mean of all tokens", "realign"): "mean, with the matrix",
    ("last token, no header", "none"): "last token of the request",
    ("where the answer begins", "none"): "where the answer begins",
}
"""Reading and variant of the exhibit `answer` -> its name in the Lesson."""


def ask_where_to_read(lesson: Subject) -> str:
    """The question alone."""
    return (
        "The model is asked for one word. Where would you read what it has in mind: over all tokens, at the end of the"
        " request, or where its <b>answer begins</b>?"
    )


def too_early(lesson: Subject) -> str:
    """Recall by where the embedding is read."""
    table = _readings(lesson.run)
    header, mean = table.loc["where the answer begins"], table.loc["mean of all tokens"]
    best = table["recall@1"].idxmax()
    story(_where(table, str(best)))
    chart = charts_lesson.settings(
        list(table.index),
        table["recall@1"].tolist(),
        table["recall@1_low"].tolist(),
        table["recall@1_high"].tolist(),
        list(table.index).index(best),
    )
    n = int(mean["queries"])
    widgets.figure(
        f"Recall@1 by where the embedding is read, {count(n)} queries",
        chart,
        "lesson-answer",
        table.reset_index(),
        "The same pass of the same model; the study averages over all tokens.",
        help=words.explain("recall@1", n, "queries"),
    )
    gain = {"difference": header["gain"], "difference_low": header["gain_low"], "difference_high": header["gain_high"]}
    return (
        "A chat template marks where the assistant's turn begins; behind that mark the model predicts the first word of"
        f" its answer. Reading there changes Recall@1 by {signed(gain)} against the mean of all tokens."
        f"{_siblings(lesson)} Whether it holds for a large model is one command on a GPU: `retrieval-lens run"
        " qwen2-vl-7b-answer.toml`."
    )


def _readings(run: str) -> pd.DataFrame:
    """Rows of the exhibit `answer` by name of the reading in the Lesson.

    Raises:
        NotAvailable: the run does not store the reading.
    """
    shown = data.exhibit("answer", (run,), (("metric", "recall@1"),))
    if shown.table.empty:
        raise NotAvailable(
            "this run was not read where its model answers",
            todo='put poolings = ["mean", "last", "answer"] under [embedding] of its spec and run it again, or choose'
            " the run of a chat model",
        )
    table = shown.table.set_index(["reading", "variant"]).loc[list(READINGS)]
    return table.set_index(pd.Index(list(READINGS.values()), name="reading"))


def _where(table: pd.DataFrame, best: str) -> str:
    last, answer = table.loc["last token of the request"], table.loc["where the answer begins"]
    steps = f"<b>{percent(last['recall@1'])}</b> one token earlier, <b>{percent(answer['recall@1'])}</b> there"
    if best == "where the answer begins":
        return f"<b>Where its answer begins</b>: {steps}."
    return f"Not where its answer begins here: {steps}. Best is <b>{escape(best)}</b>."


def _siblings(lesson: Subject) -> str:
    """The same reading of other models on the same corpus, where it is stored."""
    mine = data.facts(lesson.run)
    recalls: dict[str, str] = {}
    for key in data.siblings(lesson.run):
        model = data.facts(key).model
        if model in recalls:  # a second run of it: the first in the picker's order counts
            continue
        try:
            recalls[model] = percent(_readings(key).loc["where the answer begins"]["recall@1"])
        except NotAvailable:
            continue
    if not recalls:
        return ""
    sentences = ", ".join(f"{model} {recall}" for model, recall in recalls.items())
    return f" The same place in other models on this corpus ({mine.model} is above): {sentences}."


def ask_what_to_do(lesson: Subject) -> str:
    """The question alone."""
    return "Your own retriever finds too little. What do you try first?"


def own_retriever(lesson: Subject) -> str:
    """What helped here, in the order of its effort, and the commands that do it elsewhere."""
    name = words.shell(data.facts(lesson.run).name)
    story(
        "What costs nothing first: <b>read</b> elsewhere, <b>move</b> to the middle, then <b>reshape</b>. Measure each."
    )
    rows = _advice(lesson.run)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**What each did here, in Recall@1**")
        cells = "".join(
            f"<tr><td>{i}. {escape(what)}</td><td>{escape(gain)}</td><td>{widgets.badge(verdict, kind)}</td></tr>"
            for i, (what, gain, verdict, kind) in enumerate(rows, 1)
        )
        widgets.html(f'<table class="lens-advice">{cells}</table>')
        st.markdown("**On your own pictures and captions**")
        st.code("retrieval-lens corpus photos\nretrieval-lens run mine.toml\nretrieval-lens serve", language="bash")
    with right:
        st.markdown("**Take the repair with you**")
        beta = " --beta 1" if _whitening_loses(lesson.run) else ""
        commands = f"retrieval-lens evaluate {name} --transform realign{beta}\nretrieval-lens export {name} --out DIR"
        st.code(commands, language="bash", wrap_lines=True)
        st.code(words.WHITENING_LINES, language="python", wrap_lines=True)
    caution = (
        "Here reshaping costs recall, so keep to the mean alone: set `[whitening] beta = 1` in the spec before you"
        " export. "
        if _whitening_loses(lesson.run)
        else ""
    )
    return (
        f"{caution}What helped here need not help there: measure it on queries with known answers. Every step of this"
        " lesson is a page; every address is a link to exactly that view."
    )


def _whitening_loses(run: str) -> bool:
    return direction(recall_change(run, "center", "realign")) < 0


def _advice(run: str) -> list[tuple[str, str, str, str]]:
    """(what, gain in words, verdict, kind of badge), in the order of effort."""
    badges = {1: "agrees", -1: "differs", 0: "partly"}
    rows = []
    try:
        answer = _readings(run).loc["where the answer begins"]
        gain = {f"difference{end}": answer[f"gain{end}"] for end in ("", "_low", "_high")}
        sign = data.direction(answer["gain_low"], answer["gain_high"], answer["gain_p"])
        rows.append(("Read where the model answers", signed(gain), CHANGES[sign], badges[sign]))
    except NotAvailable:
        pass
    for what, before, after in (
        ("Subtract each side's mean", "none", "center"),
        ("Whiten on top of that (ReAlign)", "center", "realign"),
    ):
        row: Mapping[str, float] = recall_change(run, before, after)
        rows.append((what, signed(row), CHANGES[direction(row)], badges[direction(row)]))
    return rows
