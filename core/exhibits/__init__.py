"""Each figure and table of the study as one function on runs, and what the study leaves out beside them.

`show_exhibit("table-1", runs)` shows one: its table, verdicts, the printed numbers beside the live ones, and what was
left out and why. `EXHIBITS` lists all; `registry.py` says what an exhibit is; `study.py` and `beyond.py` hold the
entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import UserError, nearest
from core.exhibits.beyond import BEYOND
from core.exhibits.printed import reported
from core.exhibits.registry import Exhibit, LeftOut, Option, Shown, Value, Verdict
from core.exhibits.show import show
from core.exhibits.study import STUDY

if TYPE_CHECKING:
    from core.run import Run

__all__ = ["EXHIBITS", "Exhibit", "LeftOut", "Option", "Shown", "Value", "Verdict", "reported", "show_exhibit"]

EXHIBITS: dict[str, Exhibit] = {exhibit.name: exhibit for exhibit in (*STUDY, *BEYOND)}
"""Every exhibit by name, the study's first."""


def show_exhibit(name: str, runs: Sequence[Run], **options: Value) -> Shown:
    """The exhibit on these runs; ratios are 0-1. Runs that cannot take part are left out, each with its reason.

    Raises:
        UserError: no such exhibit, no run, or an option that does not exist or cannot be.
    """
    if name not in EXHIBITS:
        raise UserError("no such exhibit", got=repr(name), allowed=nearest(name, EXHIBITS))
    return show(EXHIBITS[name], runs, options)
