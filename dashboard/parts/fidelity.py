"""How far claims about concepts can be trusted: the dictionary's figures, the same on every page that rests on one.

Concepts, Modality, Similarity, Playground and Lesson show the run's own SAE, Exhibits the dictionary that was chosen
there. All figures come from one question, `core.questions.fidelity`, and what they must reach from the gate of the
exhibits, `core.exhibits.shared.gate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import isnan

import streamlit as st

from core.exhibits import Shown
from core.exhibits.claims import METRIC
from core.exhibits.shared import gate
from core.questions import fidelity
from dashboard import data, words
from dashboard.parts import widgets
from dashboard.words import count, percent
from dashboard.words import exhibits as exhibit_words


def line(run: str, name: str = "") -> None:
    """The figures of a run's own SAE, whether it passes the gate, and what it learned from; `name` where several runs
    are shown."""
    found, facts = data.ask(fidelity.fidelity, run), data.facts(run)
    head = {"run": name} if name else {}
    values = dict(zip(found.table["figure"], found.table["value"], strict=True))
    widgets.facts(head | {"concepts": count(facts.concepts or 0)} | written(values, METRIC))
    at_gate(data.ask(gate.check, run, {}))
    source = words.plain(f"The SAE: {found.source}, learned from {found.trained_on}.")
    st.caption(source, help=words.explain("explained_variance"))


def of_exhibit(result: Shown) -> None:
    """The same for an exhibit that rests on dictionaries, run by run: of the one that its options choose."""
    if result.fidelity.empty:
        return
    st.markdown("**How far the SAE can be trusted**", help=exhibit_words.FIDELITY_HELP)
    keys = {choice.name: choice.key for choice in data.runs()}
    metric = str(result.options.get("metric", METRIC))
    for name, rows in result.fidelity.groupby("run", sort=False):
        widgets.facts({str(name): ""} | written(dict(zip(rows["figure"], rows["value"], strict=True)), metric))
        if result.exhibit.gate and name in keys:
            at_gate(data.ask(gate.check, keys[str(name)], dict(result.options)))


def written(values: Mapping[str, float], metric: str) -> dict[str, str]:
    """Label -> text of the figures that a run has: explained variance per modality, recall kept, dead share, L0."""
    names = {name: label for name, label in exhibit_words.FIGURES.items() if name in values}
    found = {label: percent(values[name]) for name, label in names.items() if not isnan(values[name])}
    kept, recall = values[f"{metric} kept"], words.word(metric).label
    if not isnan(kept):
        own, rebuilt = (percent(values[f"{metric} of the {what}"]) for what in ("embedding", "reconstruction"))
        found[f"{recall} kept by reconstructions"] = f"{percent(kept)} ({rebuilt} of {own})"
    return {"active per item (L0)": f"{values['L0']:.1f}"} | found


def at_gate(checked: gate.Checked) -> None:
    """What verdicts on concepts need, and in colour why they cannot be given where the dictionary fails."""
    if checked.failure:
        badge = widgets.badge("cannot be said", exhibit_words.OUTCOMES["cannot be said"])
        text = escape(exhibit_words.BARRED.format(failure=checked.failure))
        widgets.html(f'<p class="lens-verdict">{badge} {text}</p>')
    st.caption(exhibit_words.GATE.format(least=checked.least))
