"""Playground: ask the run anything, with words, a picture or both, and look inside the answer."""

import pandas as pd
import streamlit as st

from core.analysis.variants import parse_variant
from core.config import OWN_MODEL
from core.questions import inside as core_inside
from core.questions import live, token_split
from core.questions.ranked import Rankings
from dashboard import data, state, words
from dashboard.charts import similarity as charts_similarity
from dashboard.parts import (
    changed_model,
    edits,
    explanations,
    fidelity,
    listings,
    live_query,
    token_maps,
    trust,
    widgets,
)
from dashboard.parts.live_query import Choice
from dashboard.words import count, variant_name
from dashboard.words import trust as trust_words

TOP = 10
CONCEPTS = 8


def query(run: str, facts: data.RunFacts, after: str) -> Choice:
    """Inputs on the left, the query and the model's own words on the right."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        choice = live_query.choose(run, facts)
        live_query.actions(run, choice)
        if not choice.empty:
            speech(run, choice, after)
    with right:
        if not choice.empty:
            live_query.card(run, choice)
    return choice


def speech(run: str, choice: Choice, after: str) -> None:
    """What the model says of the query, where it generates; on demand, since large models take their time. Beside it,
    what it says with the variant's changes inside it, if there are any."""
    on = state.toggle("speaks", "Let the model speak", help=words.SPEAKS_HELP)
    if not on:
        return
    request = state.text("request", "Ask it something", placeholder="Describe the image.", help=words.REQUEST_HELP)
    with widgets.guard():
        changed = str(parse_variant(after).inside)
        sides = ["none"] if changed == "none" else ["none", changed]
        for column, side in zip(st.columns(len(sides), gap="medium"), sides, strict=True):
            answer = data.ask_item(live.say, run, choice.query, request, side)
            with column:
                if len(sides) > 1:
                    name = "As it is" if side == "none" else f"With `{side}`"
                    st.markdown(f"**{name}**", help=words.INSIDE_HELP)
                widgets.html(f'<p class="lens-said">{widgets.plain_html(answer) or "(it says nothing)"}</p>')
        st.caption(f"{words.plain(data.facts(run).model)}, greedy decoding, up to 48 tokens.")


def rankings(run: str, choice: Choice, after: str) -> Rankings:
    """Raw and variant side by side, with rank changes."""
    relevant = live_query.relevant(run, choice)
    if parse_variant(after).inside.steps:
        lists = data.ask_item(live.rankings_of, run, choice.query, "none", after, TOP, relevant)
    else:
        lists = data.ask_live(live.rankings, run, choice.query, "none", after, TOP, relevant, choice.query.modality)
    pool = f"The first {len(lists.after)} of {count(data.facts(run).candidates)} candidates."
    known = "Outlined: known to be right." if relevant else "Nothing is known to be right for this query."
    widgets.section("What it finds", f"{pool} {known} The variant was fitted on the run, never on this one query.")
    if remark := live_query.remark(run, choice, after):
        st.caption(f":material/info: {words.plain(remark)}")
    if moved := right_answer(lists):
        widgets.html(moved)
    left, right = st.columns(2, gap="medium")
    for column, role, variant, ranking, moved in (
        (left, "Raw", "none", lists.before, "to"),
        (right, "Variant", after, lists.after, "from"),
    ):
        with column:
            st.markdown(f"**{role}** · {words.plain(variant_name(variant))}", help=words.word("similarity").help)
            listings.rank_list(run, ranking, moved)
    table = pd.concat([lists.before.assign(variant="none"), lists.after.assign(variant=after)])
    st.download_button(
        "Both rankings as CSV", widgets.csv(table), "retrieval-lens-live.csv", "text/csv",
        icon=":material/download:", type="tertiary", on_click="ignore",
    )  # fmt: skip
    return lists


def right_answer(lists: Rankings) -> str:
    """Where the first right candidate stands raw and under the variant, as HTML; "" where none is among those shown."""
    before, after = data.rows(data.Candidate, lists.before), data.rows(data.Candidate, lists.after)
    known = {one.row: (one.rank, one.rank_other) for one in before if one.relevant}
    known |= {one.row: (one.rank_other, one.rank) for one in after if one.relevant}
    if not known:
        return ""
    raw, now = min(known.values(), key=min)
    kind = "up" if now < raw else "down" if now > raw else "partly"
    badge = widgets.badge(f"#{count(raw)} → #{count(now)}", kind)
    return f'<p class="lens-note">The right answer, raw → variant: {badge}</p>'


def switches(run: str, strongest: pd.DataFrame, after: str, within: bool) -> None:
    """The query's strongest concepts, each with a switch that edits the variant: its rows, or the model (`within`)."""
    spec, active = parse_variant(after), data.rows(data.Strong, strongest)
    largest = max(row.activation for row in active)
    factors, removed = dict(spec.edits), set(spec.removed)
    for row in active:
        k, on = row.concept, factors.get(row.concept, 1.0) != 0 and row.concept not in removed
        if within:
            on = changed_model.factor_inside(run, after, k) != 0
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"switch-{k}"):
            name = listings.concept_name(k, row.label)
            now = st.toggle(
                words.plain(name),
                on,
                key=f"on-{k}-{after}{'-inside' if within else ''}",
                help=words.INSIDE_HELP if within else words.OFF_HELP,
                width="stretch",
            )
            widgets.html(widgets.bar(row.activation / largest, f"{row.activation:.2f}", words.explain("activation")))
            if st.button("Where?", key=f"where-{k}", type="tertiary", icon=":material/my_location:"):
                state.put(fires=k)
                st.rerun()
        if now != on and within:
            edits.use_variant(spec.with_inside(k, 1.0 if now else 0.0, changed_model.layer_of(run)))
        elif now != on:
            back = spec.toggle_removed(k) if row.concept in removed else spec
            edits.use_variant(back.with_factor(k, 1.0 if now else 0.0))


def inside(run: str, choice: Choice, after: str) -> None:
    """Which concepts the query lights up, where, and life without one."""
    strongest = data.ask_live(live.concepts, run, choice.query, CONCEPTS)
    n = f"The {len(strongest)} strongest of {strongest.attrs['active']} active concepts."
    note = f"{n} A switch changes the variant of all pages; what it does to recall stands below the switches."
    widgets.section("What lights up", note)
    if strongest.empty:
        widgets.empty("Nothing fires", "No concept of the SAE is active on this query.", icon=":material/light_off:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        switches(run, strongest, after, where(run))
        if changed_model.there(run, after):
            edits.effect(run, after)
        else:
            st.caption("What it does to recall stands here once the rows of the variant are computed, above.")
    with right:
        active = data.rows(data.Strong, strongest)
        options = [row.concept for row in active]
        if str(state.get("fires")) not in map(str, options):
            state.put(fires=None)  # chosen for another query
        labels = {row.concept: row.label for row in active}
        rarest = min(active, key=lambda row: row.frequency).concept
        k = state.pick(
            st.selectbox,
            "fires",
            "Concept",
            options,
            rarest,
            format_func=lambda c: listings.concept_name(c, labels[c]),
            help=words.word("patch").help,
        )
        glow(run, choice, k)
        edits.edit_buttons(k, after)
        state.link("concepts", "Open this concept", icon=":material/bubble_chart:", concept=k)


def where(run: str) -> bool:
    """Whether the switches act inside the model; the choice is there where they can."""
    if data.ask(core_inside.why_not, run):
        return False
    chosen = state.pick(
        st.segmented_control,
        "edit-where",
        "Switch off",
        list(changed_model.WHERE),
        format_func=changed_model.WHERE.get,
        help=words.INSIDE_HELP,
    )
    return bool(chosen == changed_model.INSIDE)


def glow(run: str, choice: Choice, concept: int) -> None:
    """Where in the query the concept fires: patches and words."""
    heat = data.ask_item(live.heat, run, choice.query, concept)
    picture = data.live_picture(run, choice.query)
    if picture is not None and heat.grid is not None:
        st.image(widgets.heat(picture, heat.grid, 260))
    own = [t for t in heat.tokens if t[1] == "text"]
    if own:
        widgets.tokens(own)
    st.caption(
        "Colour: from 0 to the strongest patch or word. Hover a word for its value.", help=words.word("patch").help
    )


def why(run: str, choice: Choice, lists: Rankings, after: str) -> None:
    """One candidate's similarity as a sum."""
    widgets.section(
        "Why this candidate?", "Concepts, offset and the two SAE errors add up to the similarity, to the last digit."
    )
    raw, varied = data.rows(data.Candidate, lists.before), data.rows(data.Candidate, lists.after)
    rows = list(dict.fromkeys(one.row for one in (*varied, *raw)))
    if str(state.get("candidate-live")) not in map(str, rows):
        state.put(**{"candidate-live": None})  # chosen for another query
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        names = {row: listings.item_name(run, data.item(run, "candidates", row)) for row in rows}
        ranks = {one.row: one.rank for one in varied} | {one.row: one.rank_other for one in raw}
        row = state.pick(
            st.selectbox, "candidate-live", "Candidate", rows, format_func=lambda r: f"#{ranks[r]} · {names[r]}"
        )
        named = {"variant": variant_name(after), "raw": variant_name("none")}
        space = state.pick(
            st.segmented_control, "space", "Under", list(named), format_func=named.get, help=words.VARIANT_HELP
        )
        through = trust.choose(run, live=True)
    under, modality = after if space == "variant" else "none", choice.query.modality
    asked = data.under(choice.query, under)
    if through == trust_words.TOKENS:
        split = data.ask_item(token_split.split_live, run, asked, (row,), under)
        picture = data.live_picture(run, choice.query)
        image = None if picture is None else data.data_uri(live_query.small(picture))
        token_maps.one(run, split, None, row, image)
        return
    explanation = data.ask_live(live.explain, run, asked, row, under, 10, modality, through)
    st.subheader(explanations.sentence(explanation, "right", through), anchor=False, help=trust_words.RULE_HELP)
    trust.bar(explanation, through)
    trust.way_out(run, explanation, through, live=True)
    left, right = st.columns([5, 2], gap="large")
    with left:
        labels, values, table = explanations.parts_of(explanation, through)
        title = f"{len(explanation.table)} concepts, {count(explanation.rest_count)} others, offset and SAE errors"
        widgets.figure(
            title,
            charts_similarity.parts(labels, values, "similarity"),
            "live-parts",
            table,
            help=words.explain("contribution"),
        )
        explanations.reconciled(explanation, "similarity")
    with right:
        listings.show(
            data.item(run, "candidates", row),
            [explanations.similarity(explanation.similarity)],
            row in live_query.relevant(run, choice),
        )


def reproduce(name: str, choice: Choice, after: str) -> None:
    """The lines of Python that rank this query."""
    if choice.item:
        item = f'live.stored_item(run, "{choice.item[0]}", {choice.item[1]})'
    else:
        picture = ', live.picture(open("picture.jpg", "rb").read())' if choice.query.picture else ""
        item = f"live.item(run, {choice.query.text!r}{picture})"
    said = f", modality={choice.query.modality!r}" if "per-modality" in after else ""
    made = f", {after!r}" if parse_variant(after).inside.steps else ""
    line = f"live.rank(run, live.embed(run, {item}{made}), {after!r}{said})"
    widgets.reproduce(python=widgets.python("live", name, line))


def page() -> None:
    """The page."""
    selection = state.current()
    run = selection.run
    widgets.heading("playground")
    if "candidates" not in data.run(run).parts:
        widgets.empty("Nothing to search among", f"Run “{data.facts(run).name}” has no candidates. {words.PAIRS_HELP}")
        return
    facts = data.facts(run)
    if facts.model == OWN_MODEL:
        reason = (
            f"Run “{facts.name}” holds own embeddings, so no model can embed a new query. Retrieval shows its stored"
            " ones."
        )
        widgets.empty("No model to ask", reason + " Give a run a [model] to ask it live.", icon=":material/link_off:")
        return
    if missing := data.run(run).no_model():
        widgets.empty(
            "No model to ask",
            f"{missing.what[0].upper()}{missing.what[1:]}. Next: {missing.todo}.",
            icon=":material/link_off:",
        )
        return
    after = "realign" if selection.variant == "none" else selection.variant
    choice = query(run, facts, after)
    if choice.empty:
        widgets.empty(
            "Ask something", "Type a text, drop a picture, or pick one of the run's items.", icon=":material/draw:"
        )
        return
    shown = after if changed_model.ready(run, after) else changed_model.outside(after)
    lists = rankings(run, choice, shown)
    with widgets.guard():
        inside(run, choice, after)
        why(run, choice, lists, shown)
        fidelity.line(run)
    reproduce(facts.name, choice, after)


page()
