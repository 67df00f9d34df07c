"""Lesson: nine steps, one idea each, from a model that describes a picture to what repairs its retrieval."""

from typing import Any

import streamlit as st

from dashboard import data, state, words
from dashboard.lesson.shared import Subject
from dashboard.lesson.steps import STEPS
from dashboard.parts import claims, explanations, listings, widgets

OF_CONCEPTS = ("concepts", "modality", "similarity")
"""Pages whose steps show concepts, and so how far these can be trusted."""


def prepared(run: str, other: str | None) -> Subject:
    """The query to teach with, by default one that shows most, and its right and wrong answers."""
    rows = data.examples(run, other)
    query = state.within("query", "query", 0, data.facts(run).queries - 1, rows[0])
    pair = explanations.duel(run, query, "none")
    return Subject(run, other, query, pair["candidate"], pair["rival"])


def turn(at: int) -> None:
    """Previous, where one is, and next; the arrow keys turn too."""
    last = len(STEPS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="lens-turn"):
        if st.button("Back", icon=":material/arrow_back:", disabled=at == 1, shortcut="Left"):
            state.put(step=at - 1)
            st.rerun()
        dots = "".join(
            f'<i class="{"on" if i <= at else ""}" title="{i}. {step.title}"></i>' for i, step in enumerate(STEPS, 1)
        )
        widgets.html(f'<div class="lens-steps">{dots}</div>')
        if st.button("Next", icon=":material/arrow_forward:", disabled=at == last, shortcut="Right", type="primary"):
            state.put(step=at + 1)
            st.rerun()


def notes(text: str) -> None:
    """What to say, for whoever stands in front."""
    if state.toggle("notes", "What to say", True, help=words.NOTES_HELP):
        with st.container(border=True):
            st.markdown(f":material/record_voice_over: {text}")


def verdicts(run: str, other: str | None, number: int | None) -> None:
    """The verdicts on the study's claim that the step is about, as the Overview shows them."""
    with widgets.guard():
        judged = claims.of_runs([key for key in (run, other) if key], claims.metric()) if number else ()
        widgets.html("".join(claims.line(claim) for claim in judged if claim.claim == number))


def below(chosen: Subject, at: int) -> None:
    """The page that shows more, and another example."""
    step, examples = STEPS[at - 1], data.examples(chosen.run, chosen.other)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        rows: dict[str, Any] = {"query": chosen.query, "candidate": chosen.right, "rival": chosen.wrong}
        state.link(step.page, step.see, icon=":material/arrow_outward:", **(rows if step.page != "concepts" else {}))
        if (
            step.one_query
            and len(examples) > 1
            and st.button("Another example", icon=":material/casino:", type="tertiary", help=words.EXAMPLE_HELP)
        ):
            following = examples.index(chosen.query) + 1 if chosen.query in examples else 0
            state.put(query=examples[following % len(examples)], candidate=None, rival=None)
            st.rerun()


def page() -> None:
    """The page."""
    selection = state.current()
    run, other = selection.run, selection.other
    at = state.within("step", "step", 1, len(STEPS), 1)
    step = STEPS[at - 1]
    st.title(words.PAGES["lesson"][0], anchor=False)
    if listings.nothing_to_find(run):
        return
    turn(at)
    st.caption(f"Step {at} of {len(STEPS)} · {step.title}")
    text = ""
    chosen = prepared(run, other)
    with widgets.guard():
        text = step.draw(chosen)
    if text:
        notes(text)
        verdicts(run, other, step.claim)
    below(chosen, at)
    if text and step.page in OF_CONCEPTS:
        listings.fidelity_line(run)
    name = data.facts(run).name
    widgets.reproduce(
        f"retrieval-lens evaluate {name} --transform center",
        widgets.python("compare", name, "compare.teaching_queries(run)"),
    )


page()
