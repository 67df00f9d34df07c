"""Buttons that change the variant, and what a variant does to recall: the step from looking at a concept to living
without it.

`core.analysis.variants` knows what a variant is and how it is written; `dashboard.state` holds the choice.
"""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from core.analysis.variants import VariantSpec, parse_variant
from core.questions import edit_controls, retrieval
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
            control(run, before, variant)
            link = {"before": before, "variant": variant, **choices}
            state.link("retrieval", "See the rankings under this variant", icon=":material/arrow_forward:", **link)


POLL = 2.0
"""Seconds between two looks whether the controls have been ranked."""


def control(run: str, before: str, after: str, metric: str = "recall@1") -> bool:
    """What matched random edits do to the same recall, beside an edit's own change; nothing where no concept is
    edited. Ranked in the background: until then it says so, and returns False."""
    if not parse_variant(after).needs_concepts or not data.ask(edit_controls.edited_concepts, run, before, after):
        return True
    result = data.ask_later(edit_controls.edit_control, run, before, after, metric)
    if result is None:
        _ranking_controls(run, before, after, metric)
    elif result.why:
        widgets.html(f'<p class="lens-note">No matched random edits: {escape(result.why)}.</p>')
    else:
        widgets.html(control_html(result))
    return result is not None


@st.fragment(run_every=POLL)
def _ranking_controls(run: str, before: str, after: str, metric: str) -> None:
    """Draw the page again once the controls are there."""
    if data.ask_later(edit_controls.edit_control, run, before, after, metric) is not None:
        st.rerun()
    st.caption(f":material/hourglass_top: {words.CONTROLS_COMING}", help=words.CONTROLS_HELP)


def control_html(result: edit_controls.EditControl) -> str:
    """The controls on a line, the edit's own change marked, and its place in words."""
    draws = [*map(float, result.draws), result.change, 0.0]
    low, high = min(draws), max(draws)
    span = (high - low) or 0.01

    def mark(value: float, kind: str) -> str:
        return f'<i class="{kind}" style="left:{100 * (value - low) / span:.1f}%" title="{points(value)}"></i>'

    marks = "".join(mark(float(value), "") for value in sorted(result.draws))
    zero = f'<u style="left:{100 * (0 - low) / span:.1f}%" title="no change"></u>'
    place = control_place(result)
    size = f"{count(len(result.concepts))} concept{'s' if len(result.concepts) > 1 else ''}"
    matched = (
        f"{size}; one fires on {percent(result.frequency)} of items, a control on {percent(result.control_frequency)}"
    )
    return (
        f'<div class="lens-control"><p class="lens-note" title="{escape(words.CONTROLS_HELP)}"><b>{place}</b>'
        f" ({matched}).</p>"
        f'<div class="lens-strip" role="img" aria-label="{escape(place)}">{zero}{marks}'
        f"{mark(result.change, 'default')}</div>"
        f'<div class="lens-strip-ends"><span>{points(low)}</span><span>{points(high)}</span></div></div>'
    )


def control_place(result: edit_controls.EditControl) -> str:
    """`Recall@1 ends higher than after 19 of 20 matched random edits (one-sided p = 0.10)`."""
    total, higher, lower = len(result.draws), result.higher_than, result.lower_than
    name = words.word(result.metric).label
    if not max(higher, lower):
        return f"{name} ends as after each of {total} matched random edits"
    side, n = ("higher", higher) if higher >= lower else ("lower", lower)
    return f"{name} ends {side} than after {n} of {total} matched random edits (one-sided p = {result.p_value:.2f})"


def p_value(p: float) -> str:
    """`< 0.0001` or `= 0.0123`."""
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"
