"""Write measured figures into the model cards, between two marks, so that a card cannot say what was not measured.

In:  rows of (what, value, sample) and a card that has the marks.
Out: the card with its table of figures replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- figures: written by `python -m core.demo.train evaluate` -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Figure:
    """One measured share (0 to 1), what it is of, and the sample it was measured on."""

    what: str
    share: float
    sample: str

    def row(self) -> str:
        return f"| {self.what} | {100 * self.share:.1f}% | {self.sample} |"


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    return "\n".join(["| figure | value | measured on |", "| --- | --- | --- |", *(f.row() for f in figures)])


def write(card: Path, figures: list[Figure]) -> None:
    """Replace what stands between the marks of a card."""
    text = card.read_text(encoding="utf-8")
    head, mark, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{card} lacks the marks {BEGIN!r} and {END!r}; put them where the table belongs")
    card.write_text(f"{head}{BEGIN}\n{table(figures)}\n{END}{tail}", encoding="utf-8")
