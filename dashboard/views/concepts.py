"""Concepts: what each fires on, images and captions together, and what happens without it."""

from math import isnan

import streamlit as st

from core.questions import concepts
from dashboard import data, state, words
from dashboard.charts import concepts as charts_concepts
from dashboard.parts import changed_model, edits, fidelity, listings, widgets
from dashboard.words import count

SORTS = ("energy", "modality_score", "bridge", "attribution", "frequency")
COLUMNS = (
    "concept",
    "label",
    "energy",
    "modality_score",
    "bridge",
    "attribution",
    "frequency",
    "energy_image",
    "energy_text",
)
CARDS = 12


def chooser(run: str, facts: data.RunFacts) -> int:
    """The table of all concepts; returns the chosen one."""
    table = data.ask(concepts.table, run)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        search = state.text(
            "find", "Search", placeholder="fox, snow, 812 …", help=words.LABEL_HELP, icon=":material/search:"
        )
        sort = state.pick(
            st.selectbox,
            "sort",
            "Order by",
            SORTS,
            format_func=lambda s: words.word(s).label,
            help=words.SORT_HELP,
            width=200,
        )
        dead = state.toggle("dead", "Show dead concepts", help=words.word("alive").help)
    matches = listings.filtered(table, search, sort, dead)
    listed = data.rows(data.Concept, matches.head(listings.LISTED))
    default = listed[0] if listed else max(data.rows(data.Concept, table), key=lambda one: one.energy)
    chosen = state.within("concept", "concept", 0, len(table) - 1, default.concept)
    if matches.empty:
        widgets.empty("No such concept", f"No label or number fits “{search}”.", icon=":material/search_off:")
        return chosen
    n = {name: f"{count(facts.queries + facts.candidates)} items" for name in COLUMNS}
    columns = listings.concept_columns(COLUMNS[2:], n)
    key = f"{run}-{search}-{sort}-{dead}"
    state.table(
        "concept",
        matches.head(listings.LISTED)[list(COLUMNS)],
        [one.concept for one in listed],
        chosen,
        key,
        height=300,
        column_config=columns,
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        cut = f"; the first {count(len(listed))} are listed" if len(listed) < len(matches) else ""
        st.caption(f"{count(len(matches))} of {count(len(table))} concepts{cut}. Choose a row; click a header to sort.")
        st.download_button(
            "CSV", widgets.csv(table), "retrieval-lens-concepts.csv", "text/csv",
            icon=":material/download:", type="tertiary", on_click="ignore", help="All concepts as a table",
        )  # fmt: skip
    return chosen


def headline(card: concepts.ConceptCard, variant: str, run: str) -> None:
    """Name, buttons, and what the variant does."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(
            words.plain(listings.concept_name(card.concept, card.label)),
            anchor=False,
            width="content",
            help=words.LABEL_HELP,
        )
        widgets.html(listings.modality_badge(card.figures["modality_score"]))
    edits.edit_buttons(card.concept, variant, concept=card.concept)
    if changed_model.ready(run, variant, "What this variant does"):
        edits.effect(run, variant)


def figures(card: concepts.ConceptCard) -> None:
    """Its measures, each with its rank among all concepts."""
    n = f"{count(card.n_items)} items"
    names = ("energy", "modality_score", "bridge", "attribution")
    cards = [(name, card.figures[name], n) for name in names]
    widgets.metrics(
        [*cards, ("frequency", card.figures["frequency"], f"{n}, of which it fires on {count(card.n_firing)}")],
        minimum=140,
    )
    ranks = {words.word(name).label: card.figures[f"{name.removesuffix('_score')}_rank"] for name in names}
    ranked = ", ".join(f"{label.lower()} {count(rank)}" for label, rank in ranks.items() if not isnan(rank))
    st.caption(f"Rank among all concepts: {ranked}.")


@widgets.fragment
def gallery(run: str, card: concepts.ConceptCard) -> None:
    """Images and captions that fire most, side by side; on demand, where in them."""
    heat = state.toggle(
        "heat",
        "Show where it fires",
        help=words.word("patch").help + " Loads the model; the six strongest items of each kind.",
    )
    if heat:
        st.caption("Colour: from 0 to the strongest patch or token of each item. Hover a word for its value.")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Images that fire most**", help=words.explain("activation"))
        widgets.gallery(listings.firing(run, card.concept, card.images.head(CARDS), heat))
        if card.images.empty:
            st.caption("It fires on no image of this run.")
    with right:
        st.markdown("**Captions that fire most**", help=words.explain("activation"))
        widgets.gallery(listings.firing(run, card.concept, card.texts.head(CARDS), heat), rows=True)
        if card.texts.empty:
            st.caption("It fires on no text of this run.")


@widgets.fragment
def inside(run: str, card: concepts.ConceptCard) -> None:
    """How strongly, what it stands for, what it says, what fires with it."""
    strong, truth, output = state.tabs(
        "detail", ["How strongly it fires", "Ground truth", "What it makes the model say"]
    )
    with strong:
        if strong.open:
            title = f"It fires on {count(card.n_firing)} of {count(card.n_items)} items"
            widgets.figure(
                title,
                charts_concepts.activations(card.histogram),
                "activations",
                card.histogram,
                help=words.explain("activation"),
            )
    with truth:
        if truth.open:
            listings.truth_table(card.truth)
    with output:
        if output.open:
            st.caption(
                "Tokens whose row of the output head points the way of this concept.", help=words.word("logit").help
            )
            listings.top_tokens(run, card.concept)


def co_firing(card: concepts.ConceptCard) -> None:
    """Concepts that fire on the same items; buttons, because a link to the page one is on does not reach the address
    bar."""
    st.markdown("**Fires together with**", help=words.word("jaccard").help)
    for row in data.rows(data.Fellow, card.co_firing.head(8)):
        name = words.plain(listings.concept_name(row.concept, row.label))
        label = f"{name} — {words.percent(row.jaccard, 0)}, {count(row.together)} items"
        if st.button(label, key=f"fellow-{row.concept}", icon=":material/bubble_chart:", type="tertiary"):
            state.put(concept=row.concept)
            st.rerun()
    if card.co_firing.empty:
        st.caption("No other concept fires on these items.")


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    widgets.heading("concepts")
    if listings.nothing_to_find(run):
        return
    facts = data.facts(run)
    fidelity.line(run)
    card = data.ask(concepts.concept, run, chooser(run, facts))
    headline(card, selection.variant, run)
    if card.n_firing:
        figures(card)
        gallery(run, card)
    else:
        widgets.empty(
            "It never fires here",
            "No query or candidate of this run activates this concept; it is dead on this corpus.",
        )
    if card.n_firing:
        with widgets.guard():
            changed_model.beside(run, card.concept, selection.variant)
    left, right = st.columns([3, 2], gap="large")
    with left:
        inside(run, card)
    with right:
        co_firing(card)
    widgets.reproduce(
        f"retrieval-lens concepts {words.shell(facts.name)} --sort energy --top 20",
        widgets.python("concepts", facts.name, f"concepts.table(run).iloc[{card.concept}]"),
    )


page()
