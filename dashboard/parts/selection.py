"""The selection, which all pages share: how many items, what they have in common, and the way to each."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import UserError
from core.questions import selected, selection
from dashboard import data, state, words
from dashboard.data import Overfiring, Slow
from dashboard.parts import listings, widgets
from dashboard.parts.edits import p_value
from dashboard.words import count, on_map, percent

CARDS = 12
CLEAR: dict[str, Any] = {"selected": None}


def current(run: str) -> str | None:
    """The selection of the link, where it is one of this run; else it is left out, and the page says why."""
    text = str(state.get("selected", ""))
    if not text:
        return None
    try:
        data.ask(selection.places, run, text)
    except UserError as error:
        state.notice(f"{error.what[:1].upper()}{error.what[1:]}{f': {error.todo}' if error.todo else ''}.")
        state.put(**CLEAR)
        return None
    return text


def in_menu(run: str) -> None:
    """The selection in a line of the side bar, with the way to it and out of it."""
    text = current(run)
    if text is None:
        return
    held = data.ask(selected.counts, run, text)
    with st.container(border=True, gap="xsmall", key="lens-selection"):
        st.markdown(f"**{count(held.queries + held.candidates)} items selected**")
        state.link("map", "Show them on the map", icon=":material/lasso_select:")
        st.button(
            "Clear the selection", key="clear-selection", icon=":material/close:", type="tertiary", on_click=state.put,
            kwargs=CLEAR,
        )  # fmt: skip


def panel(run: str, text: str, variant: str) -> None:
    """What the selected items are and have in common."""
    held = data.ask(selected.counts, run, text)
    widgets.section(
        f"{count(held.queries + held.candidates)} items selected",
        f"{count(held.queries)} queries and {count(held.candidates)} candidates of {count(held.of)} items. The link"
        " holds the selection; other pages show it in the menu.",
    )
    st.button(
        "Add what matches these", key="add-matches", icon=":material/join:", on_click=_take_matches, args=(run, text),
        help="The candidates that its queries should find, and the queries that should find its candidates.",
    )  # fmt: skip
    left, right = st.columns(2, gap="large")
    with left, widgets.guard():
        recall(run, text, variant)
    with right, widgets.guard():
        concepts(run, text)
    everything(run, text)


def _take_matches(run: str, text: str) -> None:
    """What matches the selected items is selected too."""
    state.put(selected=data.fresh(selected.with_matches, run, text))


def recall(run: str, text: str, variant: str) -> None:
    """How well its queries are answered, and which are not."""
    st.markdown(f"**Recall under {words.plain(words.variant_name(variant))}**", help=words.explain("recall@1"))
    if listings.nothing_to_find(run):
        return
    rows = data.ask(selected.recall, run, text, variant)
    if not rows:
        st.caption("No query is selected.")
        return
    number = st.column_config.TextColumn
    st.dataframe(
        [
            {
                "at": f"@{one.k}",
                "selected": f"{percent(one.recall)} ({words.interval(one.low, one.high)})"
                if one.low == one.low
                else percent(one.recall),
                "elsewhere": percent(one.elsewhere) if one.elsewhere == one.elsewhere else "—",
                "chance": percent(one.chance),
            }
            for one in rows
        ],
        column_config={
            "at": number("Recall", width=64),
            "selected": number("Of the selection", help="95% interval, bootstrap over these queries."),
            "elsewhere": number("All others", width="small"),
            "chance": number("Chance", help=words.word("chance").help, width="small"),
        },
        hide_index=True,
    )
    failing = data.ask(selected.failing, run, text, variant)
    n = rows[0].queries
    st.caption(
        f"n = {count(n)} queries, of which {count(failing.attrs['total'])} have a wrong candidate first. The interval"
        " says how sure the number is of these queries, not of others chosen like them."
    )
    if failing.empty:
        return
    slow = data.rows(Slow, failing)
    shown, settings = listings.listing(run, "queries", failing, rank=failing["rank"].tolist())
    settings["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), width=72)
    query = state.get("query")
    known = [one.row for one in slow]
    at = int(query) if str(query).isdigit() and int(query) in known else None
    state.table("query", shown, known, at, f"{run}-{text}-{variant}", height=260, column_config=settings)
    if at is None:
        st.caption("Choose a failing query to see its rankings.")
    else:
        state.keep("query")
        state.link("retrieval", f"Rankings of query {at}", icon=":material/manage_search:", query=at)


def concepts(run: str, chosen_items: str) -> None:
    """Concepts that fire on it more than elsewhere."""
    st.markdown("**Concepts that fire here more than elsewhere**", help=on_map.SELECTED_CONCEPTS_HELP)
    table = data.ask(selected.concepts, run, chosen_items)
    clear = table[table["p_corrected"] < 0.05]
    if clear.empty:
        st.caption(
            f"None that chance does not explain: {count(table.attrs['tested'])} concepts tested on"
            f" {count(table.attrs['selected'])} items."
        )
        return
    found, n = data.rows(Overfiring, clear), count(table.attrs["selected"])
    lines = [
        {
            "concept": listings.concept_name(one.concept, one.label),
            "p": p_value(one.p_corrected).removeprefix("= "),
            "times": one.times,
            "share": one.share,
            "expected": percent(one.expected),
            "fires": f"{count(one.fires)} of {n}",
        }
        for one in found
    ]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    state.table(
        "concept",
        lines,
        [one.concept for one in found],
        None,
        f"{run}-{chosen_items}",
        height=min(460, 38 + 35 * len(lines)),
        column_config={
            "concept": text("Concept", help=words.LABEL_HELP, width=135),
            "p": text("p, corrected", width=80),
            "times": number("Times", format="%.1f×", width=60, help="Share over what is expected."),
            "share": st.column_config.ProgressColumn(
                "Fires on", min_value=0, max_value=1, format="percent", color="gray", width=110
            ),
            "expected": text("Expected", width=80),
            "fires": text("Items", width=90),
        },
    )
    st.caption(f"{count(table.attrs['tested'])} concepts tested, compared within each modality.")
    chosen = state.get("concept")
    if str(chosen).isdigit():
        state.keep("concept")
        state.link("concepts", f"Concept {chosen}", icon=":material/bubble_chart:", concept=int(chosen))


def everything(run: str, text: str) -> None:
    """Thumbnails, and the whole list as a table: also for who does not see the map."""
    frame = data.ask(selected.items, run, text)
    held = data.ask(selected.counts, run, text)
    total = held.queries + held.candidates
    st.markdown("**What is selected**")
    firsts = data.rows(data.MapPoint, frame)
    step = max(1, len(firsts) // CARDS)
    cards = [
        widgets.card(data.item(run, one.part, one.row), [widgets.badge(words.PARTS[one.part])])
        for one in firsts[::step][:CARDS]
    ]
    widgets.gallery(cards)
    with st.expander(f"As a table: {count(len(frame))} of {count(total)}", icon=":material/table_rows:"):
        st.dataframe(frame[["part", "id", "modality", "text"]], hide_index=True, height=300)
        st.download_button(
            "CSV", frame.to_csv(index=False), "retrieval-lens-selection.csv", "text/csv",
            icon=":material/download:", type="tertiary", on_click="ignore", help="These items as a table",
        )  # fmt: skip
