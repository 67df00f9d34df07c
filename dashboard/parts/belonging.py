"""What stands above every page of a run: the level of chance, and a banner where its parts do not belong together."""

from __future__ import annotations

from html import escape

import streamlit as st

from core.exhibits.shared import belonging
from core.questions import retrieval
from dashboard import data, words
from dashboard.parts import widgets
from dashboard.words import percent

POLL = 2.0
"""Seconds between two looks whether it has been measured."""


def above(run: str, other: str | None) -> None:
    """The line and the banners of the runs that a page shows."""
    chance(run)
    pending = False
    for key in [key for key in (run, other) if key]:
        found = data.ask_later(belonging.belonging, key)
        pending |= found is None
        if found is not None and found.what:
            banner(data.facts(key).name, found)
    if pending:
        _measuring([key for key in (run, other) if key])


def chance(run: str) -> None:
    """What a random ranking of this run's candidates would reach."""
    levels = data.ask(retrieval.chance_levels, run)
    if not levels:
        widgets.html('<p class="lens-chance">nothing to retrieve here, so no level of chance</p>')
        return
    facts = data.facts(run)
    shares = " · ".join(f"@{k} <b>{percent(level, 2)}</b>" for k, level in levels.items())
    pool = f"{words.count(facts.queries)} queries, {words.count(facts.candidates)} candidates"
    title = escape(words.explain("chance"))
    widgets.html(
        f'<p class="lens-chance" title="{title}">{escape(facts.name)}: {pool}. By chance alone, Recall {shares}</p>'
    )


def banner(name: str, found: belonging.Belonging) -> None:
    """What of a run does not belong together, why, and what was measured."""
    measured = f" Measured on this run: {escape('; '.join(found.figures))}." if found.figures else ""
    widgets.html(
        f'<div class="lens-banner" role="note"><b>{escape(name)}: {escape(found.what)}.</b>'
        f" {escape(_sentence('; '.join(found.reasons)))}{measured}</div>"
    )


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


@st.fragment(run_every=POLL)
def _measuring(keys: list[str]) -> None:
    """Draw the page again once everything has been measured in the background."""
    if all(data.ask_later(belonging.belonging, key) is not None for key in keys):
        st.rerun()
    st.caption(":material/hourglass_top: Measuring how well the SAE stands for these items.")
