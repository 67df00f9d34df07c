"""Check: are vectors from elsewhere the run's own, and if not, which setting explains it, and what does it cost?"""

from html import escape

import pandas as pd
import streamlit as st

from core.questions import check
from dashboard import data, state, words
from dashboard.parts import widgets
from dashboard.words import count, percent, points

SETTING = st.column_config.TextColumn("Setting", width=190)


def choose(kept: list[tuple[str, check.Checked]]) -> check.Checked:
    """One of the checks that are kept, the newest where none was chosen."""
    named = {f"{asked[:19].replace('T', ' ')} · {words.plain(one.where)}": one for asked, one in kept}
    name = state.pick(st.selectbox, "check", "Check (UTC)", list(named), help=words.CHECKS_HELP)
    return named[name]


def verdict(one: check.Checked) -> None:
    """The answer in one sentence, what explains it, and what the vectors themselves show."""
    kind = "agrees" if one.equal else "partly" if one.explained_by else "differs"
    label = "equal" if one.equal else "explained" if one.explained_by else "none of these"
    widgets.html(f'<p class="lens-story">{widgets.badge(label, kind)} {escape(one.verdict)}</p>')
    for change in one.explained_by:
        was, to = (escape(change[end]) for end in ("from", "to"))
        widgets.html(f"<p><b>{escape(change['setting'])}</b>: the run has {was}; these vectors have <b>{to}</b>.</p>")
    for finding in one.findings:
        st.warning(words.plain(finding), icon=":material/content_copy:")
    widgets.facts(
        {
            "largest difference": f"{one.max_difference:.2g}",
            "mean": f"{one.mean_difference:.2g}",
            "equal up to": f"{one.tolerance:.2g}",
            "vectors compared": count(one.n),
        }
    )
    st.caption(words.plain(f"Equal up to: {one.tolerance_why}."), help=words.DIFFERENCE_HELP)


def cost(one: check.Checked) -> None:
    """Recall of both on the same rows."""
    widgets.section("What it costs")
    if one.recall_reference is None or one.recall_given is None:
        st.caption(words.plain(f"No recall: {one.recall_on}."))
        return
    left, right = st.columns(2)
    label = words.word(one.recall_metric).label
    left.metric(f"{label}, the run's vectors", percent(one.recall_reference), border=True)
    # Streamlit colours a change by its first character, which must be a plain minus.
    change = points(one.recall_given - one.recall_reference).replace("−", "-")
    right.metric(f"{label}, these vectors", percent(one.recall_given), change, border=True)
    st.caption(words.plain(f"On {one.recall_on}."), help=words.explain(one.recall_metric))


def tried(one: check.Checked) -> None:
    """What each setting leaves by itself, nearest first."""
    if not one.tried:
        return
    widgets.section("What each setting leaves by itself", words.TRIED_NOTE)
    rows = [{"Setting": t.setting, "Leaves": t.difference, "Nearest value": t.to} for t in one.tried]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=38 + 35 * len(rows),
        column_config={
            "Setting": SETTING,
            "Leaves": st.column_config.NumberColumn("Leaves", format="%.3g", help=words.DIFFERENCE_HELP, width=90),
        },
    )
    for setting, why in one.untried:
        st.caption(words.plain(f"Not tried: {setting}, {why}."))


def concepts(one: check.Checked) -> None:
    """Concepts that fire otherwise on these vectors."""
    if not one.concepts_moved:
        return
    widgets.section("Which concepts moved", words.MOVED_NOTE)
    rows = [vars(moved) | {"change": moved.given - moved.reference} for moved in one.concepts_moved]
    labels = {"concept": "Concept", "reference": "The run", "given": "These vectors", "change": "Change"}
    number = {
        name: st.column_config.NumberColumn(label, format="%d" if name == "concept" else "%.3f")
        for name, label in labels.items()
    }
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=38 + 35 * len(rows),
        column_config=number | {"label": st.column_config.TextColumn("Label", help=words.LABEL_HELP)},
    )


def page() -> None:
    """The page."""
    run = state.current().run
    name = words.shell(data.facts(run).name)
    widgets.heading("check")
    kept = data.recent(check.kept_checks, run)
    if not kept:
        widgets.empty(
            "No check of this run yet",
            words.NO_CHECK,
            f"retrieval-lens check {name} --vectors DIR",
            icon=":material/fact_check:",
        )
        return
    one = choose(kept)
    verdict(one)
    cost(one)
    tried(one)
    concepts(one)
    for note in one.notes:
        st.caption(f":material/info: {words.plain(note)}")
    source = "--vectors" if one.kind == "vectors" else "--endpoint"
    widgets.reproduce(f"retrieval-lens check {name} {source} {words.shell(one.where)} --json")


page()
