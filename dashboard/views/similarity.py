"""Similarity: why the wrong candidate outranked the right one, concept by concept or token by token, and what removal
of the loudest concepts does."""

from dataclasses import dataclass

import streamlit as st

from core.questions import concepts, retrieval, similarity
from core.questions import removal as removals
from dashboard import data, state, words
from dashboard.charts import similarity as charts_similarity
from dashboard.parts import edits, explanations, fidelity, listings, token_maps, trust, widgets
from dashboard.words import count, percent
from dashboard.words import trust as trust_words

VIEWS = {"margin": "Right against wrong", "right": "Right", "wrong": "Wrong"}
THEN = {"none": "nothing", "center": "centring", "realign": "ReAlign"}


@dataclass(frozen=True)
class Trio:
    """A query, the candidate that should win and its rival; rows."""

    query: int
    right: int
    wrong: int


def trio(run: str, facts: data.RunFacts) -> Trio:
    """The chosen three; by default the first query that fails raw, its right candidate and the one that stands
    first."""
    failing = data.ask(retrieval.query_list, run, "none", "none", "failing", "", 1)
    query = state.within("query", "query", 0, facts.queries - 1, int(failing["row"].iloc[0]) if len(failing) else 0)
    pair = explanations.duel(run, query, "none")
    right = state.within("candidate", "candidate", 0, facts.candidates - 1, pair["candidate"])
    return Trio(query, right, state.within("rival", "candidate", 0, facts.candidates - 1, pair["rival"]))


def items(run: str, chosen: Trio, variant: str) -> None:
    """The three items with rank and similarity, and a way to choose others."""
    first, *others = st.columns(3, gap="medium")
    with first:
        st.markdown("**Query**", help="What is searched with.")
        listings.show(data.item(run, "queries", chosen.query))
        explanations.query_picker(run, chosen.query, variant)
    for column, name, row in zip(others, ("candidate", "rival"), (chosen.right, chosen.wrong), strict=True):
        place = data.ask(retrieval.place, run, chosen.query, row, variant)
        title = (
            "Right candidate"
            if name == "candidate" and place.relevant
            else "Rival"
            if place.relevant
            else "Wrong candidate"
        )
        badges = [
            widgets.badge(f"#{count(place.rank)}", "up" if place.rank == 1 else ""),
            explanations.similarity(place.similarity),
        ]
        with column:
            st.markdown(
                f"**{title}**",
                help=f"Rank and similarity among all candidates under: {words.plain(words.variant_name(variant))}.",
            )
            more = [widgets.badge("relevant", "relevant")] if place.relevant else []
            listings.show(data.item(run, "candidates", row), [*badges, *more], place.relevant)
            explanations.candidate_picker(run, chosen.query, row, variant, name)


def space(run: str, variant: str) -> tuple[str, str, str]:
    """What to explain, under which variant, and into what it is taken apart."""
    view = "margin"
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        through = trust.choose(run)
        if through != trust_words.TOKENS:  # tokens show right and wrong beside each other
            view = state.pick(
                st.segmented_control, "view", "Explain", list(VIEWS), format_func=VIEWS.get,
                help=words.word("margin").help,
            )  # fmt: skip
        if variant == "none":
            return view, "none", through
        named = {"variant": words.variant_name(variant), "raw": words.variant_name("none")}
        under = state.pick(
            st.segmented_control, "space", "Under", list(named), format_func=named.get, help=words.VARIANT_HELP
        )
        return view, variant if under == "variant" else "none", through


@widgets.fragment
def explain(run: str, chosen: Trio, variant: str) -> None:
    """What adds up to the score: concepts of a dictionary, or tokens."""
    view, under, through = space(run, variant)
    if through == trust_words.TOKENS:
        by_tokens(run, chosen, under)
        return
    explanation: similarity.Explanation
    if view == "margin":
        three = chosen.query, chosen.right, chosen.wrong
        explanation = data.ask(similarity.margin, run, *three, under, 12, through)
    else:
        candidate = chosen.right if view == "right" else chosen.wrong
        explanation = data.ask(similarity.pair, run, chosen.query, candidate, under, 12, through)
    total = "margin" if view == "margin" else "similarity"
    st.subheader(explanations.sentence(explanation, view, through), anchor=False, help=trust_words.RULE_HELP)
    trust.bar(explanation, through)
    trust.way_out(run, explanation, through)
    # What the variant does to all queries may take long: it is filled in once this pair is on screen.
    over_all = st.container()
    left, right = st.columns([6, 5], gap="large")
    with left:
        labels, values, table = explanations.parts_of(explanation, through)
        chart = charts_similarity.parts(labels, values, total, 4 if abs(explanation.similarity) < 0.1 else 3)
        title = f"{len(explanation.table)} concepts, {count(explanation.rest_count)} others, offset and SAE errors"
        widgets.figure(title, chart, f"parts-{view}", table, help=words.explain("contribution"))
        explanations.reconciled(explanation, total)
    with right:
        if through == trust_words.OWN:
            concept_beside(run, chosen, explanation, view, variant)
        else:
            explanations.plain_table(explanation)
    with over_all:
        edits.effect(run, variant, query=chosen.query)


def by_tokens(run: str, chosen: Trio, under: str) -> None:
    """The same over patches and words, of the whole similarity or of one concept."""
    concept = None
    if data.facts(run).concepts:
        explanation = data.ask(similarity.margin, run, chosen.query, chosen.right, chosen.wrong, under, 12)
        listed = {str(row.concept): row.label for row in data.rows(data.Contribution, explanation.table)}
        of = state.pick(
            st.selectbox,
            "split-of",
            "Of",
            ["all", *listed],
            format_func=lambda k: (
                trust_words.OF_WHOLE if k == "all" else f"concept {listings.concept_name(int(k), listed[k])}"
            ),
            help=trust_words.CONCEPT_NOTE,
            width=320,
        )
        concept = None if of == "all" else int(of)
    token_maps.both(run, chosen.query, chosen.right, chosen.wrong, under, concept)
    token_maps.depth(run, chosen.query, chosen.right)


def concept_beside(run: str, chosen: Trio, explanation: similarity.Explanation, view: str, variant: str) -> None:
    """The concepts of the explanation; the chosen one with what it fires on, and buttons to live without it."""
    if explanation.table.empty:
        return
    concept = explanations.contribution_table(
        explanation, view, variant, f"{run}-{chosen}-{view}-{explanation.variant}"
    )
    st.markdown(f"**{explanations.concept_of(run, explanation, concept)}**", help=words.LABEL_HELP)
    edits.edit_buttons(
        concept, variant, query=chosen.query, candidate=chosen.right, rival=chosen.wrong, concept=concept
    )
    listings.concept_strip(run, concept, 4)
    state.link("concepts", "Open this concept", icon=":material/bubble_chart:", concept=concept)


@widgets.fragment
def population(run: str) -> None:
    """Which concepts carry the similarity of all matching pairs."""
    widgets.section(
        "Which concepts carry similarity overall?", "Attribution over all matching pairs of the test split (Eq 6)."
    )
    table, total = (
        data.ask(concepts.top, run, "attribution", 20),
        float(data.ask(concepts.table, run)["attribution"].sum()),
    )
    title = f"The first {len(table)} concepts hold {percent(table['attribution'].sum() / total)} of all attribution"
    widgets.figure(
        title, charts_similarity.attribution(table, total), "attribution", table, help=words.explain("attribution")
    )
    st.caption("Blue: text concepts, orange: image concepts, green: both. Open one:")
    with st.container(horizontal=True, gap="small"):
        for row in data.rows(data.Concept, table.head(6)):
            state.link("concepts", listings.concept_name(row.concept, row.label), concept=row.concept)


@widgets.fragment
def removal(run: str) -> None:
    """Recall without the loudest concepts, beside as many random ones."""
    widgets.section(
        "What if the loudest concepts were gone?",
        "Their span is projected out (Eqs 8–10); the control removes random concepts.",
    )
    then = state.pick(
        st.segmented_control, "then", "Afterwards", list(THEN), format_func=THEN.get, help=words.THEN_HELP
    )
    table = data.ask(removals.removal_curve, run, then)
    shares, more = (
        sorted(table["share"].unique().tolist()),
        {"help": words.explain("share"), "format_func": lambda s: f"{100 * s:g}%"},
    )
    share = state.pick(st.select_slider, "share", "Share of concepts removed", shares, 0.01, **more)
    explanations.removal_figures(table, share)
    title, note = explanations.removal_title(table, share), explanations.removal_note(table, share)
    help = words.explain("recall@1", table.attrs["queries"], "queries")
    widgets.figure(
        title, charts_similarity.removal_curve(table, chosen=share), f"removal-{then}", table, note, help=help
    )
    steps = ([f"remove-top(share={share:g})"] if share else []) + ([then] if then != "none" else [])
    expression = data.canonical("+".join(steps) or "none")
    if st.button("Use as variant", icon=":material/check:", key="use-removal", help=f"`{expression}` on all pages"):
        edits.use_variant(expression)


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    widgets.heading("similarity")
    if listings.nothing_to_find(run):
        return
    facts = data.facts(run)
    chosen = trio(run, facts)
    items(run, chosen, selection.variant)
    with widgets.guard():
        data.run(run).need_sae()  # said once, for all that follows
        explain(run, chosen, selection.variant)
    with widgets.guard():
        left, right = st.columns(2, gap="large")
        with left:
            population(run)
        with right:
            removal(run)
        fidelity.line(run)
    expression = f"similarity.margin(run, {chosen.query}, {chosen.right}, {chosen.wrong}, {selection.variant!r})"
    widgets.reproduce(
        f"retrieval-lens concepts {words.shell(facts.name)} --sort attribution",
        widgets.python("similarity", facts.name, expression),
    )


page()
