"""What the steps of the Lesson share: their subject, the sentence in big type, and words for paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from core.questions import retrieval
from dashboard import data
from dashboard.parts import widgets
from dashboard.words import points

PICTURE = "14rem"
"""Least width of the one picture of a step."""
CHANGES = {1: "a clear gain", -1: "a clear loss", 0: "not clear"}
"""Direction of a paired difference, in words."""


@dataclass(frozen=True)
class Subject:
    """What the lesson is about: keys of the run and of one to compare with, a query, its right and its best-ranked
    wrong candidate."""

    run: str
    other: str | None
    query: int
    right: int
    wrong: int

    @property
    def model(self) -> str:
        return data.facts(self.run).model


def story(sentence: str) -> None:
    """The sentence of a step, in big type; already HTML."""
    widgets.html(f'<p class="lens-lesson">{sentence}</p>')


def quoted(text: str) -> str:
    """A text in quotation marks, as HTML."""
    return f"“{escape(text)}”"


# -- paired differences ----------------------------------------------------------------------------------------------


def recall_change(run: str, before: str, after: str) -> Mapping[str, float]:
    """Recall@1 of two variants, paired query by query: the row `recall@1` of `retrieval.compare`."""
    row: Mapping[str, float] = data.ask(retrieval.compare, run, before, after).table.set_index("metric").loc["recall@1"]
    return row


def change(row: Mapping[str, float]) -> str:
    """What a paired difference shows, or that it shows nothing clearly."""
    return CHANGES[data.direction(row["difference_low"], row["difference_high"], row["p_value"])]


def signed(row: Mapping[str, float]) -> str:
    """`+17.3 points (+14.0 to +20.6)`."""
    low, high = (f"{100 * row[end]:+.1f}".replace("-", "−") for end in ("difference_low", "difference_high"))
    return f"{points(row['difference'])} ({low} to {high})"


def p_of(row: Mapping[str, float]) -> str:
    """`< 0.001` or `= 0.012`."""
    return "< 0.001" if row["p_value"] < 0.001 else f"= {row['p_value']:.3f}"
