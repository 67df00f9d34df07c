"""Pieces of the path from a failing query to a concept and back: tables to choose from, rankings, concept strips, buttons that change the variant.

Buttons write the variant through `dashboard.state`; what a variant is and how it is written, `core.analysis.variants` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.variants import VariantSpec, parse_variant
from core.errors import UserError
from dashboard import charts, data, state, widgets, words
from dashboard.data import ItemView
from dashboard.words import count, percent, points

LISTED = 2000
"""Concepts sent to the browser at once; a search or another order shows the others."""
FORMATS = {"frequency": "percent", "modality_score": "%.2f"}
HOLDS_OUT = "—"


# -- the variant -----------------------------------------------------------------------------------------------------


def use_variant(spec: VariantSpec | str, /, **choices: Any) -> None:
    """Make it the variant of all pages and draw the page again; `choices` stay with it."""
    state.put(variant=str(spec), **choices)
    st.rerun()


def edit_buttons(concept: int, variant: str, /, **choices: Any) -> None:
    """Switch a concept off, scale it, or remove its direction; each is a step of the variant and can be undone."""
    spec = parse_variant(variant)
    factor, gone = dict(spec.edits).get(concept, 1.0), concept in spec.removed
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        off = factor == 0
        label, icon = ("Switch on again", ":material/toggle_on:") if off else ("Switch off", ":material/toggle_off:")
        if st.button(label, key=f"off-{concept}", icon=icon, type="secondary" if off else "primary", help=words.OFF_HELP):
            use_variant(spec.with_factor(concept, 1.0 if off else 0.0), **choices)
        with st.popover("Scale" if factor in {0, 1} else f"Scale · ×{factor:g}", icon=":material/tune:"):
            chosen = st.slider("Factor", 0.0, 4.0, float(factor), 0.25, key=f"factor-{concept}-{factor:g}", help=words.explain("factor"))
            if st.button("Use this factor", key=f"scale-{concept}", type="primary"):
                use_variant(spec.with_factor(concept, chosen), **choices)
        label, icon = ("Put its direction back", ":material/undo:") if gone else ("Remove its direction", ":material/layers_clear:")
        if st.button(label, key=f"remove-{concept}", icon=icon, help=words.REMOVE_HELP):
            use_variant(spec.toggle_removed(concept), **choices)
        if variant != "none" and st.button("Back to raw", key=f"raw-{concept}", icon=":material/restart_alt:", type="tertiary"):
            use_variant("none", **choices)


def baseline(variant: str) -> str:
    """What a variant is compared with: itself without edits and removals of concepts, or the raw embeddings."""
    spec = parse_variant(variant)
    affine = str(VariantSpec(spec.of_stage("affine")))
    return affine if affine != str(spec) else "none"


def effect(run: str, variant: str, /, **choices: Any) -> None:
    """What the variant does to recall, in one line, with the way to the rankings."""
    if variant == "none":
        return
    with widgets.guard():
        before = baseline(variant)
        found = data.ask("retrieval.compare", run, before, variant)
        row = found.table.set_index("metric").loc["recall@1"]
        kind = "up" if row.difference > 0 else "down" if row.difference < 0 else "partly"
        interval = f"{100 * row.difference_low:+.1f} to {100 * row.difference_high:+.1f}"
        with st.container(border=True, key="effect"):
            widgets.html(
                f'<div class="lens-effect"><span class="lens-big">{percent(row.before)} → {percent(row.after)}</span> '
                f"{widgets.badge(points(row.difference), kind)}"
                f"<span>Recall@1, from <b>{escape(words.variant_name(before))}</b> to <b>{escape(words.variant_name(variant))}</b>. "
                f"95% interval of the difference {interval} points, p {p_value(row.p_value)}, n = {count(row.n)} queries. "
                f"{len(found.fixed):,} fixed, {len(found.broken):,} broken.</span></div>"
            )
            link = {"before": before, "variant": variant, **choices}
            state.link("retrieval", "See the rankings under this variant", icon=":material/arrow_forward:", **link)


def p_value(p: float) -> str:
    """`< 0.0001` or `= 0.0123`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"


# -- items -----------------------------------------------------------------------------------------------------------


def item_label(run: str, part: str, row: int) -> str:
    """How a table names an item: its text, or its id where it is an image alone."""
    item = data.item(run, part, row)
    return item.text or item.id


def listing(run: str, part: str, frame: pd.DataFrame, **columns: Sequence[Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(table, column settings) of items with thumbnails where they have some; `columns` come after."""
    shown = data.items(run, part, frame["row"].tolist())
    table = pd.DataFrame({"image": [i.image for i in shown], "item": [i.text or i.id for i in shown], **columns})
    settings: dict[str, Any] = {
        "image": st.column_config.ImageColumn(" ", width=48),
        "item": st.column_config.TextColumn("Item", width="large"),
    }
    if not any(i.image for i in shown):
        table = table.drop(columns="image")
    return table, settings


def rank_list(run: str, ranking: pd.DataFrame, moved: str) -> None:
    """A ranking as cards: rank, item, similarity, and the rank on the other side; `moved`: "from" or "to"."""
    cards = []
    for row in ranking.itertuples():
        item = data.item(run, "candidates", row.row)
        better = row.rank < row.rank_other
        kind = "" if row.rank == row.rank_other else "up" if better else "down"
        arrow = "=" if row.rank == row.rank_other else f"{'from' if moved == 'from' else 'to'} #{row.rank_other}"
        foot = [widgets.badge("relevant", "relevant")] if row.relevant else []
        foot += [f'<span class="lens-number" title="{escape(words.explain("similarity"))}">{row.similarity:.3f}</span>']
        foot += [widgets.badge(arrow, (kind if moved == "from" else ""))]
        cards.append(widgets.card(item, foot, hit=row.relevant, title=f"{row.rank}. " if item.text else f"{row.rank}."))
    widgets.gallery(cards, rows=True)


def firing(run: str, concept: int, frame: pd.DataFrame, heat: bool, limit: int = 6) -> list[str]:
    """Cards of the items that fire most: [part, row, activation]; with `heat`, where in the first `limit` of them."""
    cards = []
    for i, row in enumerate(frame.itertuples()):
        item = data.item(run, row.part, row.row)
        foot = [f'<span class="lens-number" title="{escape(words.explain("activation"))}">{row.activation:.2f}</span>']
        foot += [f'<span class="lens-dim">{words.PARTS[row.part]}</span>']
        found = data.ask("concepts.heat", run, concept, row.part, int(row.row)) if heat and i < limit else None
        cards.append(_inside(run, item, found, foot) if found else widgets.card(item, foot))
    return cards


def _inside(run: str, item: ItemView, found: Any, foot: Sequence[str]) -> str:
    """An item with its heat: patches on the picture, colour behind the words."""
    if item.image is not None and found.grid is not None:
        picture = widgets.heat(data.thumbnail(run, item.part, item.row), found.grid, 192)
        return widgets.card(replace(item, image=data.data_uri(picture)), foot)
    own = [t for t in found.tokens if t[1] in {"text", "prompt"}]
    spans = widgets.token_spans(own or found.tokens)
    below = f'<div class="foot">{"".join(foot)}</div>'
    return f'<figure class="lens-item" title="{escape(item.id)}"><figcaption class="lens-marked">{spans}</figcaption>{below}</figure>'


# -- concepts --------------------------------------------------------------------------------------------------------


def concept_name(concept: int, label: str) -> str:
    """`812 · fox`, or `812` where it has no label."""
    return f"{concept} · {label}" if label else str(concept)


def concept_columns(names: Sequence[str], n: Mapping[str, str]) -> dict[str, Any]:
    """Column settings with definition, unit and sample size in the header's tooltip."""
    number, settings = st.column_config.NumberColumn, {}
    for name in names:
        word = words.word(name)
        help = word.help + (f" n = {n[name]}." if name in n else "")
        if name == "modality_score":
            settings[name] = st.column_config.ProgressColumn(word.label, help=help, min_value=0, max_value=1, format="%.2f", color="auto")
        else:
            settings[name] = number(word.label, help=help, format=FORMATS.get(name, "%.3g"))
    settings["concept"] = number("Concept", help=words.CONCEPT_HELP, format="%d", width=80, pinned=True)
    settings["label"] = st.column_config.TextColumn("Label", help=words.LABEL_HELP, width="medium")
    return settings


def filtered(table: pd.DataFrame, search: str, sort: str, dead: bool) -> pd.DataFrame:
    """Concepts whose label or number fits, in order; undefined values last, ties by number."""
    if not dead:
        table = table[table["energy"] > 0]
    for term in search.lower().split():
        table = table[table["label"].str.lower().str.contains(term, regex=False) | (table["concept"].astype(str) == term)]
    return table.sort_values([sort, "concept"], ascending=[False, True], na_position="last", kind="stable")


def concept_strip(run: str, concept: int, n: int = 6) -> None:
    """The images and captions that fire most, side by side, small."""
    card = data.ask("concepts.concept", run, concept)
    if not card.n_firing:
        st.caption("This concept fires on no item of this run.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        widgets.gallery(firing(run, concept, card.images.head(n), False), cell="5.2rem")
        if card.images.empty:
            st.caption("It fires on no image.")
    with right:
        widgets.gallery(firing(run, concept, card.texts.head(3), False), rows=True)
        if card.texts.empty:
            st.caption("It fires on no text.")


def fidelity_line(run: str) -> None:
    """How far claims about concepts can be trusted: the SAE's figures beside every SAE-based page."""
    found, facts = data.ask("fidelity.fidelity", run), data.facts(run)
    widgets.facts(
        {
            "SAE": found.source,
            "learned from": found.trained_on,
            "concepts": count(facts.concepts or 0),
            "active per item (L0)": f"{found.value('L0'):.1f}",
            "explained variance": percent(found.value("explained variance")),
            "never fire": percent(found.value("dead share")),
            "Recall@1 of its reconstructions": f"{percent(found.value('recall@1 of the reconstruction'))} "
            f"(embeddings {percent(found.value('recall@1 of the embedding'))})",
        }
    )


def top_tokens(run: str, concept: int) -> None:
    """What the concept's direction makes the model say; a dual encoder has no output head."""
    try:
        found = data.ask("concepts.top_tokens", run, concept, 12)
    except UserError as error:
        widgets.problem(error)
        return
    chips = [widgets.badge(f"{text.strip() or repr(text)}  {value:.2f}") for text, value in found]
    widgets.html(f'<div class="lens-chips">{"".join(chips)}</div>')


def python(run: str, imports: str, lines: str) -> str:
    """Lines of Python for the Reproduce box."""
    head = f"from core.questions import {imports}\nfrom core.run import open_run\nfrom core.store import Store\n\n"
    return f'{head}run = open_run("{run}", Store.default())\n{lines}'


MODALITY_KIND = {charts.TEXT: ("text concept", "text"), charts.IMAGE: ("image concept", "image"), charts.BOTH: ("fires on both", "")}


def modality_badge(score: float | None) -> str:
    """Text concept, image concept or both, as a badge."""
    if score is None or score != score:  # noqa: PLR0124 (NaN)
        return widgets.badge("no modality score", "partly")
    return widgets.badge(*MODALITY_KIND[charts.modality_colour(score)])


# -- retrieval -------------------------------------------------------------------------------------------------------


def comparison(table: pd.DataFrame, names: tuple[str, str]) -> None:
    """Every metric before and after with 95% intervals, the paired difference and its p value."""
    rows = []
    for row in table.itertuples():
        word = words.word(row.metric)
        ratio = word.unit == "%"
        shown = [
            f"{word.write(value)} ({words.interval(low, high) if ratio else f'{low:.3f}–{high:.3f}'})"
            for value, low, high in ((row.before, row.before_low, row.before_high), (row.after, row.after_low, row.after_high))
        ]
        scale, digits = (100, 1) if ratio else (1, 3)
        low, high = f"{scale * row.difference_low:+.{digits}f}", f"{scale * row.difference_high:+.{digits}f}"
        difference = f"{scale * row.difference:+.{digits}f}{' pts' if ratio else ''} ({low} to {high})"
        rows.append((word.label, *shown, difference, p_value(row.p_value).removeprefix("= ")))
    help = {"": "Hit rates count a query once one relevant candidate stands high enough (M-BEIR).", "p": words.word("p_value").help}
    frame = pd.DataFrame(rows, columns=["metric", "before", "after", "difference", "p"])
    text = st.column_config.TextColumn
    settings = {
        "metric": text("Metric", help=help[""] + " " + words.word("mrr").help + " " + words.word("ndcg@10").help, width=95),
        "before": text(f"{names[0]} (95%)", help=words.word("interval").help),
        "after": text(f"{names[1]} (95%)", help=words.word("interval").help),
        "difference": text("Difference (95%)", help=words.word("difference").help),
        "p": text("p", help=help["p"], width=80),
    }
    st.dataframe(frame, column_config=settings, hide_index=True, row_height=40)


def why(run: str, query: int, variant: str) -> None:
    """The way to the explanation of one side's ranking."""
    contest = data.ask("retrieval.contest", run, query, variant)
    if contest.right is None or contest.wrong is None:
        st.caption("No relevant candidate in the pool." if contest.right is None else "Every candidate is relevant.")
        return
    label = "Why is the right one first?" if contest.right.rank == 1 else f"Why is the right one only #{count(contest.right.rank)}?"
    rows = {"query": query, "candidate": contest.right.row, "rival": contest.wrong.row}
    state.link("similarity", label, icon=":material/balance:", variant=variant, **rows)


def truth_table(truth: pd.DataFrame) -> None:
    """What the concept agrees with, by the demo world's ground truth."""
    if truth.empty:
        st.caption("No ground truth: only the demo world knows what its items show.")
        return
    bar = st.column_config.ProgressColumn
    ratio = {name: bar(words.word(w).label, help=words.explain(w), min_value=0, max_value=1, format="%.2f", color="auto")
             for name, w in (("precision", "precision"), ("recall", "truth_recall"), ("f1", "f1"))}  # fmt: skip
    text = {"attribute": st.column_config.TextColumn("Shows"), "kind": st.column_config.TextColumn("Kind")}
    st.dataframe(truth, column_config=text | ratio, hide_index=True)


# -- similarity ------------------------------------------------------------------------------------------------------


def duel(run: str, query: int, variant: str) -> dict[str, int]:
    """Right candidate and rival of a query as choices; where one is missing, the best-ranked others."""
    contest = data.ask("retrieval.contest", run, query, variant)
    rows = data.ask("retrieval.candidate_list", run, query, variant, "", 2)["row"].tolist()
    right = contest.right.row if contest.right else rows[0]
    wrong = contest.wrong.row if contest.wrong else rows[-1]
    return {"candidate": int(right), "rival": int(wrong)}


def similarity(value: float) -> str:
    """A similarity as small HTML with its definition."""
    return f'<span class="lens-number" title="{escape(words.explain("similarity"))}">similarity {value:.4f}</span>'


def query_picker(run: str, query: int, variant: str) -> None:
    """Another query, by search; right and wrong candidate come with it."""
    with st.popover("Another query", icon=":material/search:", width="stretch"):
        kind = state.pick(st.segmented_control, "of", "Queries", ["failing", "all"], format_func=str.capitalize, help=words.KIND_HELP)
        search = state.text("find", "Search", placeholder="fox, snow, test-17 …", help=words.FIND_HELP)
        frame = data.ask("retrieval.query_list", run, variant, variant, kind, search, 50)
        table, columns = listing(run, "queries", frame, rank=frame["rank_after"])
        columns["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), format="%d", width=70)
        key = f"{run}-{variant}-{kind}-{search}"
        state.table(
            "query", table, frame["row"].tolist(), query, key, lambda row: duel(run, row, variant), height=300, column_config=columns
        )
        st.caption(f"{count(len(frame))} of {count(frame.attrs['total'])} queries.")


def candidate_picker(run: str, query: int, row: int, variant: str, name: str) -> None:
    """Another candidate, by rank or search."""
    with st.popover("Another candidate", icon=":material/search:", width="stretch"):
        search = state.text(f"find-{name}", "Search", placeholder="fox, snow …", help=words.FIND_HELP)
        frame = data.ask("retrieval.candidate_list", run, query, variant, search, 50)
        table, columns = listing(run, "candidates", frame, rank=frame["rank"], similarity=frame["similarity"], relevant=frame["relevant"])
        columns["rank"] = st.column_config.NumberColumn("Rank", help=words.explain("rank"), format="%d", width=70)
        columns["similarity"] = st.column_config.NumberColumn("Similarity", help=words.explain("similarity"), format="%.3f", width=90)
        columns["relevant"] = st.column_config.CheckboxColumn("Relevant", width=80)
        state.table(name, table, frame["row"].tolist(), row, f"{run}-{query}-{variant}-{search}", height=300, column_config=columns)
        st.caption(f"{count(len(frame))} of {count(frame.attrs['total'])} candidates, best first.")


def told(found: Any, view: str) -> str:
    """The explanation in one sentence."""
    if found.table.empty:
        return "No concept fires on these items."
    for_it = found.table.iloc[0]
    if view != "margin":
        return f"Similarity {found.similarity:.4f}: concept {concept_name(for_it.concept, for_it.label)} contributes {for_it.contribution:+.4f}"
    losing = found.similarity < 0
    sides = found.table[(found.table["contribution"] < 0) == losing]
    winner = "wrong" if losing else "right"
    reason = (
        f", above all by concept {concept_name(sides.iloc[0].concept, sides.iloc[0].label)} ({sides.iloc[0].contribution:+.4f})"
        if len(sides)
        else ""
    )
    return f"The {winner} candidate is ahead by {abs(found.similarity):.4f}{reason}"


def parts_of(found: Any) -> tuple[list[str], list[float], pd.DataFrame]:
    """Labels and values of the waterfall, and the same as a table."""
    labels = [concept_name(int(k), label) for k, label in zip(found.table["concept"], found.table["label"], strict=True)]
    more = {f"{found.rest_count:,} other concepts": found.rest, "offset": found.offset, "SAE error, query": found.query_error, "SAE error, candidate": found.candidate_error}  # fmt: skip
    labels, values = [*labels, *more], [*map(float, found.table["contribution"]), *more.values()]
    return labels, values, pd.DataFrame({"part": labels, "contribution": values})


def reconciled(found: Any, total: str) -> None:
    """The sum beside the score: they agree to rounding."""
    concepts = float(found.table["contribution"].sum()) + found.rest
    errors = found.query_error + found.candidate_error
    widgets.facts(
        {
            "concepts": f"{concepts:+.6f}",
            "offset": f"{found.offset:+.6f}",
            "SAE errors": f"{errors:+.6f}",
            f"= {total}": f"{found.similarity:+.6f}",
            "residual": f"{found.residual:.0e}",
        }
    )
    centred = " Codes are taken relative to their mean, because this variant centres." if found.centred_codes else ""
    st.caption(f"Every part is exact: the sum equals the score but for rounding.{centred}", help=words.word("offset").help)


def contribution_table(run: str, found: Any, key: str) -> int:
    """The concepts of an explanation; returns the chosen one, by default the first."""
    table = found.table
    concept = state.current().concept
    concept = concept if concept is not None and concept in set(table["concept"]) else int(table["concept"].iloc[0])
    number = st.column_config.NumberColumn
    columns = concept_columns(["modality_score"], {}) | {
        "contribution": number("Contribution", help=words.explain("contribution"), format="%+.4f"),
        "query_activation": number("On query", help=words.explain("activation"), format="%.2f"),
        "candidate_activation": number("On candidate", help=words.explain("activation"), format="%.2f"),
    }
    state.table("concept", table, table["concept"].tolist(), concept, key, height=248, column_config=columns)
    if state.get("concept") is not None:
        state.keep("concept")
    return concept


def concept_of(found: Any, concept: int) -> str:
    """The name of a concept of an explanation."""
    row = found.table.set_index("concept").loc[concept]
    return f"Concept {concept_name(concept, row['label'])}: {row['contribution']:+.4f}"


def removal_figures(table: pd.DataFrame, share: float) -> None:
    """Recall@1 with the chosen share removed, beside the control and no removal."""
    at = table[table["share"] == share]
    top = float(at[at["kind"] == "top attribution"]["recall@1"].iloc[0])
    control = at[at["kind"] != "top attribution"]["recall@1"]
    none = float(table[table["share"] == 0]["recall@1"].iloc[0])
    grid = st.grid(3, min_column_width=120, gap="xsmall")
    n = table.attrs["queries"]
    help = words.explain("recall@1", n, "queries")
    grid.metric("Top removed", percent(top), points(top - none), help=help, border=True)
    if len(control):
        mean = float(control.mean())
        grid.metric("Random removed", percent(mean), points(mean - none), help=f"{help} Mean over {len(control)} draws.", border=True)
    grid.metric("Nothing removed", percent(none), help=help, border=True)


def removal_note(table: pd.DataFrame, share: float) -> str:
    """How many concepts and dimensions, and where attribution was measured."""
    at = table[(table["share"] == share) & (table["kind"] == "top attribution")].iloc[0]
    source = table.attrs["fitted_on"]
    fitted = (
        "support pairs, which no number here is measured on"
        if source == "support"
        else "the test pairs themselves (there are no support pairs): optimistic"
    )
    return f"At {100 * share:g}%: {count(at['concepts'])} concepts, {count(at['rank'])} dimensions. Attribution was measured on {fitted}."
