"""Overview: the story in live numbers."""

from html import escape

import streamlit as st

from core.questions import fidelity, retrieval
from dashboard import data, state, words
from dashboard.parts import claims, widgets
from dashboard.words import count, percent


def opening(run: str, other: str | None) -> None:
    """The strongest sentence these numbers allow."""
    facts, table = data.facts(run), data.ask(retrieval.compare, run, "none", "realign").table.set_index("metric")
    raw, whitened = table.loc["recall@1", "before"], table.loc["recall@1", "after"]
    name = escape(facts.model)
    sentence = (
        f"Out of the box, {name} puts a right answer first for <b>{percent(raw)}</b> of {count(facts.queries)} queries"
    )
    if other:
        theirs, their_raw = data.facts(other), data.ask(retrieval.evaluate, other, "none").evaluation.recall[1]
        trained = ", trained to match," if theirs.contrastive else ""
        sentence += f"; {escape(theirs.model)}{trained} for <b>{percent(their_raw)}</b>"
    verb = f"lifts {name} to" if whitened > raw else f"lowers {name} to" if whitened < raw else f"leaves {name} at"
    sentence += f". Whitening the same embeddings {verb} <b>{percent(whitened)}</b>."
    widgets.html(f'<p class="lens-story">{sentence}</p>')
    ten = table.loc["recall@10"]
    what = f"Recall@1 among {count(facts.candidates)} candidates, {words.TASKS[facts.task]}; Recall@10 goes from"
    what += (
        f" {percent(ten['before'])} to {percent(ten['after'])}. Why? Four claims of the study, held against live"
        " numbers."
    )
    st.caption(what, help=words.explain("recall@1"))


def claim_card(claim: claims.Claim) -> None:
    """One claim: number, sentence, what the study found, and the way to the page."""
    st.markdown(f"**{claim.title}**", help=words.word(claim.word).help)
    widgets.html(f'<div class="lens-big">{escape(claim.value)} <small>{escape(claim.unit)}</small></div>')
    st.markdown(claim.sentence)
    study = f'<p class="lens-note"><b>Study:</b> {escape(claim.study)}</p>' if claim.study else ""
    widgets.html(study + f'<div style="margin-top:.4rem">{widgets.verdict(claim.agrees)}</div>')
    state.link(claim.page, claim.see, icon=":material/arrow_forward:")


def pooling(run: str) -> None:
    """What another pooling of the same token states does, where the run stores one that retrieves better beyond
    chance."""
    result = data.exhibit("table-5", (run,), (("metric", "recall@1"),))
    if result.table.empty:
        return
    raw = result.table[result.table["variant"] == "none"]
    first, best = raw.iloc[0], raw.loc[raw["recall@1"].idxmax()]
    if not best["gain_low"] > 0:
        return
    with st.container(border=True):
        st.markdown("**Beside the claims · The pooling**", help=words.explain("recall@1"))
        change = (
            f"{words.points(best['gain'])}, 95% interval {words.points(best['gain_low'])} to"
            f" {words.points(best['gain_high'])}"
        )
        st.markdown(
            f"The same token states, represented by {words.POOLINGS[best['pooling']]} instead of"
            f" {words.POOLINGS[first['pooling']]}, put a right answer first for **{percent(best['recall@1'])}** of"
            f" {count(int(best['queries']))} queries ({change}). What retrieval needs is in the model; this embedding"
            " does not show it."
        )
        state.link("exhibits", "See all poolings", icon=":material/arrow_forward:", exhibit="table-5")


def pipeline(run: str) -> None:
    """What was measured, on what, and how well the SAE stands for it."""
    facts = data.facts(run)
    widgets.section("What these numbers come from")
    sizes = {"queries": count(facts.queries), "candidates": count(facts.candidates)}
    widgets.facts(
        {"run": facts.name, "model": facts.model, "task": words.TASKS[facts.task], **sizes, "embedding": facts.view}
    )
    with widgets.guard():
        figures = data.ask(fidelity.fidelity, run)
        items = count(facts.queries + facts.candidates)
        widgets.metrics(
            [
                ("concepts", facts.concepts, ""),
                ("explained_variance", figures.value("explained variance"), f"{items} items"),
                ("l0", figures.value("L0"), f"{items} items"),
                ("dead", figures.value("dead share"), f"{count(facts.concepts or 0)} concepts"),
            ]
        )
        rebuilt = figures.value("recall@1 of the reconstruction")
        st.caption(
            f"Retrieving with the SAE's reconstructions instead of the embeddings gives Recall@1 {percent(rebuilt)}"
            f" (embeddings: {percent(figures.value('recall@1 of the embedding'))}). The SAE learned from"
            f" {figures.trained_on}."
        )


def page() -> None:
    """The page."""
    selection = state.current()
    run, other = selection.run, selection.other
    widgets.heading("overview", "Why do multimodal language models retrieve badly, and what repairs them?")
    with widgets.guard():
        opening(run, other)
    grid = st.grid(2, min_column_width=300, gap="small", border=True)
    for claim in claims.claims(run, other):
        with grid.cell():
            claim_card(claim)
    pooling(run)
    pipeline(run)
    name = data.facts(run).name
    widgets.reproduce(
        f"retrieval-lens evaluate {name}\nretrieval-lens evaluate {name} --transform realign",
        widgets.python("retrieval", name, 'retrieval.compare(run, "none", "realign").table'),
    )


page()
