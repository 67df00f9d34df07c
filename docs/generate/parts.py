"""The generated parts: where each stands, who makes it, and when two texts of one part say the same.

In: a page with marks. Out: the page with the text between its marks replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from docs.generate import files, findings, reference, scale, speed

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"(?<![\w.-])[+−-]?\d[\d,]*(?:\.\d+)?")
TOLERANCE = 0.3
"""Points by which a live number may differ from the written one: three queries in a thousand. Processors round
differently, and a near tie between two candidates may fall the other way."""


@dataclass(frozen=True)
class Part:
    """One generated text: its page (from the checkout's root), its name in the marks, and its maker."""

    page: str
    name: str
    make: Callable[[], str]
    needs_runs: bool = False

    @property
    def marks(self) -> tuple[str, str]:
        return f"<!-- generated: {self.name} (make docs) -->", f"<!-- end of {self.name} -->"

    def read(self) -> str:
        """What stands between the marks now."""
        return self._split()[1]

    def write(self, text: str) -> None:
        """Put a text between the marks."""
        head, _, tail = self._split()
        (ROOT / self.page).write_text(f"{head}\n{text}\n{tail}", encoding="utf-8")

    def _split(self) -> tuple[str, str, str]:
        """The page up to the first mark, the part, and the page from the last mark on."""
        page = (ROOT / self.page).read_text(encoding="utf-8")
        begin, end = self.marks
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{self.page} needs each mark once: {begin} and {end}")
        head, rest = page.split(begin)
        text, tail = rest.split(end)
        return head + begin, text.strip("\n"), end + tail


PARTS = (
    Part("README.md", "findings", findings.three, needs_runs=True),
    Part("docs/findings.md", "findings", findings.all_findings, needs_runs=True),
    Part("docs/architecture.md", "map", files.tree),
    Part("docs/cli.md", "commands", reference.commands),
    Part("docs/cli.md", "exhibits", reference.exhibits),
    Part("docs/glossary.md", "words", reference.words),
    Part("docs/python.md", "names", reference.names),
    Part("docs/running.md", "spec", reference.spec_keys),
    Part("docs/running.md", "presets", reference.presets),
    Part("docs/running.md", "models", reference.models),
)
SPEED = Part("docs/speed.md", "speed", speed.measured)
SCALE = Part("docs/scale.md", "scale", scale.measured)
"""Seconds differ from machine to machine and from minute to minute, so no check compares them."""


def agree(written: str, live: str, tolerance: float = TOLERANCE) -> bool:
    """Whether two texts use the same words and the same numbers, the numbers within `tolerance`.

    Whole numbers (sample sizes, counts) must be equal. Only numbers with a decimal point may differ.
    """
    if NUMBER.sub("#", written) != NUMBER.sub("#", live):
        return False
    pairs = zip(NUMBER.findall(written), NUMBER.findall(live), strict=True)
    return all(a == b or ("." in a and "." in b and abs(_value(a) - _value(b)) <= tolerance + 1e-9) for a, b in pairs)


def _value(number: str) -> float:
    return float(number.replace(",", "").replace("−", "-"))
