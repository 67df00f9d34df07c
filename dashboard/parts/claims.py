"""The study's claims on the chosen runs, as `core.exhibits.claims` judges them: nothing is judged here.

Overview draws a card per claim, the Lesson a line, the Exhibits page the whole specification curve. All show the same
records, for the recall that the user chose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

import pandas as pd
import streamlit as st

from core.exhibits import Verdict
from core.exhibits.claims import METRIC, Claim, Question
from core.exhibits.shared.records import Setting
from dashboard import data, state, words
from dashboard.charts import specification as charts_specification
from dashboard.parts import widgets
from dashboard.words import exhibits as exhibit_words

METRICS = ("recall@1", "recall@5", "recall@10")
SEE = {
    1: ("modality", "See the distribution"),
    2: ("modality", "See the overlaps"),
    3: ("similarity", "See the removal curve"),
    4: ("retrieval", "See before and after"),
}
"""Claim -> the page that shows more, and its label."""
POLL = 4
"""Seconds between two looks at curves that are being computed."""


def pick_metric() -> str:
    """The recall that claims 3 and 4 are judged by; in the URL as `metric`."""
    return str(
        state.pick(
            st.segmented_control,
            "metric",
            "Judged by",
            METRICS,
            default=METRIC,
            format_func=lambda name: words.word(name).label,
            help=exhibit_words.METRIC_HELP,
        )
    )


def metric() -> str:
    """The same choice where no widget stands: on the Lesson."""
    chosen = str(state.get("metric", METRIC))
    return chosen if chosen in METRICS else METRIC


@st.fragment(run_every=POLL)
def waiting(is_pending: Callable[[], bool]) -> None:
    """Say that curves are being computed, and draw the page again once they are there."""
    st.caption(f":material/hourglass_top: {exhibit_words.PENDING}")
    if not is_pending():
        st.rerun()


# -- a card and a line -----------------------------------------------------------------------------------------------


def card(question: Question, judged: data.Judged, keys: Sequence[str], metric: str) -> None:
    """One claim on the chosen runs: what the study says, each verdict with its settings, and the ways to more."""
    st.markdown(f"**Claim {question.number} · {question.title}**", help=exhibit_words.CLAIM_HELP)
    widgets.html(f'<p class="lens-note">{escape(question.statement)}</p>')
    mine = [claim for claim in judged.claims if claim.claim == question.number]
    for claim in mine:
        widgets.html(verdict(claim, data.claim_settings(claim, tuple(keys), metric)))
    if not mine:
        runs = " and ".join(map(data.name, keys))
        widgets.html(f'<p class="lens-verdict">{escape(exhibit_words.NO_CLAIM.format(runs=runs))}</p>')
    aside = list(dict.fromkeys(one for claim in mine for one in claim.beside))
    if aside:
        widgets.html(beside(aside))
    with st.container(horizontal=True, gap="medium"):
        page, label = SEE[question.number]
        state.link(page, label, icon=":material/arrow_forward:")
        state.link("exhibits", "Every number and the rule", icon=":material/gavel:", exhibit=question.exhibit)


def verdict(claim: Claim, settings: Sequence[Setting]) -> str:
    """A verdict as HTML: outcome, number with interval and n, one mark per setting, and the reason."""
    where = f'<span class="lens-on">{escape(claim.on)}</span>'
    parts = [f'<div class="lens-claim-head">{outcome_badge(claim.outcome)}{where}{remark(claim)}</div>']
    if claim.value is not None:
        parts.append(f'<div class="lens-big">{escape(number(claim))} <small>{escape(basis(claim))}</small></div>')
    parts.append(strip(claim, settings))
    why = exhibit_words.emphasised(escape(reason(claim)))
    parts.append(f'<p class="lens-verdict" title="{escape(claim.why)}">{why}</p>')
    if claim.gate:
        parts.append(f'<p class="lens-note">{escape(claim.gate)}</p>')
    return f'<div class="lens-claim" aria-label="{_label(claim)}">{"".join(parts)}</div>'


def line(claim: Claim) -> str:
    """A verdict as one line of HTML, for the Lesson."""
    what = f"<b>Claim {claim.claim}</b> of the study on {escape(claim.on)}: {outcome_badge(claim.outcome)}"
    why = exhibit_words.emphasised(escape(claim.why))
    return f'<p class="lens-verdict" aria-label="{_label(claim)}">{what} {why}</p>'


def outcome_badge(outcome: str) -> str:
    """The outcome as a coloured label."""
    return widgets.badge(outcome, exhibit_words.OUTCOMES.get(outcome, "partly"))


def number(claim: Claim) -> str:
    """The number judged: points for a difference, per cent for a share."""
    assert claim.value is not None
    return exhibit_words.claim_number(claim.metric, claim.value)


def basis(claim: Claim) -> str:
    """What the number is, its interval and its sample: `Recall@5, 95% interval +46.2 to +51.1, n = 1,000 queries`."""
    written = [exhibit_words.CLAIM_METRICS.get(claim.metric) or words.word(claim.metric).label]
    if claim.low is not None and claim.high is not None:
        low, high = (exhibit_words.claim_number(claim.metric, end, short=True) for end in (claim.low, claim.high))
        written.append(f"95% interval {low} to {high}")
    if claim.n:
        what = "concepts" if claim.metric in exhibit_words.CLAIM_METRICS else "queries"
        written.append(words.sample(claim.n, what))
    return ", ".join(written)


def remark(claim: Claim) -> str:
    """Beside the badge: the settings that agree and what they depend on, or what the sample could have shown."""
    texts = []
    if claim.settings is not None:
        texts.append(f"agrees in {claim.settings.agrees} of {claim.settings.of} settings")
        if claim.settings.barred:
            texts.append(f"{claim.settings.barred} not counted: their dictionary fails the gate")
    if claim.depends_on:
        texts.append(f"depends on {exhibit_words.option_label(claim.depends_on).lower()}")
    if claim.detectable is not None:
        texts.append(f"could have shown {exhibit_words.points(claim.detectable).lstrip('+')} points or more")
    return f'<span class="lens-dim">{escape("; ".join(texts))}</span>' if texts else ""


def reason(claim: Claim) -> str:
    """The verdict's sentence without the clauses that stand beside the badge already; a tooltip has all of it."""
    # The settings come last; their counts hold semicolons of their own.
    clauses = re.sub(r"; agrees in \d+ of \d+ settings.*$", "", claim.why, flags=re.DOTALL).split("; ")
    return "; ".join(one for one in clauses if not one.startswith("the smallest difference "))


def beside(verdicts: Sequence[Verdict]) -> str:
    """What stands beside the claim, quieter than the claim."""
    lines = [
        f'<p class="lens-verdict">{outcome_badge(one.outcome)} {exhibit_words.emphasised(escape(one.why))}</p>'
        for one in verdicts
    ]
    return f'<div class="lens-beside"><p class="lens-note">{exhibit_words.BESIDE_CLAIM}</p>{"".join(lines)}</div>'


def _label(claim: Claim) -> str:
    """For screen readers, which do not see that a badge belongs to a claim."""
    return f"Claim {claim.claim} on {escape(claim.on)}"


# -- the specification curve -----------------------------------------------------------------------------------------


def strip(claim: Claim, settings: Sequence[Setting]) -> str:
    """One mark per setting on a line as HTML: left to right by its number, the default ringed, the reference a tick."""
    marks = [(one, one.value) for one in settings if one.value is not None]
    if len(marks) < 2:
        return ""
    reference = exhibit_words.REFERENCES.get(claim.metric, 0.0)
    ends = [reference, *(value for _, value in marks)]
    low, span = min(ends), (max(ends) - min(ends)) or 1.0

    def at(value: float) -> str:
        return f"{100 * (value - low) / span:.2f}%"

    # The default is drawn last, so that no other mark hides it.
    dots = [
        f'<i class="{exhibit_words.OUTCOMES.get(one.outcome, "partly")}{" default" if one.default else ""}"'
        f' style="left:{at(value)}" title="{escape(_described(claim, one))}"></i>'
        for one, value in sorted(marks, key=lambda mark: mark[0].default)
    ]
    ends_written = [exhibit_words.claim_number(claim.metric, end, short=True) for end in (low, low + span)]
    tick = f'<u style="left:{at(reference)}"></u>'
    return (
        f'<div class="lens-strip" role="img" aria-label="{len(marks)} settings">{tick}{"".join(dots)}</div>'
        f'<div class="lens-strip-ends"><span>{ends_written[0]}</span><span>{ends_written[1]}</span></div>'
    )


def curve(claim: Claim, keys: Sequence[str], metric: str) -> None:
    """The whole curve as a figure: every setting with its interval, and its choices below."""
    settings = data.claim_settings(claim, tuple(keys), metric)
    if len(settings) < 2 or claim.settings is None:
        return
    table, choices = settings_table(settings)
    title = f"{claim.on}: agrees in {claim.settings.agrees} of {claim.settings.of} settings"
    title += f", depends on {exhibit_words.option_label(claim.depends_on).lower()}" if claim.depends_on else ""
    unit = "percent" if claim.metric == "share" else "points"
    reference = exhibit_words.REFERENCES.get(claim.metric, 0.0)
    chart = charts_specification.curve(table, choices, unit, reference)
    key = f"settings-{claim.exhibit}-{claim.on.replace(', ', '-')}"
    widgets.figure(title, chart, key, table, exhibit_words.CURVE_NOTE, help=exhibit_words.CURVE_HELP)


def settings_table(settings: Sequence[Setting]) -> tuple[pd.DataFrame, list[str]]:
    """The settings as rows [on, value, low, high, n, outcome, default, barred, one column per choice], and those
    choices that differ between settings."""
    names = list(dict.fromkeys(name for one in settings for name in one.choices))
    rows = []
    for one in settings:
        numbers: dict[str, object] = {"on": one.on, "value": one.value, "low": one.low, "high": one.high, "n": one.n}
        written: dict[str, object] = {
            exhibit_words.option_label(name): exhibit_words.option(name, one.choices.get(name)) for name in names
        }
        marked = {"outcome": one.outcome, "default": one.default, "barred": one.barred}
        rows.append(numbers | marked | written)
    table = pd.DataFrame(rows)
    labels = [exhibit_words.option_label(name) for name in names]
    return table, [label for label in labels if table[label].nunique() > 1]


def _described(claim: Claim, setting: Setting) -> str:
    """A setting in words, for its tooltip."""
    assert setting.value is not None
    choices = [f"{exhibit_words.option_label(n)}: {exhibit_words.option(n, v)}" for n, v in setting.choices.items()]
    written = exhibit_words.claim_number(claim.metric, setting.value)
    outcome = f"not counted: {setting.barred}" if setting.barred else setting.outcome
    return f"{written}, {outcome}. {'; '.join(choices)}"
