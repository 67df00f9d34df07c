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


def write(card: Path, figures: list[Figure], part: str = "") -> None:
    """Replace what stands between the marks of a card; `part` names another pair of marks, such as those of the mix `study`."""
    begin, end = (mark.replace("figures", f"figures of {part}", 1) if part else mark for mark in (BEGIN, END))
    text = card.read_text(encoding="utf-8")
    head, first, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{card} lacks the marks {begin!r} and {end!r}; put them where the table belongs")
    card.write_text(f"{head}{begin}\n{table(figures)}\n{end}{tail}", encoding="utf-8")
