"""Map: all items in two dimensions, before and after; how far modalities mix; and what is selected on it."""

from functools import partial
from html import escape

import streamlit as st

from core.questions import concepts, map_colours
from core.questions import map as item_map
from core.records import Part
from dashboard import data, state, words
from dashboard.parts import item_map as parts_item_map
from dashboard.parts import listings, selection, widgets
from dashboard.words import count, duration, on_map, percent

QUICK = 60.0
"""Seconds of work up to which the mixing of a run without a map is computed for whoever opens the page."""


def mixing(run: str, variants: list[str]) -> None:
    """The page's answer: do modalities mix, before and after."""
    found = [data.ask(item_map.modality_mixing, run, variant) for variant in variants]
    if not found[0].expected:
        widgets.html('<p class="lens-story">All items are of one modality: nothing to mix.</p>')
        return
    before, after = found
    name = escape(words.variant_name(variants[-1]))
    widgets.html(
        f'<p class="lens-story">Of an item’s {before.k} nearest neighbours, <b>{percent(before.share)}</b> are of'
        f" another modality in the raw embeddings and <b>{percent(after.share)}</b> after {name}. If modality did not"
        f" matter, it would be {percent(before.expected)}.</p>"
    )
    ends = "; ".join(
        f"{words.variant_name(variant)} {percent(one.share)} ({words.interval(one.low, one.high)})"
        if one.low == one.low
        else f"{words.variant_name(variant)} {percent(one.share)}"
        for variant, one in zip(variants, found, strict=True)
    )
    facts = data.facts(run)
    total = facts.queries + facts.candidates
    of = f"{count(before.items)}" if before.items == total else f"{count(before.items)} of {count(total)}"
    st.caption(f"{words.plain(ends)}. n = {of} items, exact neighbours among them.", help=on_map.MIXING_HELP)


def missing(run: str, variants: list[str]) -> None:
    """Offer the maps that are not there yet: each takes a while."""
    facts = data.facts(run)
    total = facts.queries + facts.candidates
    shown = min(total, item_map.MOST_POINTS)
    sample = f"{count(shown)} items" if shown == total else f"{count(shown)} of {count(total)} items"
    seconds = data.fresh(item_map.seconds, run)
    for variant in variants:
        name = words.plain(words.variant_name(variant))
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**No map of “{name}” yet.** UMAP of {sample} takes about {duration(seconds)} here; it is kept.",
                width="stretch",
            )
            st.button(
                "Make this map", key=f"make-{variant}", type="primary", icon=":material/map:",
                on_click=state.put, kwargs={"make-map": variant},
            )  # fmt: skip


def colouring(run: str) -> parts_item_map.Colouring:
    """What the points are coloured by."""
    options = data.ask(map_colours.choices, run)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        by = state.pick(
            st.selectbox,
            "colour",
            "Colour by",
            options,
            format_func=on_map.COLOURS.get,
            help=on_map.COLOUR_HELP,
            width=260,
        )
        if by != "concept":
            return parts_item_map.Colouring(by)
        table = data.ask(concepts.table, run)
        concept = state.number(
            "concept", "Concept", 0, len(table) - 1, int(table["bridge"].fillna(0).idxmax()), width=160
        )
        st.caption(words.plain(listings.concept_name(concept, str(table["label"].iloc[concept]))))
    return parts_item_map.Colouring(by, concept)


def item(run: str, part: Part, row: int, partners: list[tuple[Part, int]]) -> None:
    """The chosen item and what matches it."""
    widgets.section("Chosen item and what matches it", "Ringed on both maps.")
    cards = [widgets.card(data.item(run, part, row), [widgets.badge(words.PARTS[part])], hit=True)]
    cards += [widgets.card(data.item(run, p, r), [widgets.badge("relevant", "relevant")]) for p, r in partners[:11]]
    widgets.gallery(cards, cell="11rem")
    query, candidate = (
        (row, partners[0][1] if partners else 0) if part == "queries" else (partners[0][1] if partners else 0, row)
    )
    with st.container(horizontal=True):
        state.link("similarity", "Why are they similar?", icon=":material/balance:", query=query, candidate=candidate)
        state.link("retrieval", "Its rankings", icon=":material/manage_search:", query=query)
        state_clear = {"point": None}
        st.button("Choose none", key="no-point", type="tertiary", on_click=state.put, kwargs=state_clear)


def chosen(run: str) -> tuple[Part, int] | None:
    """The clicked item, where the link names one that exists."""
    point = str(state.get("point", ""))
    place = data.item_place(run, point)
    if place:
        state.keep("point")
    elif point:
        state.notice(f"There is no item “{point}” here.")
    return place


def as_csv(run: str, variant: str) -> str:
    """All points of a map as a table; made when it is asked for."""
    return data.ask(item_map.points, run, variant).to_csv(index=False)


def page() -> None:
    """The page."""
    chosen_here = state.current()
    run = chosen_here.run
    after = chosen_here.variant if chosen_here.variant != "none" else "realign"
    variants = ["none", after]
    widgets.heading("map", "Do images and texts share one space, and does whitening bring matching items together?")
    wanted = state.get("make-map")
    ready = [v for v in variants if v == wanted or data.fresh(item_map.is_cached, run, v)]
    with widgets.guard():
        if len(ready) == len(variants) or data.fresh(item_map.seconds, run) < QUICK:
            mixing(run, variants)
    missing(run, [v for v in variants if v not in ready])
    selected = selection.current(run)
    point = chosen(run)
    partners = data.partners(run, *point) if point else []
    if ready:
        with widgets.guard():
            parts_item_map.show(run, ready, colouring(run), [point, *partners] if point else [])
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Draw around points, or click one.", help=on_map.SELECT_HELP)
            for variant in ready:
                st.download_button(
                    f"CSV: {words.plain(words.variant_name(variant))}", partial(as_csv, run, variant),
                    f"retrieval-lens-map-{len(variant)}.csv", "text/csv", key=f"csv-{variant}",
                    icon=":material/download:", type="tertiary", on_click="ignore", help="All points of this map",
                )  # fmt: skip
    if point:
        item(run, *point, partners)
    if selected:
        selection.panel(run, selected, after)
    name = data.facts(run).name
    widgets.reproduce(python=widgets.python("map", name, f"map.modality_mixing(run, {after!r})"))


page()
