"""Map: all items in two dimensions, before and after."""

from typing import Any

import streamlit as st

from core.questions import labels
from core.questions import map as item_map
from core.records import Part
from dashboard import data, state, words
from dashboard.charts import item_map as charts_item_map
from dashboard.parts import widgets
from dashboard.words import count

COLOURS = {"modality": "Modality", "group": "Main group", "background": "Background"}


def waiting(run: str, variant: str, index: int) -> bool:
    """Whether to compute now; a map that is not cached takes a while and is made on demand."""
    if data.fresh(item_map.is_cached, run, variant) or state.get(f"make-map-{index}") == variant:
        return False
    items = data.facts(run).queries + data.facts(run).candidates
    with st.container(border=True):
        st.markdown(f"**No map of “{words.plain(words.variant_name(variant))}” yet**")
        seconds = max(5, round(min(items, 5000) / 120))
        st.markdown(
            f"UMAP of {count(min(items, 5000))} items takes about {seconds} seconds on a laptop; the map is cached."
        )
        make = {f"make-map-{index}": variant}
        st.button(
            "Make this map", key=f"make-{index}", type="primary", icon=":material/map:", on_click=state.put, kwargs=make
        )
    return True


def one_map(run: str, variant: str, colour: str, index: int, marked: set[tuple[Part, int]]) -> None:
    """The map of one variant."""
    if waiting(run, variant, index):
        return
    points = data.ask(item_map.points, run, variant)
    n, total = points.attrs["shown"], points.attrs["of"]
    sample = f"{count(n)} items" if n == total else f"{count(n)} of {count(total)} items, sampled evenly"
    chart = charts_item_map.item_map(points, colour)
    ringed = [(point.part, point.row) in marked for point in data.rows(data.MapPoint, points)]
    charts_item_map.mark(chart, points[ringed])
    note = f"{sample}. Neighbours mean something; distances between far clusters do not."
    title = f"{words.variant_name(variant)}"
    select: dict[str, Any] = {"on_select": state.clicked("point", f"map-{index}"), "selection_mode": "points"}
    widgets.figure(title, chart, f"map-{index}", points, note, **select)


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


def chosen(run: str) -> tuple[Part, int] | None:
    """The clicked item, where the link names one that exists."""
    point = str(state.get("point", ""))
    place = data.item_place(run, point)
    if place:
        state.keep("point")
    elif point:
        state.notice(f"There is no item “{point}” here.")
    return place


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    after = selection.variant if selection.variant != "none" else "realign"
    widgets.heading("map", "Do images and texts share one space, and does whitening bring matching items together?")
    facts = data.facts(run)
    known = data.ask(labels.has_truth, run)
    options = list(COLOURS) if known else ["modality"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colour = state.pick(st.segmented_control, "colour", "Colour by", options, format_func=COLOURS.get)
        if not known:
            st.caption("This corpus has no ground truth to colour by.")
    point = chosen(run)
    partners = data.partners(run, *point) if point else []
    left, right = st.columns(2, gap="medium")
    for column, variant, index in ((left, "none", 0), (right, after, 1)):
        with column, widgets.guard():
            one_map(run, variant, colour, index, {point, *partners} if point else set())
    if point:
        item(run, *point, partners)
    else:
        st.caption("Click a point to see the item and what matches it, on both maps.")
    widgets.reproduce(python=widgets.python("map", facts.name, f"map.points(run, {after!r})"))


page()
