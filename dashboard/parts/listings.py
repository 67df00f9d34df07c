"""Items and concepts in lists: tables to choose from, rankings, galleries of what fires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Literal

import pandas as pd
import streamlit as st

from core.errors import UserError
from core.questions import concepts, retrieval
from core.records import Part
from dashboard import data, state, words
from dashboard.charts import base as charts
from dashboard.data import ItemView
from dashboard.parts import trust, widgets
from dashboard.parts.edits import p_value
from dashboard.words import count

LISTED = 2000
"""Concepts sent to the browser at once; a search or another order shows the others."""
FORMATS = {"frequency": "percent", "modality_score": "%.2f"}


def nothing_to_find(run: str) -> bool:
    """Whether the run has nothing to search among, or no matching pairs; then the page says so instead."""
    opened = data.run(run)
    if "candidates" in opened.parts and len(opened.qrels("test")):
        return False
    missing = "matching pairs" if "candidates" in opened.parts else "candidates"
    reason = f"The corpus of run “{opened.name}” has no {missing}, so there is no retrieval task to explain. "
    widgets.empty("Nothing to retrieve here", reason + words.PAIRS_HELP, icon=":material/link_off:")
    return True


# -- items -----------------------------------------------------------------------------------------------------------


def item_name(run: str, item: ItemView) -> str:
    """How a table names an item: its text; an image alone by the text that goes with it."""
    if item.text:
        return item.text
    texts = (data.item(run, part, row).text for part, row in data.partners(run, item.part, item.row)[:1])
    return next((f"{item.id}: “{text}”" for text in texts if text), item.id)


def show(item: ItemView, foot: Sequence[str] = (), hit: bool = False) -> None:
    """One item by itself, its badges below; a picture at half the width."""
    widgets.gallery([widgets.card(item, foot, hit)], cell="100%" if item.image is None else "8.5rem")


def listing(
    run: str,
    part: Part,
    frame: pd.DataFrame,
    item_width: int | Literal["medium", "large"] = "large",
    **columns: Sequence[Any],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(table, column settings) of items, with thumbnails where they have some; `columns` before the words: a phone
    shows them."""
    items = data.items(run, part, frame["row"].tolist())
    names = [item_name(run, i) for i in items]
    table = pd.DataFrame({"image": [i.image for i in items], **{n: list(v) for n, v in columns.items()}, "item": names})
    settings: dict[str, Any] = {
        "image": st.column_config.ImageColumn(" ", width=48),
        "item": st.column_config.TextColumn("Item", width=item_width),
    }
    if not any(i.image for i in items):
        table = table.drop(columns="image")
    return table, settings


def rank_list(run: str, ranking: pd.DataFrame, moved: str) -> None:
    """A ranking as cards: rank, item, similarity, and the rank on the other side; `moved`: "from" or "to"."""
    cards = []
    for row in data.rows(data.Candidate, ranking):
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
    for i, row in enumerate(data.rows(data.Firing, frame)):
        item = data.item(run, row.part, row.row)
        foot = [f'<span class="lens-number" title="{escape(words.explain("activation"))}">{row.activation:.2f}</span>']
        foot += [f'<span class="lens-dim">{words.PARTS[row.part]}</span>']
        where = data.ask(concepts.heat, run, concept, row.part, row.row) if heat and i < limit else None
        cards.append(_inside(run, item, where, foot) if where else widgets.card(item, foot))
    return cards


def _inside(run: str, item: ItemView, where: concepts.Heat, foot: Sequence[str]) -> str:
    """An item with its heat: patches on the picture, colour behind the words."""
    if item.image is not None and where.grid is not None:
        picture = widgets.heat(data.thumbnail(run, item.part, item.row), where.grid, 192)
        return widgets.card(replace(item, image=data.data_uri(picture)), foot)
    own = [t for t in where.tokens if t[1] in {"text", "prompt"}]
    spans = widgets.token_spans(own or where.tokens)
    below = f'<div class="foot">{"".join(foot)}</div>'
    return (
        f'<figure class="lens-item" title="{escape(item.id)}"><figcaption'
        f' class="lens-marked">{spans}</figcaption>{below}</figure>'
    )


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
            settings[name] = st.column_config.ProgressColumn(
                word.label, help=help, min_value=0, max_value=1, format="%.2f", color="gray"
            )
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
        table = table[
            table["label"].str.lower().str.contains(term, regex=False) | (table["concept"].astype(str) == term)
        ]
    return table.sort_values([sort, "concept"], ascending=[False, True], na_position="last", kind="stable")


def concept_strip(run: str, concept: int, n: int = 6) -> None:
    """The images and captions that fire most, side by side, small."""
    card = data.ask(concepts.concept, run, concept)
    if not card.n_firing:
        st.caption("This concept fires on no item of this run.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        widgets.gallery(firing(run, concept, card.images.head(n), False), cell="5.2rem")
        if card.images.empty:
            st.caption("It fires on no image.")
    with right:
        widgets.gallery(firing(run, concept, card.texts.head(3), False), cell="100%")
        if card.texts.empty:
            st.caption("It fires on no text.")


def top_tokens(run: str, concept: int) -> None:
    """What the concept's direction makes the model say; a dual encoder has no output head."""
    try:
        tokens = data.ask(concepts.top_tokens, run, concept, 12)
    except UserError as error:
        widgets.problem(error)
        return
    chips = [widgets.badge(f"{text.strip() or repr(text)}  {value:.2f}") for text, value in tokens]
    widgets.html(f'<div class="lens-chips">{"".join(chips)}</div>')


MODALITY_KIND = {
    charts.TEXT: ("text concept", "text"),
    charts.IMAGE: ("image concept", "image"),
    charts.BOTH: ("fires on both", ""),
}


def modality_badge(score: float | None) -> str:
    """Text concept, image concept or both, as a badge."""
    if score is None or score != score:  # noqa: PLR0124 (NaN)
        return widgets.badge("no modality score", "partly")
    return widgets.badge(*MODALITY_KIND[charts.modality_colour(score)])


# -- rankings --------------------------------------------------------------------------------------------------------


def comparison(table: pd.DataFrame, names: tuple[str, str]) -> None:
    """Every metric before and after with 95% intervals, the paired difference and its p value."""
    rows = []
    for row in data.rows(data.Change, table):
        word = words.word(row.metric)
        ratio = word.unit == "%"
        sides = [
            f"{word.write(value)} ({words.interval(low, high) if ratio else f'{low:.3f}–{high:.3f}'})"
            for value, low, high in (
                (row.before, row.before_low, row.before_high),
                (row.after, row.after_low, row.after_high),
            )
        ]
        scale, digits = (100, 1) if ratio else (1, 3)
        low, high = f"{scale * row.difference_low:+.{digits}f}", f"{scale * row.difference_high:+.{digits}f}"
        difference = f"{scale * row.difference:+.{digits}f}{' pts' if ratio else ''} ({low} to {high})"
        rows.append((word.label, *sides, difference, p_value(row.p_value).removeprefix("= ")))
    help = {
        "": "Hit rates count a query once one relevant candidate stands high enough (M-BEIR).",
        "p": words.word("p_value").help,
    }
    frame = pd.DataFrame(rows, columns=["metric", "before", "after", "difference", "p"])
    text = st.column_config.TextColumn
    settings = {
        "metric": text(
            "Metric", help=help[""] + " " + words.word("mrr").help + " " + words.word("ndcg@10").help, width=80
        ),
        "before": text(names[0], help=words.word("interval").help, width=147),
        "after": text(names[1], help=words.word("interval").help, width=147),
        "difference": text("Difference", help=words.word("difference").help, width=158),
        "p": text("p", help=help["p"], width=66),
    }
    st.dataframe(frame, column_config=settings, hide_index=True, row_height=40)


def query_filter(run: str, result: retrieval.Comparison, variant: str) -> tuple[pd.DataFrame, str]:
    """Which queries to list: (the first hundred of them, what to say where there is none). `variant`: under which a
    query counts as failing, one of the two that are compared."""
    before, after = result.before.variant, result.after.variant
    mine = result.before if variant == before else result.after
    counts = {
        "all": len(mine.ranks),
        "failing": int((mine.ranks != 1).sum()),
        "fixed": len(result.fixed),
        "broken": len(result.broken),
    }
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        named = {kind: f"{kind.capitalize()} {count(n)}" for kind, n in counts.items()}
        kind = state.pick(
            st.segmented_control, "kind", "Queries", list(counts), format_func=named.get, help=words.KIND_HELP
        )
        search = state.text("search", "Search", placeholder="fox, snow, test-17 …", help=words.FIND_HELP)
    if kind == "failing":
        st.caption(f"Failing under {words.plain(words.variant_name(mine.variant))}, the variant of the sidebar.")
    swap = kind == "failing" and mine is result.before
    pair = (after, before) if swap else (before, after)
    frame = data.ask(retrieval.query_list, run, *pair, kind, search, 100)
    if swap:
        attrs = frame.attrs
        frame = frame.rename(columns={"rank_before": "rank_after", "rank_after": "rank_before"})
        frame.attrs = attrs
    return frame, f"No query of the kind “{kind}” fits{f' “{search}”' if search else ''}."


def query_table(run: str, frame: pd.DataFrame, query: int, key: str) -> None:
    """Queries with their ranks before and after; the chosen one is `query` on all pages."""
    table, columns = listing(run, "queries", frame, rank_before=frame["rank_before"], rank_after=frame["rank_after"])
    for side in ("before", "after"):
        help = words.explain("rank")
        columns[f"rank_{side}"] = st.column_config.NumberColumn(side.capitalize(), help=help, format="%d", width=72)
    height = min(320, 38 + 40 * len(frame))
    state.table("query", table, frame["row"].tolist(), query, key, height=height, row_height=40, column_config=columns)
    total = frame.attrs["total"]
    more = "; search to see others" if total > len(frame) else ""
    st.caption(f"{count(len(frame))} of {count(total)} shown{more}. Rank of the first relevant candidate; 1 is best.")


def wanted(run: str, query: int, before: str, after: str) -> None:
    """A query, how its rank changed, and the candidates it should find."""
    first, second = (int(data.ask(retrieval.evaluate, run, variant).ranks[query]) for variant in (before, after))
    kind = "up" if second < first else "down" if second > first else "partly"
    st.markdown(f"**Query {query}**", help=words.explain("rank"))
    badge = widgets.badge(f"rank {count(first)} → {count(second)}" if first else "nothing to find", kind)
    show(data.item(run, "queries", query), [badge])
    relevant = [data.item(run, part, row) for part, row in data.partners(run, "queries", query)]
    if relevant:
        st.caption("Should find" + (f" (first 3 of {len(relevant)})" if len(relevant) > 3 else ""))
        widgets.gallery([widgets.card(item, hit=True) for item in relevant[:3]], cell="8.5rem")


def why(run: str, query: int, variant: str) -> None:
    """The way to the explanation of one side's ranking."""
    contest = data.ask(retrieval.contest, run, query, variant)
    if contest.right is None or contest.wrong is None:
        st.caption("No relevant candidate in the pool." if contest.right is None else "Every candidate is relevant.")
        return
    label = (
        "Why is the right one first?"
        if contest.right.rank == 1
        else f"Why is the right one only #{count(contest.right.rank)}?"
    )
    rows: dict[str, Any] = {"query": query, "candidate": contest.right.row, "rival": contest.wrong.row}
    state.link("similarity", label, icon=":material/balance:", variant=variant, **rows)
    trust.line(run, query, contest.right.row, contest.wrong.row, variant)


def truth_table(truth: pd.DataFrame) -> None:
    """What the concept agrees with, by the demo world's ground truth."""
    if truth.empty:
        st.caption("No ground truth: only the demo world knows what its items show.")
        return
    bar = st.column_config.ProgressColumn
    ratio = {
        name: bar(words.word(w).label, help=words.explain(w), min_value=0, max_value=1, format="%.2f", color="gray")
        for name, w in (("precision", "precision"), ("recall", "truth_recall"), ("f1", "f1"))
    }
    text = {"attribute": st.column_config.TextColumn("Shows"), "kind": st.column_config.TextColumn("Kind")}
    st.dataframe(truth, column_config=text | ratio, hide_index=True)
