"""Write measured figures into the model cards, between two marks, so that a card cannot say what was not measured.

In:  rows of (what, value, sample), or lines, and a card that has the marks.
Out: the card with that part replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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


def marks(part: str) -> tuple[str, str]:
    """The comments a part of a card stands between."""
    return f"<!-- {part}: written by `python -m core.demo.train evaluate` -->", f"<!-- end of {part} -->"


def write(card: Path, part: str, body: str) -> None:
    """Replace what stands between the marks of a part of a card."""
    begin, end = marks(part)
    text = card.read_text(encoding="utf-8")
    head, first, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not first or not last:
        raise ValueError(f"{card} lacks the marks {begin!r} and {end!r}; put them where the {part} belong")
    card.write_text(f"{head}{begin}\n{body}\n{end}{tail}", encoding="utf-8")
