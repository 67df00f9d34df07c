"""An exhibit made fit to read: verdicts in the words of its question, tables with an interval in the cell of its
estimate.

What all rows share, and what all rows of a run share, is said once; unlike rows stand in tables of their own. The
command and the page use it alike, each with its own way to write a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.exhibits.shared.words import WORDS

if TYPE_CHECKING:
    from core.exhibits.shared.records import Exhibit, Verdict

Write = Callable[[str, Any], str]
"""(column, value) -> text."""
WHO = ("model", "kind", "task")
"""Columns that say what a run is: never in a table's rows."""
FIRST = ("run", "then", "removal", "named", "measure")
LAST = ("queries", "candidates", "compared_with", "setting", "fitted_on", "note")
"""Columns that explain a row and are no numbers of it."""
REPEATED = {"amount": "share", "concept": "named"}
"""Columns that say in other words what another one says: left out where that is there."""
EXPRESSION = re.compile(r"\w\(\w+=")
ROUNDING = 1e-12
"""Smaller numbers are what rounding leaves of 0."""
ANSWERS = {"agrees": "yes", "disagrees": "no"}


@dataclass(frozen=True, eq=False)
class Readable:
    """Text cells with intervals inside them, and what need not be repeated in every row."""

    table: pd.DataFrame
    shared: dict[str, str]
    """Columns with one value in all rows."""
    by_run: dict[str, dict[str, str]] = field(default_factory=dict)
    """run -> what it is, and columns with one value in all of its rows."""


def spoken(exhibit: Exhibit, verdict: Verdict) -> str:
    """The outcome as one says it: agrees and disagrees for a claim, yes and no for a question."""
    return ANSWERS.get(verdict.outcome, verdict.outcome) if exhibit.group == "beyond" else verdict.outcome


def by_run(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Verdicts under the run, or the runs, they speak of."""
    verdicts_by_run: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        verdicts_by_run.setdefault(verdict.on, []).append(verdict)
    return verdicts_by_run


def sheets(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(title, table): rows of unlike parts apart, without the columns that say nothing of them; measures in rows,
    variants in columns."""
    if {"measure", "variant", "value", "change"} <= set(table):
        return [("", _side_by_side(table))]
    parts = (
        [(str(name), rows.dropna(axis=1, how="all")) for name, rows in table.groupby("part", sort=False)]
        if "part" in table
        else []
    )
    if len({tuple(rows.columns) for _, rows in parts}) < 2:
        return [("", table)]
    said = [column for column in WHO if column in table]  # once is enough
    return [(name, rows.drop(columns=["part", *(said if i else ())])) for i, (name, rows) in enumerate(parts)]


def _side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run and measure: the value under each variant, and its change from the first with interval and p."""
    names = [name for name in (*WHO, "queries", "candidates") if name in table]
    whole = table.drop_duplicates(["run", "measure"])[["run", *names, "measure"]]
    for variant in table["variant"].drop_duplicates():
        word = WORDS.get(variant, variant)
        columns = (
            {"value": word}
            | {f"change{end}": f"change, {word}{end}" for end in ("", "_low", "_high")}
            | {"change_p": f"p, {word}"}
        )
        mine = table[table["variant"] == variant].rename(columns=columns)[["run", "measure", *columns.values()]]
        whole = whole.merge(mine.dropna(axis=1, how="all"), on=["run", "measure"], how="left")
    return whole


def readable(table: pd.DataFrame, write: Write | None = None, keep: tuple[str, ...] = ("run",)) -> Readable:
    """Merge NAME, NAME_low, NAME_high into `NAME [low, high]`, take shared columns out (but for `keep` and values with
    intervals)."""
    write = write or plain
    ends = {
        f"{name}{end}" for name in table for end in ("_low", "_high") if {f"{name}_low", f"{name}_high"} <= set(table)
    }
    names = [name for name in _ordered(table) if name not in ends]
    shared = {name: write(name, table[name].iloc[0]) for name in names if len(table) and _shared(table, name, keep)}
    names = [name for name in names if name not in shared]
    once = [name for name in names if name not in keep and _once_per_run(table, name)]
    once.sort(key=lambda name: name not in WHO)
    names = [name for name in names if name not in once]
    rows = [{name: _cell(row, name, write) for name in names} for row in table.to_dict("records")]
    firsts = table.drop_duplicates("run").to_dict("records") if once else []
    facts = {str(row["run"]): _filled({name: _cell(row, name, write) for name in once}) for row in firsts}
    return Readable(pd.DataFrame(rows, columns=names), _filled(shared), facts)


def plain(name: str, value: Any) -> str:
    """Four digits for fractions, everything else as it is; nothing for what is undefined. What is rounding and no p is
    0."""
    if isinstance(value, float):
        value = 0.0 if abs(value) < ROUNDING and not name.startswith("p") and not name.endswith("_p") else value
        return "" if isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def _ordered(table: pd.DataFrame) -> list[str]:
    """What names a row first, numbers next, what explains it last; no column that repeats another."""
    names = [name for name in table if REPEATED.get(name) not in table]
    first = [name for name in FIRST if name in names]
    last = [name for name in names if name not in first and (name in LAST or _expressions(table[name]))]
    return [*first, *(name for name in names if name not in (*first, *last)), *last]


def _expressions(column: pd.Series) -> bool:
    """Whether texts of a column are expressions like `realign(beta=0.1)`: long, and no name."""
    return any(isinstance(value, str) and EXPRESSION.search(value) for value in column)


def _shared(table: pd.DataFrame, name: str, keep: tuple[str, ...]) -> bool:
    return name not in keep and f"{name}_low" not in table and table[name].nunique(dropna=False) == 1


def _once_per_run(table: pd.DataFrame, name: str) -> bool:
    """Whether a column says something of the run and not of its rows: what it is, or one value in all of several
    rows."""
    if name in WHO or "run" not in table:
        return name in WHO and "run" in table
    values = [column for column in (name, f"{name}_low", f"{name}_high") if column in table]
    runs = table.groupby("run", sort=False)
    return bool(runs.size().min() > 1 and (runs[values].nunique(dropna=False) == 1).all(axis=None))


def _filled(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _cell(row: dict[str, Any], name: str, write: Write) -> str:
    text = write(name, row[name])
    low, high = (row.get(f"{name}{end}") for end in ("_low", "_high"))
    if low is None or high is None or isnan(low) or isnan(high) or not text:
        return text
    ends = [write(name, end).removesuffix("%") for end in (low, high)]
    return f"{text} [{', '.join(ends)}]"
