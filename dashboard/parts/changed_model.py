"""Edits inside the model on the pages: the rows they need, and what they do beside the same edit of the pooled rows.

Through a changed model every item goes again, so nothing is begun unasked: the page says how long it takes and offers
it.
"""

from __future__ import annotations

import streamlit as st

from core.analysis.variants import VariantSpec, parse_variant
from core.questions import inside, retrieval
from dashboard import data, words
from dashboard.parts import edits, widgets
from dashboard.words import count, percent, points

POOLED, INSIDE = "pooled", "inside"
WHERE = {POOLED: "on the pooled row", INSIDE: "inside the model"}


def there(run: str, variant: str) -> bool:
    """Whether the rows of a variant are made; those of one that changes nothing inside are the run's own."""
    return not parse_variant(variant).inside.steps or not data.fresh(inside.missing, run, variant).items


def ready(run: str, variant: str, what: str = "Rankings under this variant", place: str = "") -> bool:
    """Whether the rows of a variant are there; else how long they take, and a button that makes them. `place` tells
    apart two such buttons of one page."""
    if there(run, variant):
        return True
    needed = data.fresh(inside.missing, run, variant)
    with st.container(border=True, key=f"make-rows{place}"):
        st.markdown(f"**{words.plain(what)} are not computed yet.** {words.plain(needed.words)}.")
        if st.button("Compute them now", key=f"compute{place}-{variant}", type="primary", icon=":material/play_arrow:"):
            data.in_turn(inside.make_rows, run, variant)
            st.rerun()
    return False


def outside(variant: str) -> str:
    """The variant without what it changes inside the model."""
    return str(parse_variant(variant).outside)


def layer_of(run: str) -> int:
    """The layer that the run reads, where the concepts of its own SAE live."""
    return data.run(run).view.layer


def factor_inside(run: str, variant: str, concept: int) -> float:
    """By what a variant scales a concept inside the model, at the run's own layer and all tokens; 1 for not at all."""
    place = {"layer": layer_of(run), "tokens": "all"}
    for step in parse_variant(variant).of_stage("inside"):
        if dict(step.options) == place:
            return dict(step.concepts).get(concept, 1.0)
    return 1.0


def both(run: str, concept: int, variant: str) -> tuple[VariantSpec, VariantSpec, VariantSpec]:
    """(without an edit, the edit of the pooled row, the same edit inside the model) for one concept, with the affine
    steps of the variant; by the factor the variant has, or off."""
    spec = parse_variant(variant)
    base = VariantSpec(spec.of_stage("affine"))
    factors = (dict(spec.edits).get(concept, 1.0), factor_inside(run, variant, concept))
    factor = next((one for one in factors if one != 1.0), 0.0)
    return base, base.with_factor(concept, factor), base.with_inside(concept, factor, layer_of(run))


def beside(run: str, concept: int, variant: str) -> None:
    """What the same edit does on the pooled row and inside the model, side by side."""
    why = data.ask(inside.why_not, run)
    if why:
        st.caption(f":material/info: Only on the pooled row: {words.plain(why)}.")
        return
    base, pooled, within = both(run, concept, variant)
    widgets.section("On the pooled row and inside the model", words.INSIDE_HELP)
    left, right = st.columns(2, gap="medium")
    for column, place, spec in ((left, POOLED, pooled), (right, INSIDE, within)):
        with column, st.container(border=True, key=f"edit-{place}"):
            st.markdown(f"**{WHERE[place].capitalize()}** · `{spec}`")
            if ready(run, str(spec), "Its rows", f"-{place}"):
                _delta(run, str(base), str(spec))
            if str(spec) != variant and st.button(
                "Use it as the variant", key=f"use-{place}-{concept}", type="tertiary", icon=":material/check:"
            ):
                edits.use_variant(spec, concept=concept)


def _delta(run: str, before: str, after: str) -> None:
    """Recall@1 before and after, with the interval of the difference."""
    result = data.ask(retrieval.compare, run, before, after)
    row = data.row(data.Change, result.table, metric="recall@1")
    kind = "up" if row.difference > 0 else "down" if row.difference < 0 else "partly"
    interval = f"{100 * row.difference_low:+.1f} to {100 * row.difference_high:+.1f}"
    widgets.html(
        f'<div class="lens-effect"><span class="lens-big">{percent(row.before)} → {percent(row.after)}</span>'
        f" {widgets.badge(points(row.difference), kind)}<span>Recall@1. 95% interval of the difference {interval}"
        f" points, p {edits.p_value(row.p_value)}, n = {count(row.n)} queries. {len(result.fixed):,} fixed,"
        f" {len(result.broken):,} broken.</span></div>"
    )
