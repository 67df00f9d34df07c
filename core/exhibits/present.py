"""A tidy table made fit to read: an estimate and its interval in one cell, what all rows share said once.

The command and the page use it alike, each with its own way to write a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan
from typing import Any

import pandas as pd

Write = Callable[[str, Any], str]
"""(column, value) -> text."""


@dataclass(frozen=True, eq=False)
class Readable:
    """`table`: text cells, intervals inside them; `shared`: columns with one value in all rows, as text."""

    table: pd.DataFrame
    shared: dict[str, str]


def readable(table: pd.DataFrame, write: Write | None = None, keep: tuple[str, ...] = ("run",)) -> Readable:
    """Merge NAME, NAME_low, NAME_high into `NAME [low, high]`, take shared columns out (but for `keep` and values with intervals)."""
    write = write or plain
    ends = {f"{name}{end}" for name in table for end in ("_low", "_high") if {f"{name}_low", f"{name}_high"} <= set(table)}
    names = [name for name in table if name not in ends]
    shared = {name: write(name, table[name].iloc[0]) for name in names if len(table) and _shared(table, name, keep)}
    rows = [{name: _cell(row, name, write) for name in names if name not in shared} for row in table.to_dict("records")]
    return Readable(pd.DataFrame(rows, columns=[n for n in names if n not in shared]), {n: v for n, v in shared.items() if v})


def plain(name: str, value: Any) -> str:
    """Four digits for fractions, everything else as it is; nothing for what is undefined."""
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def _shared(table: pd.DataFrame, name: str, keep: tuple[str, ...]) -> bool:
    return name not in keep and f"{name}_low" not in table and table[name].nunique(dropna=False) == 1


def _cell(row: dict[str, Any], name: str, write: Write) -> str:
    text = write(name, row[name])
    low, high = (row.get(f"{name}{end}") for end in ("_low", "_high"))
    if low is None or high is None or isnan(low) or isnan(high) or not text:
        return text
    return f"{text} [{write(name, low)}, {write(name, high)}]"
