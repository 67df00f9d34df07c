"""The card that says which remedy to use on a run, and what it takes to use it elsewhere."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.questions import recommend
from dashboard import data, state, words
from dashboard.charts import retrieval as charts
from dashboard.parts import edits, widgets
from dashboard.words import count, percent, points

CHOSEN = {"support": "With labels", "none": "Without labels"}


@widgets.fragment
def card(run: str) -> None:
    """The recommendation as it is cached, or a button that computes it."""
    widgets.section("Which remedy should you use?", "Chosen on some queries, scored once on others.")
    labels = state.pick(
        st.segmented_control, "labels", "Chosen", list(CHOSEN), format_func=CHOSEN.get, help=words.LABELS_HELP
    )
    found = data.fresh(recommend.stored, run, labels)
    if found is None:
        if not st.button(
            "Find out", icon=":material/experiment:", key=f"recommend-{labels}", help=words.RECOMMEND_HELP
        ):
            return
        found = data.ask(recommend.recommend, run, labels)
    if found.table.empty:
        _answer(run, found)
        return
    left, right = st.columns([5, 6], gap="large")
    with left:
        _answer(run, found)
    with right:
        chart = charts.gains(found.table, found.remedy)
        title = f"{len(found.table) - 1} remedies against raw, cross-validated"
        note = f"Gain in Recall@1 on {found.chosen_on}, with 95% intervals. Filled: the one that was scored."
        widgets.figure(title, chart, f"recommend-{labels}", found.table, note, help=words.word("gain").help)


def _answer(run: str, found: recommend.Recommendation) -> None:
    """The advice, what it rests on, and how to take it along."""
    score = found.score
    with st.container(border=True, key=f"recommendation-{found.labels}"):
        advice = f"{found.advice[0].upper()}{found.advice[1:]}"
        widgets.html(f'<p class="lens-title">{escape(advice)}</p>')
        if score is not None and found.remedy != "raw":
            ends = _ends(score.gain_low, score.gain_high)
            kind = "up" if score.clear else "down" if score.gain_high < 0 else "partly"
            widgets.html(
                f'<div class="lens-effect"><span class="lens-big">{percent(score.raw)} →'
                f" {percent(score.recall)}</span> {widgets.badge(points(score.gain), kind)}<span>Recall@1 on"
                f" {escape(found.scored_on)}, {ends}, p {edits.p_value(score.p)}. {escape(found.remedy)} was not chosen"
                " on them.</span></div>"
            )
        widgets.html(f'<p class="lens-note">{escape(found.why[0].upper() + found.why[1:])}.</p>')
        widgets.facts(_facts(found))
        for note in [*_scale(found), *found.notes]:
            widgets.html(f'<p class="lens-note">{escape(note)}.</p>')
        usable, tip = found.use and found.in_run, f"`{found.variant}` on all pages"
        if usable and st.button("Use as variant", icon=":material/check:", key="use-recommended", help=tip):
            edits.use_variant(found.variant)
    name = words.shell(data.facts(run).name)
    without = " --labels none" if found.labels == "none" else ""
    st.caption("Take it home: arrays, and the lines of numpy that apply them to one new query.")
    st.code(f"retrieval-lens recommend {name}{without} --out remedy.npz", language="bash", wrap_lines=True)


def _facts(found: recommend.Recommendation) -> dict[str, str]:
    """What it costs, what it does to new items, and when to fit again."""
    facts = {"per query": f"{found.cost.microseconds:,.0f} µs", "numbers to keep": count(found.cost.numbers)}
    if (new := found.new_candidates) is not None:
        name = f"{count(new.of - new.seen)} of {count(new.of)} candidates new to the fit"
        facts[name] = f"{points(new.change)} ({_ends(new.low, new.high)})"
    if found.drift is not None:
        facts["fit again at drift"] = f"{found.drift.limit:.2f} (1: chance)"
    return facts


def _scale(found: recommend.Recommendation) -> list[str]:
    """What a drift of known size does."""
    drift = found.drift
    if drift is None or drift.halves is None or drift.change is None or drift.low is None or drift.high is None:
        return []
    return [
        "Drift: squared shift of the mean of new queries, in units of its standard error. For scale:"
        f" {drift.halves:,.0f} between the halves of the queries on either side of their first axis; on one of them the"
        f" statistics of the other change Recall@1 by {points(drift.change)} ({_ends(drift.low, drift.high)})"
    ]


def _ends(low: float, high: float) -> str:
    return f"95% interval {100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−")
