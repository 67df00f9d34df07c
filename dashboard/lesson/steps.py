"""The nine steps of the Lesson: each draws one idea from live numbers and returns what to say about it.

Sentences are chosen by the numbers: a step claims nothing that the run does not show, and calls a difference whose test
is not clear just that. What is missing (no pictures, no SAE, no second run) is said in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dashboard.lesson.part_1_search import contrasts, searches, sees
from dashboard.lesson.part_2_concepts import decides, inside, speaks
from dashboard.lesson.part_3_repair import common, takes_home, whitens
from dashboard.lesson.shared import Subject


@dataclass(frozen=True)
class Step:
    """One idea: its title, what draws it, and the page that shows more (with its label)."""

    title: str
    draw: Callable[[Subject], str]
    page: str
    see: str
    one_query: bool = True
    """Whether it is about one query, so that another example shows something else."""
    claim: int | None = None
    """The study's claim that the step is about."""


STEPS: tuple[Step, ...] = (
    Step("It sees", sees, "playground", "Ask it yourself"),
    Step("It searches", searches, "retrieval", "All queries, one by one"),
    Step("A second model", contrasts, "compare", "Compare the two"),
    Step("Look inside", inside, "concepts", "Every concept"),
    Step("Who speaks", speaks, "modality", "The whole distribution", one_query=False, claim=1),
    Step("What decides", decides, "similarity", "Take this similarity apart", claim=3),
    Step("The common part", common, "map", "See it on the map"),
    Step("What whitening adds", whitens, "retrieval", "Move β yourself", one_query=False, claim=4),
    Step("Take it home", takes_home, "exhibits", "The study’s figures and tables", one_query=False),
)
