"""The study's claims on the chosen runs, as `core.exhibits.claims` judges them: nothing is judged here.

Overview draws a card per claim, the Lesson one line. Both show the same records, for the metric that the user chose.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from core.exhibits import Verdict
from core.exhibits.claims import METRIC, Claim, Question
from dashboard import data, state, words
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


def card(question: Question, claims: Sequence[Claim], runs: Sequence[str]) -> None:
    """One claim on the chosen runs: what the study says, each verdict, and the ways to more."""
    st.markdown(f"**Claim {question.number} · {question.title}**", help=exhibit_words.CLAIM_HELP)
    widgets.html(f'<p class="lens-note">{escape(question.statement)}</p>')
    mine = [claim for claim in claims if claim.claim == question.number]
    for claim in mine:
        widgets.html(verdict(claim))
    if not mine:
        widgets.html(f'<p class="lens-verdict">{escape(exhibit_words.NO_CLAIM.format(runs=" and ".join(runs)))}</p>')
    aside = list(dict.fromkeys(v for claim in mine for v in claim.beside))
    if aside:
        widgets.html(beside(aside))
    with st.container(horizontal=True, gap="medium"):
        page, label = SEE[question.number]
        state.link(page, label, icon=":material/arrow_forward:")
        state.link("exhibits", "Every number and the rule", icon=":material/gavel:", exhibit=question.exhibit)


def verdict(claim: Claim) -> str:
    """A verdict as HTML: badge, number with interval and n, the settings it holds under, and the reason."""
    where = f'<span class="lens-on">{escape(claim.on)}</span>'
    parts = [f'<div class="lens-claim-head">{outcome_badge(claim.outcome)}{where}{settings(claim)}</div>']
    if claim.value is not None:
        parts.append(f'<div class="lens-big">{escape(number(claim))} <small>{escape(basis(claim))}</small></div>')
    parts.append(f'<p class="lens-verdict">{in_brackets(claim.why)}</p>')
    return f'<div class="lens-claim" aria-label="{_label(claim)}">{"".join(parts)}</div>'


def line(claim: Claim) -> str:
    """A verdict as one line of HTML, for the Lesson."""
    what = f"<b>Claim {claim.claim}</b> of the study on {escape(claim.on)}: {outcome_badge(claim.outcome)}"
    return f'<p class="lens-verdict" aria-label="{_label(claim)}">{what} {settings(claim)} {in_brackets(claim.why)}</p>'


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


def settings(claim: Claim) -> str:
    """`agrees in 17 of 24 settings, depends on metric` as HTML; empty where there are none."""
    if claim.settings is None:
        return ""
    text = f"agrees in {claim.settings.agrees} of {claim.settings.of} settings"
    if claim.depends_on:
        text += f", depends on {exhibit_words.choice(claim.depends_on)}"
    return f'<span class="lens-dim">{escape(text)}</span>'


def beside(verdicts: Sequence[Verdict]) -> str:
    """What stands beside the claim, quieter than the claim."""
    lines = [f'<p class="lens-verdict">{outcome_badge(one.outcome)} {in_brackets(one.why)}</p>' for one in verdicts]
    return f'<div class="lens-beside"><p class="lens-note">{exhibit_words.BESIDE_CLAIM}</p>{"".join(lines)}</div>'


def in_brackets(text: str) -> str:
    """As HTML: intervals in brackets step back; negative numbers have a minus."""
    return exhibit_words.emphasised(escape(text))


def _label(claim: Claim) -> str:
    """For screen readers, which do not see that a badge belongs to a claim."""
    return f"Claim {claim.claim} on {escape(claim.on)}"


def of_runs(keys: Sequence[str], metric: str) -> tuple[Claim, ...]:
    """The claims on these runs, whose order is that of the keys."""
    return data.claims(tuple(keys), metric)
