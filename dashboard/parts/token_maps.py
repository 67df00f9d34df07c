"""A similarity over patches and words: maps of the query towards the right and the wrong candidate, and of both
candidates, on one colour scale with its numbers; kinds of tokens; and the same by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from core.questions import token_split
from core.questions.token_split import TokenSide, TokenSplit
from core.records import Part
from dashboard import data, state, words
from dashboard.charts import token_maps as charts
from dashboard.parts import widgets
from dashboard.words import trust as trust_words

Place = tuple[Part, int]


def both(run: str, query: int, right: int, wrong: int, under: str, concept: int | None) -> None:
    """The query towards either candidate, side by side; below, the candidates' own tokens."""
    split = data.ask(token_split.split, run, query, (right, wrong), under, concept)
    margin = float(split.totals[0] - split.totals[1])
    mine = split.query.values[:, 0] - split.query.values[:, 1]
    st.subheader(_headline(split.query, mine, margin, concept), anchor=False, help=trust_words.SPLIT_HELP)
    notes(split, concept)
    limits = _limits([split.query, *split.candidates])
    columns = st.columns(2, gap="large")
    names = "right candidate", "wrong candidate"
    for at, (column, name, row) in enumerate(zip(columns, names, (right, wrong), strict=True)):
        with column:
            st.markdown(f"**Query, towards the {name}**: {split.totals[at]:+.4f}")
            beside = {f"towards the {n}": split.query.patches(i) for i, n in enumerate(names)}
            tokens(run, ("queries", query), split.query, at, limits, f"query-{at}", beside)
            st.markdown(f"**{name.capitalize()}, towards the query**")
            tokens(run, ("candidates", row), split.candidates[at], 0, limits, f"candidate-{at}", {})
    kinds(split, names)


def one(run: str, split: TokenSplit, query: Place | None, row: int, picture: str | None) -> None:
    """A query and one candidate."""
    notes(split, None)
    limits = _limits([split.query, *split.candidates])
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**Query, towards this candidate**: {split.totals[0]:+.4f}")
        tokens(run, query, split.query, 0, limits, "live-query", {}, picture)
    with right:
        st.markdown("**This candidate, towards the query**")
        tokens(run, ("candidates", row), split.candidates[0], 0, limits, "live-candidate", {})
    kinds(split, ("this candidate",))


def tokens(
    run: str,
    place: Place | None,
    side: TokenSide,
    column: int,
    limits: Limits,
    key: str,
    beside: dict[str, np.ndarray | None],
    picture: str | None = None,
) -> None:
    """One item: its patches over its picture, its words below; each on a scale that all maps beside it share."""
    grid = side.patches(column)
    image = picture or (data.item(run, *place).image if place else None)
    if grid is not None and image:
        named = {name: values for name, values in beside.items() if values is not None}
        if len(named) == 2:
            first, second = named.values()
            named["right − wrong"] = first - second
        table = pd.DataFrame(grid)
        widgets.figure("Patches", charts.patches(image, grid, limits.patches, named), f"patches-{key}", table)
    widgets.html(f'<p class="lens-tokens">{spans(side.words(column), limits.words)}</p>{scale(limits.words)}')


def spans(values: Sequence[tuple[str, str, float]], limit: float) -> str:
    """Words on the scale, as HTML; each with its number as a tooltip."""
    made = []
    for text, role, value in values:
        colour, share = ("#0e7c7b" if value >= 0 else "#b03a6a"), round(70 * min(abs(value) / limit, 1.0))
        pale = "lens-frame" if role in {"prompt", "template"} else ""
        word = escape(text.replace("\n", "⏎")) or "·"
        title = f"{trust_words.ROLES[role]}: {value:+.5f}"
        paint = f"background:color-mix(in srgb, {colour} {share}%, transparent)"
        made.append(f'<span class="{pale}" style="{paint}" title="{escape(title)}">{word}</span>')
    return "".join(made)


def scale(limit: float) -> str:
    """The colour scale with its numbers, as HTML."""
    return (
        f'<div class="lens-scale" role="img" aria-label="colour scale from -{limit:.4f} to +{limit:.4f}">'
        f"<span>−{limit:.4f}</span><i></i><span>0</span><i></i><span>+{limit:.4f}</span></div>"
    )


def kinds(split: TokenSplit, names: Sequence[str]) -> None:
    """What each kind of the query's tokens adds to every similarity, with the offset."""
    sums = [split.query.by_kind(at) for at in range(len(names))]
    rows = [
        {"kind": kind, "towards": f"towards the {name}" if len(names) > 1 else f"towards {name}", "value": one[kind]}
        for name, one in zip(names, sums, strict=True)
        for kind in one
    ]
    table = pd.DataFrame(rows)
    title = "What each kind of the query’s tokens adds"
    if len(names) > 1:
        apart = {kind: sums[0][kind] - sums[1][kind] for kind in sums[0]}
        most = max(apart, key=lambda kind: abs(apart[kind]))
        title += f"; right and wrong differ most in {trust_words.ROLES[most]} ({apart[most]:+.4f})"
    widgets.figure(title, charts.kinds(table, trust_words.ROLES), "kinds", table, trust_words.OFFSET_NOTE)


def notes(split: TokenSplit, concept: int | None) -> None:
    """What is split, and whether the model still gives the stored embedding."""
    st.caption(trust_words.SPLIT_NOTE + (f" {trust_words.CONCEPT_NOTE}" if concept is not None else ""))
    if split.mismatch > 1e-3:
        st.warning(trust_words.MISMATCH.format(share=words.percent(split.mismatch)), icon=":material/difference:")


@widgets.fragment
def depth(run: str, query: int, candidate: int) -> None:
    """The split along depth, on demand: every layer is read."""
    if not state.toggle("depth", trust_words.DEPTH, help=trust_words.DEPTH_HELP):
        return
    table = data.ask(token_split.by_layer, run, query, candidate)
    of = state.pick(
        st.segmented_control,
        "depth-of",
        "Of",
        list(trust_words.DEPTH_OF),
        format_func=trust_words.DEPTH_OF.get,
        help=trust_words.DEPTH_HELP,
    )
    mine = table[table["of"] == of]
    last = mine[mine["layer"] == mine["layer"].max()]
    most = last.loc[last["share"].idxmax()]
    what = "of the cosine" if of == "similarity" else "of the embedding"
    number = f"{most['share']:.3f}" if of == "similarity" else words.percent(float(most["share"]))
    title = f"At the last layer {trust_words.ROLES[str(most['kind'])]} hold most {what}: {number}"
    axis = "added to the cosine" if of == "similarity" else "share of the embedding"
    chart = charts.layers(mine, trust_words.ROLES, list(trust_words.ROLES), axis)
    widgets.figure(title, chart, f"depth-{of}", mine, help=trust_words.DEPTH_HELP)


def _headline(query: TokenSide, difference: np.ndarray, margin: float, concept: int | None) -> str:
    """Which of the query's tokens tell the right candidate from the wrong one most."""
    sums = pd.Series(difference).groupby(query.tokens["role"].to_numpy()).sum()
    most = str(sums.abs().idxmax())
    winner, of = ("wrong" if margin < 0 else "right"), "" if concept is None else f" by concept {concept}"
    return (
        f"The {winner} candidate is ahead{of} by {abs(margin):.4f}; of the query’s tokens, most comes from its"
        f" {trust_words.ROLES[most]} ({sums[most]:+.4f})"
    )


@dataclass(frozen=True)
class Limits:
    """Ends of the two colour scales: of patches, which are many and small, and of words."""

    patches: float
    words: float


def _limits(sides: Sequence[TokenSide]) -> Limits:
    """One scale of each kind for all maps that stand beside each other."""

    def largest(is_patch: bool) -> float:
        each = [np.abs(one.values[(one.tokens["role"] == "image").to_numpy() == is_patch]) for one in sides]
        return float(max(values.max(initial=0.0) for values in each)) or 1.0

    return Limits(largest(True), largest(False))
