"""Similarity: why the wrong candidate outranked the right one, concept by concept, and what removal of the loudest concepts does."""

from dataclasses import dataclass
from typing import Any

import streamlit as st

from dashboard import charts, charts_deep, data, state, widgets, words
from dashboard import widgets_deep as deep
from dashboard.words import count, percent

VIEWS = {"margin": "Right against wrong", "right": "Query and right", "wrong": "Query and wrong"}
THEN = {"none": "nothing", "center": "centring", "realign": "ReAlign"}


@dataclass(frozen=True)
class Trio:
    """A query, the candidate that should win and its rival; rows. None where the pool holds no such candidate."""

    query: int
    right: int
    wrong: int


def trio(run: str, facts: Any) -> Trio:
    """The chosen three; by default the first query that fails raw, its right candidate and the one that stands first."""
    failing = data.ask("retrieval.query_list", run, "none", "none", "failing", "", 1)
    query = state.within("query", "query", 0, facts.queries - 1, int(failing["row"].iloc[0]) if len(failing) else 0)
    pair = deep.duel(run, query, "none")
    right = state.within("candidate", "candidate", 0, facts.candidates - 1, pair["candidate"])
    return Trio(query, right, state.within("rival", "candidate", 0, facts.candidates - 1, pair["rival"]))


def items(run: str, chosen: Trio, variant: str) -> None:
    """The three items with rank and similarity, and a way to choose others."""
    columns = st.columns(3, gap="medium")
    with columns[0]:
        st.markdown("**Query**")
        widgets.show_item(data.item(run, "queries", chosen.query))
        deep.query_picker(run, chosen.query, variant)
    for column, name, row, title in ((columns[1], "candidate", chosen.right, "Right"), (columns[2], "rival", chosen.wrong, "Wrong")):
        place = data.ask("retrieval.place", run, chosen.query, row, variant)
        with column:
            st.markdown(
                f"**{'Candidate' if place.relevant != (name == 'candidate') else title + ' candidate'}**", help=words.explain("rank")
            )
            badges = [widgets.badge(f"#{count(place.rank)}", "up" if place.rank == 1 else ""), deep.similarity(place.similarity)]
            badges += [widgets.badge("relevant", "relevant")] if place.relevant else []
            widgets.show_item(data.item(run, "candidates", row), badges)
            deep.candidate_picker(run, chosen.query, row, variant, name)


def explain(run: str, chosen: Trio, variant: str) -> None:
    """The waterfall that adds up to the score, and the concepts in it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        view = state.pick(st.segmented_control, "view", "Explain", list(VIEWS), format_func=VIEWS.get, help=words.word("margin").help)
        space = "variant" if variant != "none" else "raw"
        if variant != "none":
            space = state.pick(
                st.segmented_control, "space", "Under", ["variant", "raw"],
                format_func={"variant": words.variant_name(variant), "raw": words.variant_name("none")}.get, help=words.VARIANT_HELP,
            )  # fmt: skip
    shown = variant if space == "variant" else "none"
    if view == "margin":
        found = data.ask("similarity.margin", run, chosen.query, chosen.right, chosen.wrong, shown, 12)
    else:
        found = data.ask("similarity.pair", run, chosen.query, chosen.right if view == "right" else chosen.wrong, shown, 12)
    total = "margin" if view == "margin" else "similarity"
    st.markdown(f"#### {deep.told(found, view)}")
    left, right = st.columns([6, 5], gap="large")
    with left:
        labels, values, table = deep.parts_of(found)
        title = f"{len(found.table)} concepts, {count(found.rest_count)} others, offset and SAE errors: together {found.similarity:+.4f}"
        chart = charts_deep.parts(labels, values, total, 4 if abs(found.similarity) < 0.1 else 3)
        widgets.figure(title, chart, f"parts-{view}", table, help=words.explain("contribution"))
        deep.reconciled(found, total)
    with right:
        concept = deep.contribution_table(run, found, f"{run}-{chosen}-{view}-{shown}")
        st.markdown(f"**{deep.concept_of(found, concept)}**", help=words.LABEL_HELP)
        pins = {"query": chosen.query, "candidate": chosen.right, "rival": chosen.wrong, "concept": concept}
        deep.edit_buttons(concept, variant, **pins)
        deep.concept_strip(run, concept, 4)
        state.link("concepts", "Open this concept", icon=":material/bubble_chart:", concept=concept)
    deep.effect(run, variant, query=chosen.query)


@widgets.fragment
def population(run: str) -> None:
    """Which concepts carry the similarity of all matching pairs."""
    widgets.section(
        "Which concepts carry similarity overall?",
        "Attribution over all matching pairs of the test split (Eq 6). Click a bar's concept below to open it.",
    )
    table = data.ask("concepts.top", run, "attribution", 15)
    share = table["attribution"].sum() / data.ask("concepts.table", run)["attribution"].sum()
    title = f"The first {len(table)} concepts hold {percent(share)} of all attribution"
    widgets.figure(title, charts_deep.attribution(table), "attribution", table, help=words.explain("attribution"))
    with st.container(horizontal=True, gap="small"):
        for row in table.head(6).itertuples():
            state.link("concepts", deep.concept_name(row.concept, row.label), concept=int(row.concept))


@widgets.fragment
def removal(run: str) -> None:
    """Recall without the loudest concepts, beside as many random ones."""
    widgets.section(
        "What if the loudest concepts were gone?",
        "Their span is projected out of every embedding (Eqs 8–10); the control removes as many random concepts.",
    )
    then = state.pick(st.segmented_control, "then", "Afterwards", list(THEN), format_func=THEN.get, help=words.THEN_HELP)
    table = data.ask("similarity.removal_curve", run, then)
    shares = sorted(table["share"].unique().tolist())
    share = state.pick(
        st.select_slider,
        "share",
        "Share of concepts removed",
        shares,
        0.01,
        format_func=lambda s: f"{100 * s:g}%",
        help=words.explain("share"),
    )
    deep.removal_figures(table, share)
    title = "Recall@1 without the top concepts by attribution"
    note = deep.removal_note(table, share)
    widgets.figure(
        title,
        charts.removal_curve(table, chosen=share),
        f"removal-{then}",
        table,
        note,
        help=words.explain("recall@1", table.attrs["queries"], "queries"),
    )
    expression = "+".join(s for s in (f"remove-top(share={share:g})" if share else "", then) if s not in ("", "none")) or "none"
    if st.button("Use as variant", icon=":material/check:", key="use-removal", help=f"`{expression}` on all pages"):
        deep.use_variant(data.canonical(expression))


def page() -> None:
    """The page."""
    selection = state.current()
    run, facts = selection.run, data.facts(selection.run)
    widgets.heading("similarity")
    chosen = trio(run, facts)
    items(run, chosen, selection.variant)
    with widgets.guard():
        explain(run, chosen, selection.variant)
        left, right = st.columns(2, gap="large")
        with left:
            population(run)
        with right:
            removal(run)
        deep.fidelity_line(run)
    lines = f'print(similarity.margin(run, {chosen.query}, {chosen.right}, {chosen.wrong}, "{selection.variant}"))'
    widgets.reproduce(f"retrieval-lens concepts {facts.name} --sort attribution", deep.python(facts.name, "similarity", lines))


page()
