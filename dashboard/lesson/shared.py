"""What the steps of the Lesson share: subject, step, the sentence in big type, and words for paired
differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

from core.errors import NotAvailable
from core.questions import retrieval
from core.records import Part
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


@dataclass(frozen=True)
class Step:
    """One idea of the Lesson.

    `question` returns the question to the audience as HTML and may draw what they need to see for it. `answer` draws
    the answer and returns what to say about it.
    """

    title: str
    question: Callable[[Subject], str]
    answer: Callable[[Subject], str]
    page: str
    """The page that shows more."""
    see: str
    """The label of the link to it."""
    one_query: bool = True
    """Whether it is about one query, so that another example shows something else."""
    claim: int | None = None
    """The study's claim that the step is about."""


def story(sentence: str) -> None:
    """The answer of a step, in big type; already HTML."""
    widgets.html(f'<p class="lens-lesson">{sentence}</p>')


def quoted(text: str) -> str:
    """A text in quotation marks, as HTML."""
    return f"“{escape(text)}”"


def pictured(lesson: Subject) -> tuple[Part, int]:
    """The query or its right candidate, whichever is a picture alone.

    Raises:
        NotAvailable: neither is.
    """
    places: tuple[tuple[Part, int], ...] = (("queries", lesson.query), ("candidates", lesson.right))
    for part, row in places:
        item = data.item(lesson.run, part, row)
        if item.modality == "image" and item.image:
            return part, row
    raise NotAvailable(
        "neither this query nor its right answer is a picture alone", todo="choose a run from images to texts, or back"
    )


# -- paired differences ----------------------------------------------------------------------------------------------


def recall_change(run: str, before: str, after: str) -> Mapping[str, float]:
    """Recall@1 of two variants, paired query by query: the row `recall@1` of `retrieval.compare`."""
    row: Mapping[str, float] = data.ask(retrieval.compare, run, before, after).table.set_index("metric").loc["recall@1"]
    return row


def change(row: Mapping[str, float]) -> str:
    """What a paired difference shows, or that it shows nothing clearly."""
    return CHANGES[direction(row)]


def direction(row: Mapping[str, float]) -> int:
    """1, -1 or 0: a clear gain, a clear loss, not clear."""
    return data.direction(row["difference_low"], row["difference_high"], row["p_value"])


def signed(row: Mapping[str, float]) -> str:
    """`+17.3 points (+14.0 to +20.6)`."""
    low, high = (f"{100 * row[end]:+.1f}".replace("-", "−") for end in ("difference_low", "difference_high"))
    return f"{points(row['difference'])} ({low} to {high})"


def p_of(row: Mapping[str, float]) -> str:
    """`< 0.001` or `= 0.012`."""
    return "< 0.001" if row["p_value"] < 0.001 else f"= {row['p_value']:.3f}"
