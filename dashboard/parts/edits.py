"""Buttons that change the variant, and what a variant does to recall: the step from looking at a concept to living
without it.

`core.analysis.variants` knows what a variant is and how it is written; `dashboard.state` holds the choice.
"""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from core.analysis.variants import VariantSpec, parse_variant
from core.questions import retrieval
from dashboard import data, state, words
from dashboard.parts import widgets
from dashboard.words import count, percent, points


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
        if st.button(
            label, key=f"off-{concept}", icon=icon, type="secondary" if off else "primary", help=words.OFF_HELP
        ):
            use_variant(spec.with_factor(concept, 1.0 if off else 0.0), **choices)
        with st.popover("Scale" if factor in {0, 1} else f"Scale · ×{factor:g}", icon=":material/tune:"):
            chosen = st.slider(
                "Factor",
                0.0,
                4.0,
                float(factor),
                0.25,
                key=f"factor-{concept}-{factor:g}",
                help=words.explain("factor"),
            )
            if st.button("Use this factor", key=f"scale-{concept}", type="primary"):
                use_variant(spec.with_factor(concept, chosen), **choices)
        label, icon = (
            ("Put its direction back", ":material/undo:")
            if gone
            else ("Remove its direction", ":material/layers_clear:")
        )
        if st.button(label, key=f"remove-{concept}", icon=icon, help=words.REMOVE_HELP):
            use_variant(spec.toggle_removed(concept), **choices)
        if variant != "none" and st.button(
            "Back to raw", key=f"raw-{concept}", icon=":material/restart_alt:", type="tertiary"
        ):
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
        result = data.ask(retrieval.compare, run, before, variant)
        row = data.row(data.Change, result.table, metric="recall@1")
        kind = "up" if row.difference > 0 else "down" if row.difference < 0 else "partly"
        interval = f"{100 * row.difference_low:+.1f} to {100 * row.difference_high:+.1f}"
        with st.container(border=True, key="effect"):
            widgets.html(
                f'<div class="lens-effect"><span class="lens-big">{percent(row.before)} → {percent(row.after)}</span>'
                f" {widgets.badge(points(row.difference), kind)}<span>Recall@1, from"
                f" <b>{escape(words.variant_name(before))}</b> to <b>{escape(words.variant_name(variant))}</b>. 95%"
                f" interval of the difference {interval} points, p {p_value(row.p_value)}, n = {count(row.n)} queries."
                f" {len(result.fixed):,} fixed, {len(result.broken):,} broken.</span></div>"
            )
            link = {"before": before, "variant": variant, **choices}
            state.link("retrieval", "See the rankings under this variant", icon=":material/arrow_forward:", **link)


def p_value(p: float) -> str:
    """`< 0.0001` or `= 0.0123`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"
