"""The two sides of a comparison, each a run and a variant: how they are called, and how they are chosen."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from dashboard import data, state, words
from dashboard.parts import edits
from dashboard.words import variant_name


@dataclass(frozen=True)
class Sides:
    """Keys and variants of both sides, and how they are called."""

    first: str
    second: str
    variant: str
    other_variant: str

    @property
    def names(self) -> tuple[str, str]:
        return side_name("A", self.first, self.variant), side_name("B", self.second, self.other_variant)

    @property
    def short(self) -> tuple[str, str]:
        """What is enough to tell them apart."""
        if self.first != self.second:
            return f"A: {data.facts(self.first).name}", f"B: {data.facts(self.second).name}"
        return f"A: {variant_name(self.variant)}", f"B: {variant_name(self.other_variant)}"

    @property
    def same(self) -> bool:
        return (self.first, self.variant) == (self.second, self.other_variant)


def side_name(letter: str, run: str, variant: str) -> str:
    """`A: demo, raw embeddings`; foreign words."""
    label = variant_name(variant)
    if variant in words.VARIANTS and variant != "realign":
        label = label[0].lower() + label[1:]
    return f"{letter}: {data.facts(run).name}, {label}"


def choose(run: str, other: str | None, variant: str) -> Sides:
    """Both sides; A is the run and the variant of all pages and is changed for all of them here."""
    by_name = {choice.name: choice for choice in data.runs()}
    mine, names = data.name(run), list(by_name)
    left, right = st.columns(2, gap="large", border=True)
    with left:
        st.markdown("**A**", help=words.SIDE_A_HELP)
        chosen = st.selectbox("Run of A", names, names.index(mine), key=f"first-{mine}")
        options = variants(variant)
        after = st.selectbox(
            "Variant of A", options, options.index(variant), format_func=variant_name, key=f"first-variant-{variant}"
        )
        if chosen != mine:
            state.put(run=chosen)
            st.rerun()
        if after != variant:
            edits.use_variant(after)
    with right:
        st.markdown("**B**", help=words.SIDE_B_HELP)
        second = state.pick(st.selectbox, "second", "Run of B", names, data.name(other) if other else mine)
        rival = str(state.get("against", variant))
        if error := data.variant_error(rival):
            state.notice(f"The variant “{rival[:80]}” of B cannot be read ({error.what}); showing that of A instead.")
            state.put(against=None)
            rival = variant
        against = state.pick(
            st.selectbox, "against", "Variant of B", variants(rival), variant, format_func=variant_name
        )
    return Sides(run, by_name[second].key, variant, against)


def variants(chosen: str) -> list[str]:
    """The presets, and what else is in use."""
    return [*words.VARIANTS, *([] if chosen in words.VARIANTS else [chosen])]
