"""What happens if a concept goes, and the smallest edit that repairs a query or a group; applied by one click."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.questions import edit_controls, failure_groups, what_if
from core.questions.comparisons import PairedGain
from dashboard import data, state, words
from dashboard.parts import edits, listings, widgets
from dashboard.words import count, points


def one_query(run: str, variant: str, rows: Sequence[int]) -> None:
    """One failing query: every active concept switched off, and the smallest repair."""
    chosen = state.current().query
    query = chosen if chosen is not None and chosen in rows else rows[0]
    if len(rows) > 1:
        state.table(
            "query",
            *_choices(run, rows),
            query,
            f"repair-{run}-{variant}-{len(rows)}-{rows[0]}",
            height=150,
            row_height=40,
            column_config={"query": st.column_config.NumberColumn("Query", width=70), "item": "Item"},
        )
    state.put(query=query)
    state.keep("query")
    item, table = st.columns([1.7, 5], gap="medium")
    with item:
        listings.wanted(run, query, variant, variant)
        listings.why(run, query, variant)
    with table:
        what_happens(run, query, variant)
    with widgets.guard():
        smallest(run, query, variant)


def _choices(run: str, rows: Sequence[int]) -> tuple[pd.DataFrame, list[int]]:
    some = list(rows)[:100]
    names = [listings.item_name(run, item) for item in data.items(run, "queries", some)]
    return pd.DataFrame({"query": some, "item": names}), some


def what_happens(run: str, query: int, variant: str) -> None:
    """Each active concept switched off by itself."""
    full = data.ask_later(what_if.what_if_with_controls, run, query, variant)
    frame = data.ask(what_if.what_if, run, query, variant) if full is None else full
    flips, attrs = int(frame["flips"].sum()), frame.attrs
    st.markdown(f"**{flips} of {len(frame)} active concepts repair this query by themselves**", help=words.WHAT_IF_HELP)
    number = st.column_config.NumberColumn
    shown = frame[["concept", "label", "active_on", "rank", "flips_q", "fixed", "broken"]].assign(
        change=100 * frame["change"], p=frame["p"]
    )
    columns = {
        "concept": number("Concept", format="%d", width=70),
        "label": st.column_config.TextColumn("Label", help=words.LABEL_HELP),
        "active_on": st.column_config.TextColumn("Active on"),
        "rank": number("Rank", help=words.explain("rank"), format="%d", width=58),
        "flips_q": number("q", help=words.WHAT_IF_HELP, format="%.2f", width=58),
        "fixed": number("Fixed", help=words.KIND_HELP, format="%d", width=62),
        "broken": number("Broken", help=words.KIND_HELP, format="%d", width=68),
        "change": number("Recall@1", help="Change over all queries, in points.", format="%+.1f", width=78),
        "p": number("p", help=words.WHAT_IF_HELP, format="%.3f", width=62),
    }
    st.dataframe(shown, hide_index=True, height=286, column_config=columns)
    st.caption(f"Rank {count(attrs['rank'])} before. {words.STATISTICS_OF_EDITS[attrs['statistics']]}")
    if full is None:
        _comparing(run, query, variant)


@st.fragment(run_every=edits.POLL)
def _comparing(run: str, query: int, variant: str) -> None:
    """Draw the page again once matched concepts have been measured."""
    if data.ask_later(what_if.what_if_with_controls, run, query, variant) is not None:
        st.rerun()
    st.caption(":material/hourglass_top: Measuring matched concepts; q follows.", help=words.WHAT_IF_HELP)


def smallest(run: str, query: int, variant: str) -> None:
    """The smallest repair and that of greed, with what they cost elsewhere."""
    found = data.ask(what_if.repairs, run, query, variant)
    if found is None:
        st.caption("This query does not fail.")
        return
    tried = f"{count(found.tried)} sets of up to {found.largest} of {found.active} active concepts"
    if found.smallest is None:
        held = (
            f"{count(found.equally_small)} repair before the fit, none once fitted anew"
            if found.equally_small
            else "none repairs"
        )
        st.markdown(f"**No small repair**: {tried} tried, {held}.", help=words.SMALLEST_HELP)
    shown = {"Smallest repair": found.smallest, "Found by greed": found.greedy}
    if found.smallest and found.greedy and set(found.smallest.concepts) == set(found.greedy.concepts):
        del shown["Found by greed"]
    for title, repair in shown.items():
        if repair is not None:
            what = {
                "query": str(data.item(run, "queries", query).id),
            }
            note = f"{tried} tried; {count(found.equally_small)} of this size repair" if title[0] == "S" else ""
            card(
                run,
                variant,
                title,
                repair,
                f"rank {repair.rank_before} → {repair.rank}",
                note,
                what | repair.to_json(),
            )


def group(run: str, variant: str, name: str, rows: Sequence[int]) -> None:
    """Edits for a group of failing queries, one concept more each time."""
    found = data.ask(failure_groups.repair_group, run, tuple(rows), variant)
    st.markdown(f"**Repair {count(len(rows))} failing queries: {words.plain(name)}**", help=words.GROUP_REPAIR_HELP)
    if not found:
        st.caption("No concept that is switched off repairs more of the group than it breaks elsewhere.")
        return
    for repair in found:
        size = len(repair.concepts)
        title = f"{size} concept{'s' if size > 1 else ''}"
        result = f"{count(repair.repaired)} of {count(repair.group)} repaired"
        finding = data.fresh(failure_groups.payload, run, variant, repair) | {"group_name": name, "rows": list(rows)}
        card(run, variant, title, repair, result, "", finding)


def card(
    run: str,
    variant: str,
    title: str,
    repair: what_if.Repair | failure_groups.GroupRepair,
    result: str,
    note: str,
    finding: Mapping[str, Any],
) -> None:
    """One repair: what it switches off, what it does here and elsewhere, its control; apply it, or take it along."""
    key = "-".join(map(str, repair.concepts))
    with st.container(border=True, key=f"repair-{title.split(maxsplit=1)[0]}-{key}"):
        names = " + ".join(
            listings.concept_name(k, label) for k, label in zip(repair.concepts, repair.labels, strict=True)
        )
        widgets.html(
            f'<div class="lens-effect"><span class="lens-big">{escape(result)}</span><span><b>{escape(title)}</b>:'
            f" without {escape(names)}. {escape(elsewhere(repair.fixed, repair.broken, repair.gain))}</span></div>"
        )
        if note:
            widgets.html(f'<p class="lens-note">{escape(note)}.</p>')
        ready = edits.control(run, variant, repair.variant)
        with st.container(horizontal=True, gap="small"):
            if st.button(
                "Apply this edit", key=f"apply-{title}-{key}", icon=":material/check:", type="primary",
                help=f"`{repair.variant}` on all pages",
            ):  # fmt: skip
                edits.use_variant(repair.variant, before=variant, repair=None)
            if not ready:
                # A file that changes while the page is open breaks its own download.
                st.button("Export the finding", key=f"later-{title}-{key}", disabled=True, help=words.CONTROLS_COMING)
                return
            st.download_button(
                "Export the finding", _finding(run, variant, repair.variant, finding), f"finding-{key}.json",
                "application/json", key=f"finding-{title}-{key}", icon=":material/download:", on_click="ignore",
                help="What fails, the edit, its cost and its control as JSON, with the command that repeats it",
            )  # fmt: skip


def elsewhere(fixed: int, broken: int, gain: PairedGain) -> str:
    """What an edit does to all queries."""
    ends = f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    clear = "" if gain.low > 0 or gain.high < 0 else ", not clear either way"
    return (
        f"Over all queries {count(fixed)} fixed, {count(broken)} broken; Recall@1 {points(gain.difference)}"
        f" ({ends}{clear}), p {edits.p_value(gain.p_value)}."
    )


def _finding(run: str, before: str, after: str, finding: Mapping[str, Any]) -> str:
    """The finding as JSON, with its control where that is ranked."""
    name = data.facts(run).name
    control = data.ask_later(edit_controls.edit_control, run, before, after, "recall@1")
    more: dict[str, Any] = {
        "run": name,
        "before": before,
        "command": f"retrieval-lens evaluate {name} --variant '{after}'",
    }
    if control is not None and not control.why:
        more["control"] = {
            "matched_edits": len(control.draws), "ends_higher_than": control.higher_than,
            "ends_lower_than": control.lower_than, "p": control.p_value,
            "changes": control.draws.tolist(),
        }  # fmt: skip
    return json.dumps(more | dict(finding), indent=2)
