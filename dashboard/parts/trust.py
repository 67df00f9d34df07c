"""How far an explanation can be trusted: one bar of concepts, SAE error and offset, and the ways out where the
dictionary cannot explain.

The rule itself is `core/analysis/explanations/trust.py`; an explanation carries its outcome.
"""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from core.questions import alternates, similarity, token_split
from core.questions.similarity import Explanation
from dashboard import data, state
from dashboard.parts import widgets
from dashboard.words import trust as words


def bar(explanation: Explanation, by: str = words.OWN, digits: int = 4) -> None:
    """Concepts, errors and offset as one bar whose lengths are their sizes, with their numbers below it."""
    trust, error = explanation.trust, words.error(by)
    parts = {
        "concepts": ("concepts", trust.concepts),
        "query": (f"{error}, query", trust.query_error),
        "candidate": (f"{error}, candidate{'s' if trust.is_margin else ''}", trust.candidate_error),
        "offset": ("offset", trust.offset),
    }
    whole = sum(abs(value) for _, value in parts.values()) or 1.0
    written = {kind: f"{value:+.{digits}f}".replace("-", "−") for kind, (_, value) in parts.items()}
    strip = "".join(
        f'<i class="{kind if kind in ("concepts", "offset") else "error"}" style="flex:{abs(value) / whole:.4f} 1 0"'
        f' title="{escape(name)} {written[kind]}"></i>'
        for kind, (name, value) in parts.items()
    )
    both = f"{trust.error:+.{digits}f}".replace("-", "−")
    named = [
        ("concepts", "concepts", written["concepts"]),
        ("error", error, both),
        ("offset", "offset", written["offset"]),
    ]
    legend = "".join(f'<span><i class="{kind}"></i>{escape(name)} <b>{value}</b></span>' for kind, name, value in named)
    against = "is more than" if not trust.holds else "is within"
    of = "the margin" if trust.is_margin else "half of it"
    limit = f"<span>error by size {trust.size:.{digits}f} {against} {of}, {trust.limit:.{digits}f}</span>"
    label = ", ".join(f"{name} {value}" for _, name, value in named)
    strip = f'<div class="strip" role="img" aria-label="{escape(label)}" title="{escape(words.BAR_HELP)}">{strip}</div>'
    facts = f'<p class="lens-facts" title="{escape(words.RULE_HELP)}">{legend}{limit}</p>'
    widgets.html(f'<div class="lens-trust">{strip}{facts}</div>')


def ways(run: str, live: bool = False) -> list[str]:
    """Ways to take a similarity of this run apart: its own SAE, other dictionaries, the tokens."""
    names = data.ask(alternates.live_names, run) if live else data.ask(alternates.names, run)
    return [*names, *([words.TOKENS] if data.ask(token_split.available, run) else [])]


def choose(run: str, live: bool = False) -> str:
    """The chosen way; in the link as `through`."""
    names = ways(run, live)
    chosen: str = state.pick(
        st.selectbox, "through", words.THROUGH, names, format_func=words.way, help=words.THROUGH_HELP, width=260
    )
    return chosen


def instead(run: str, by: str, live: bool = False) -> list[str]:
    """Other ways, plain directions and tokens first: those to offer where `by` cannot explain."""
    others = [name for name in ways(run, live) if name != by]
    first = [name for name in ("PCA directions", words.TOKENS) if name in others]
    return [*first, *(name for name in others if name not in first and name.startswith(("SAE", words.OWN)))]


def way_out(run: str, explanation: Explanation, by: str, live: bool = False) -> None:
    """Buttons that take the same similarity apart in another way, where concepts cannot be named."""
    if explanation.trust.holds:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"lens-instead-{live}"):
        st.caption(words.INSTEAD, width="content")
        for name in instead(run, by, live):
            if st.button(words.way(name), key=f"through-{name}", icon=":material/alt_route:", type="secondary"):
                state.put(through=name)
                st.rerun()


def way_out_links(run: str, explanation: Explanation, **choices: Any) -> None:
    """The same from another page: links to Similarity."""
    if explanation.trust.holds:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(words.INSTEAD, width="content")
        for name in instead(run, words.OWN):
            state.link("similarity", words.way(name), icon=":material/alt_route:", through=name, **choices)


def line(run: str, query: int, right: int, wrong: int, variant: str) -> None:
    """The bar of one query's margin, small, where a page only points at its explanation."""
    if data.facts(run).concepts is None:
        return
    with widgets.guard():
        bar(data.ask(similarity.margin, run, query, right, wrong, variant, 12))
