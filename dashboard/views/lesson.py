"""Lesson: nine steps, one question and one idea each, from a model that describes a picture to one's own retriever."""

from typing import Any

import streamlit as st

from dashboard import data, state, words
from dashboard.lesson.shared import Step, Subject
from dashboard.lesson.steps import STEPS
from dashboard.parts import claims, explanations, fidelity, listings, widgets

OF_CONCEPTS = ("concepts", "modality", "similarity")
"""Pages whose steps show concepts, and so how far these can be trusted."""


def prepared(run: str, other: str | None) -> Subject:
    """The query to teach with, by default one that shows most, and its right and wrong answers."""
    rows = data.examples(run, other)
    query = state.within("query", "query", 0, data.facts(run).queries - 1, rows[0])
    pair = explanations.duel(run, query, "none")
    return Subject(run, other, query, pair["candidate"], pair["rival"])


def turn(at: int, answered: bool) -> None:
    """Back, and forward: first to the answer of this step, then to the next question. The arrow keys turn too."""
    last = len(STEPS)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="lens-turn"):
        # Going back, the audience has seen the answers already.
        if st.button("Back", icon=":material/arrow_back:", disabled=at == 1 and not answered, shortcut="Left"):
            state.put(**({"answer": None} if at == 1 else {"step": at - 1, "answer": True}))
            st.rerun()
        dots = "".join(
            f'<i class="{"on" if i <= at else ""}" title="{i}. {step.title}"></i>' for i, step in enumerate(STEPS, 1)
        )
        widgets.html(f'<div class="lens-steps">{dots}</div>')
        label, icon = ("Next", ":material/arrow_forward:") if answered else ("Answer", ":material/visibility:")
        if st.button(label, icon=icon, disabled=at == last and answered, shortcut="Right", type="primary"):
            state.put(**({"step": at + 1, "answer": None} if answered else {"answer": True}))
            st.rerun()


def notes(text: str) -> None:
    """What to say, for whoever stands in front."""
    if state.toggle("notes", "What to say", True, help=words.NOTES_HELP):
        with st.container(border=True):
            st.markdown(f":material/record_voice_over: {words.prose(text)}")


def verdicts(run: str, other: str | None, number: int | None) -> None:
    """The verdicts on the study's claim that the step is about, as the Overview shows them."""
    if number is None:
        return
    keys, metric = tuple(key for key in (run, other) if key), claims.metric()
    with widgets.guard():
        judged = data.claims(keys, metric)
        widgets.html("".join(claims.line(claim) for claim in judged.claims if claim.claim == number))
        if judged.pending:
            claims.waiting(lambda: data.claims(keys, metric).pending)


def below(chosen: Subject, at: int) -> None:
    """The page that shows more, and another example."""
    step, examples = STEPS[at - 1], data.examples(chosen.run, chosen.other)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        rows: dict[str, Any] = {"query": chosen.query, "candidate": chosen.right, "rival": chosen.wrong}
        own = {"concepts": {}, "exhibits": {"exhibit": "answer"} if at == 8 else {}}
        state.link(step.page, step.see, icon=":material/arrow_outward:", **own.get(step.page, rows))
        if (
            step.one_query
            and len(examples) > 1
            and st.button("Another example", icon=":material/casino:", type="tertiary", help=words.EXAMPLE_HELP)
        ):
            following = examples.index(chosen.query) + 1 if chosen.query in examples else 0
            state.put(query=examples[following % len(examples)], candidate=None, rival=None)
            st.rerun()


def question(step: Step, chosen: Subject) -> None:
    """The question to the audience, and what they need to see for it."""
    place = st.empty()
    with widgets.guard():
        asked = step.question(chosen)
        place.html(f'<p class="lens-lesson lens-question">{asked}</p>')
        notes(words.ASK_NOTE)


def answer(step: Step, chosen: Subject) -> str:
    """The answer; returns what to say about it, "" where this run cannot show it."""
    text = ""
    with widgets.guard():
        text = step.answer(chosen)
    if text:
        notes(text)
        verdicts(chosen.run, chosen.other, step.claim)
    return text


def page() -> None:
    """The page."""
    selection = state.current()
    run, other = selection.run, selection.other
    at = state.within("step", "step", 1, len(STEPS), 1)
    answered = str(state.get("answer", False)).lower() == "true"
    state.keep("answer")
    step = STEPS[at - 1]
    st.title(words.PAGES["lesson"][0], anchor=False)
    if listings.nothing_to_find(run):
        return
    turn(at, answered)
    st.caption(f"Step {at} of {len(STEPS)} · {step.title}")
    chosen = prepared(run, other)
    if not answered:
        question(step, chosen)
    elif answer(step, chosen) and step.page in OF_CONCEPTS:
        fidelity.line(run)
    below(chosen, at)
    name = data.facts(run).name
    widgets.reproduce(
        f"retrieval-lens evaluate {words.shell(name)} --transform center",
        widgets.python("compare", name, "compare.teaching_queries(run)"),
    )


page()
