"""Overview: the story in live numbers."""

from html import escape

import streamlit as st

from core.exhibits import beyond_answer
from core.questions import fidelity, retrieval
from dashboard import data, state, words
from dashboard.parts import claims, widgets
from dashboard.words import count, percent


def opening(run: str, other: str | None, metric: str) -> None:
    """The strongest sentence these numbers allow."""
    facts, table = data.facts(run), data.ask(retrieval.compare, run, "none", "realign").table
    row, k = data.row(data.Change, table, metric=metric), int(metric.removeprefix("recall@"))
    name, place = escape(facts.model), words.PLACES[k]
    sentence = (
        f"Out of the box, {name} puts a right answer {place} for <b>{percent(row.before)}</b> of"
        f" {count(facts.queries)} queries"
    )
    if other:
        theirs, their_raw = data.facts(other), data.ask(retrieval.evaluate, other, "none").evaluation.recall[k]
        trained = ", trained to match," if theirs.contrastive else ""
        sentence += f"; {escape(theirs.model)}{trained} for <b>{percent(their_raw)}</b>"
    change = data.direction(row.difference_low, row.difference_high, row.p_value)
    verb = {1: f"lifts {name} to", -1: f"lowers {name} to", 0: "makes no clear difference:"}[change]
    widgets.html(
        f'<p class="lens-story">{sentence}. Whitening the same embeddings {verb} <b>{percent(row.after)}</b>.</p>'
    )
    st.caption(
        f"{words.word(metric).label} among {count(facts.candidates)} candidates, {words.TASKS[facts.task]}. Why? Four"
        " claims of the study, each judged by one exhibit on these runs.",
        help=words.explain(metric),
    )


def study_claims(run: str, other: str | None, metric: str) -> None:
    """A card per claim, with the verdicts that the command `claims` prints."""
    keys = [key for key in (run, other) if key]
    with widgets.guard():
        judged = data.claims(tuple(keys), metric)
        if judged.pending:
            claims.waiting(lambda: data.claims(tuple(keys), metric).pending)
        grid = st.grid(2, min_column_width=300, gap="small", border=True)
        for question in data.claim_questions():
            with grid.cell():
                claims.card(question, judged, keys, metric)


def pooling(run: str, metric: str) -> None:
    """What another pooling of the same token states does, where Table 5 finds one that is better than the run's."""
    result = data.exhibit("table-5", (run,), (("metric", metric),))
    better = [v for v in result.verdicts if v.about == "claim" and v.outcome == "disagrees"]
    if not better:
        return
    raw = result.table[result.table["variant"] == "none"]
    first, best = raw.iloc[0], raw.loc[raw[metric].idxmax()]
    with st.container(border=True):
        st.markdown("**Beside the claims · The pooling**", help=words.explain(metric))
        change = (
            f"{words.points(best['gain'])}, 95% interval {words.points(best['gain_low'])} to"
            f" {words.points(best['gain_high'])}"
        )
        st.markdown(
            f"The same token states, represented by {words.POOLINGS[best['pooling']]} instead of"
            f" {words.POOLINGS[first['pooling']]}, put a right answer {words.PLACES[int(metric[7:])]} for"
            f" **{percent(best[metric])}** of {count(int(best['queries']))} queries ({change}). What retrieval needs is"
            " in the model; this embedding does not show it."
        )
        state.link("exhibits", "See all poolings", icon=":material/arrow_forward:", exhibit="table-5")


def reading(run: str, metric: str) -> None:
    """What the same pass gives one step later, where the model's answer begins: only where that is clear."""
    result = data.exhibit("answer", (run,), (("metric", metric),))
    clear = [v for v in result.verdicts if v.about == "claim" and v.outcome in ("agrees", "disagrees")]
    if not clear:  # no answer header, not stored, or no clear difference
        return
    raw = result.table[result.table["variant"] == "none"].set_index("reading")
    answer, last = raw.loc[beyond_answer.ANSWER], raw.loc[beyond_answer.LAST]
    with st.container(border=True):
        st.markdown("**Beside the claims · Where it is read**", help=words.explain(metric))
        difference, low, high = (words.points(answer[f"beyond_no_header{end}"]) for end in ("", "_low", "_high"))
        st.markdown(
            f"Read where its answer begins, the same pass puts a right answer {words.PLACES[int(metric[7:])]} for"
            f" **{percent(answer[metric])}** of {count(int(answer['queries']))} queries; one step earlier, at the last"
            f" token of the question, for **{percent(last[metric])}** ({difference}, 95% interval {low} to {high})."
        )
        state.link("exhibits", "See all readings", icon=":material/arrow_forward:", exhibit="answer")


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
            f" {words.plain(figures.trained_on)}."
        )


def page() -> None:
    """The page."""
    selection = state.current()
    run, other = selection.run, selection.other
    widgets.heading("overview", "Why do multimodal language models retrieve badly, and what repairs them?")
    story = st.container()
    metric = claims.pick_metric()
    with story, widgets.guard():
        opening(run, other, metric)
    study_claims(run, other, metric)
    with widgets.guard():
        pooling(run, metric)
        reading(run, metric)
    pipeline(run)
    names = [data.name(key) for key in (run, other) if key]
    chosen = "" if metric == claims.METRIC else f" --metric {metric}"
    widgets.reproduce(
        f"retrieval-lens claims {' '.join(map(words.shell, names))}{chosen}\n"
        f"retrieval-lens evaluate {words.shell(names[0])} --transform realign",
        widgets.python("retrieval", names[0], 'retrieval.compare(run, "none", "realign").table'),
    )


page()
