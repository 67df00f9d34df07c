"""The paper's table of contents: a file per figure and table of the study, and per question it leaves out (`beyond_*`).

A file holds the whole of its exhibit: `compute` makes its table from runs, `judge` says what the table means for the
claim, `measured` writes its numbers in the study's terms, `EXHIBIT` states claim, definition and rule. `registry.py`
lists them; `shared/` holds what they share. `show_exhibit("table-1", runs)` shows one: its table, verdicts, the printed
numbers beside the live ones, and what was left out and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import UserError, nearest
from core.exhibits.registry import EXHIBITS, FILES
from core.exhibits.shared.curve import Curves
from core.exhibits.shared.printed import reported
from core.exhibits.shared.records import Exhibit, LeftOut, Option, Shown, Value, Verdict
from core.exhibits.shared.show import show

if TYPE_CHECKING:
    from core.run import Run

__all__ = ["EXHIBITS", "FILES", "Exhibit", "LeftOut", "Option", "Shown", "Value", "Verdict", "reported", "show_exhibit"]


def show_exhibit(name: str, runs: Sequence[Run], *, curves: Curves = "cached", **options: Value) -> Shown:
    """The exhibit on these runs; ratios are 0-1. Runs that cannot take part are left out, each with its reason.

    A claim judged under many settings needs its specification curve: `curves` "computed" makes a missing one now,
    "cached" leaves such a verdict open where it would disagree.

    Raises:
        UserError: no such exhibit, no run, or an option that does not exist or cannot be.
    """
    if name not in EXHIBITS:
        raise UserError("no such exhibit", got=repr(name), allowed=nearest(name, EXHIBITS))
    return show(EXHIBITS[name], runs, options, curves)
