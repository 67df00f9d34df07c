"""What the commands print: strict JSON on one line, or tables that stay legible however wide they are.

A table that does not fit is set in blocks one below the other, each beginning with the columns that name the row; long
texts become numbered notes below it.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from core.text import UNSAFE, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from rich.table import Table

    from core.exhibits import Shown
    from core.exhibits.claims import Claim
    from core.questions.recommend import Recommendation

NO_TERMINAL = 200
"""Characters per line where stdout is no terminal."""
LONG = 36
"""Characters from which a text that stands in a wide table becomes a note."""
NAMES = 3
"""Columns that name a row, at most."""


def say(text: str, err: bool = False) -> None:
    """Print lines that may repeat what somebody else wrote: names, captions, paths. The only way to the terminal.

    Only line breaks are obeyed; every other control character is written out.
    """
    for line in text.split("\n"):
        typer.echo(printable(line), err=err)


def emit(payload: dict[str, Any]) -> None:
    """Print strict JSON on one line: NaN and infinity become null, control characters stay escapes."""
    text = json.dumps(_strict(payload), ensure_ascii=False)
    typer.echo(UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def show_table(table: pd.DataFrame, title: str = "") -> None:
    """A table on stdout."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=None if sys.stdout.isatty() else NO_TERMINAL)
    written = table.map(_cell).rename(columns=printable)
    notes: list[str] = []
    if Measurement.get(console, console.options.update(width=10_000), _grid(written)).maximum > console.width:
        written, notes = _noted(written)
    for at, block in enumerate(_blocks(written, console.width)):
        console.print(_grid(block, title if at == 0 else ""))
    for number, note in enumerate(notes, 1):
        console.print(f"[{number}] {note}", markup=False, highlight=False)


def present(result: Shown) -> None:
    """Claim, verdicts by run, tables, printed numbers and notes of an exhibit."""
    from core.exhibits.shared.present import sheets

    say(f"{result.exhibit.title}: {result.exhibit.claim}")
    _judged(result)
    for left in result.left_out:
        say(f"left out, {left.run}: {left.why}")
    for title, table in sheets(result.table):
        _tabulate(table, title)
    _tabulate(result.printed, "live beside printed")
    _tabulate(result.fidelity, "fidelity of the SAE")
    for line in (*result.exhibit.contradictions, *result.notes):
        say(f"note: {line}", err=True)


def _judged(result: Shown) -> None:
    """Verdicts by what they are about and by run; a run with several has a line of its own."""
    from core.exhibits.shared.present import by_run, spoken

    titles = {
        "claim": "answer" if result.exhibit.group == "beyond" else "claim",
        "beside": "beside the claim",
        "printed": "printed numbers",
    }
    for about, title in titles.items():
        for run, verdicts in by_run([verdict for verdict in result.verdicts if verdict.about == about]).items():
            say(f"{title}, {run}:")
            for verdict in verdicts:
                say(f"  {spoken(result.exhibit, verdict)}: {verdict.why}")
            for gate in dict.fromkeys(verdict.gate for verdict in verdicts if verdict.gate):
                say(f"  dictionary: {gate}")


def present_claims(claims: Sequence[Claim]) -> None:
    """Claim by claim what the study says, the verdict on each run, and what stands beside it."""
    heading = None
    for claim in claims:
        if claim.claim != heading:
            say(f"Claim {claim.claim} ({claim.exhibit}): {claim.statement}")
            heading = claim.claim
        settings = f" in {claim.settings.agrees} of {claim.settings.of} settings" if claim.settings else ""
        depends = f", depends on {claim.depends_on}" if claim.depends_on else ""
        say(f"  {claim.on}: {claim.outcome}{depends}. {claim.why}")
        if settings:
            say(f"    agrees{settings}")
        if claim.gate:
            say(f"    dictionary: {claim.gate}")
        for verdict in claim.beside:
            say(f"    beside: {verdict.outcome}: {verdict.why}")


def present_recommendation(run: str, found: Recommendation) -> None:
    """The advice first, then what it rests on."""
    say(f"{run}: {found.advice}")
    say(f"  {found.why}")
    columns = ["remedy", "recall@1", "recall@1_low", "recall@1_high", "gain", "gain_low", "gain_high", "p_max_t"]
    if len(found.table):
        table = found.table[[*columns, "behind", "behind_error"]]
        _tabulate(table, f"{found.remedy!r} chosen on {found.chosen_on}")
    if (score := found.score) is not None:
        say(f"scored once on {found.scored_on}, {score.candidates:,} candidates: variant {found.variant}")
        say(f"  recall@1 {100 * score.recall:.1f}% (95% interval {100 * score.low:.1f} to {100 * score.high:.1f})")
        if found.remedy != "raw":
            gain = _points(score.gain, score.gain_low, score.gain_high)
            say(f"  {gain} over raw, p {score.p:.2g}")
    say(f"cost: {found.cost.microseconds:,.0f} microseconds per query on this machine, {found.cost.numbers:,} numbers")
    if (new := found.new_candidates) is not None:
        say("new queries: those scored were new to the fit; each is treated alone, by fixed statistics")
        change = _points(new.change, new.low, new.high)
        say(f"new candidates: with {new.seen:,} of {new.of:,} in the fit, the others new: {change}")
    if (drift := found.drift) is not None:
        say(
            f"fit again when new queries drift above {drift.limit:.2f} (1: chance; fitted on {drift.queries:,} queries)"
        )
        if drift.halves is not None and drift.change is not None and drift.low is not None and drift.high is not None:
            lost = _points(drift.change, drift.low, drift.high)
            say(
                f"  for scale: the halves of them on either side of their first axis are {drift.halves:.1f} apart; on"
                f" one, the statistics of the other change recall@1 by {lost}"
            )
    for note in found.notes:
        say(f"note: {note}", err=True)


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f})"


def _tabulate(table: pd.DataFrame, title: str) -> None:
    """A table, what its rows share above it."""
    from core.exhibits.shared.present import readable

    if not len(table):
        return
    sheet = readable(table)
    for run, facts in sheet.by_run.items():
        say(f"{run}: {', '.join(f'{name} {value}' for name, value in facts.items())}")
    shared = ", ".join(f"{name} {value}" for name, value in sheet.shared.items())
    show_table(sheet.table, ": ".join(part for part in (title, shared) if part))


def _strict(value: Any) -> Any:
    import numpy as np

    if isinstance(value, dict):
        return {str(k): _strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_strict(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _cell(value: object) -> str:
    """A cell as text: four digits of a float."""
    if isinstance(value, float):
        return "undefined" if math.isnan(value) else f"{value:.4g}"
    return printable(value)


def _grid(table: pd.DataFrame, title: str = "") -> Table:
    from rich.table import Table
    from rich.text import Text

    grid = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for name in table.columns:
        grid.add_column(Text(name))  # Text: what a name holds is no markup
    for row in table.itertuples(index=False):
        grid.add_row(*[Text(cell) for cell in row])
    return grid


def _noted(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Cells of columns with long texts as `[1]`, `[2]`, ..., and those texts."""
    naming = _naming(table)
    long = [name for name in table if name not in naming and table[name].str.len().max() > LONG]
    notes = list(dict.fromkeys(text for name in long for text in table[name] if text))
    numbers = {text: f"[{number}]" for number, text in enumerate(notes, 1)}
    return table.assign(**{name: [numbers.get(text, "") for text in table[name]] for name in long}), notes


def _blocks(table: pd.DataFrame, width: int) -> list[pd.DataFrame]:
    """Tables that each fit into `width` where a column alone does, the first columns repeated in each."""
    sizes = {name: max([len(name), *table[name].str.len()]) + 3 for name in table}
    names = _naming(table)
    repeated = 1 + sum(sizes[name] for name in names)
    blocks: list[list[str]] = [[]]
    for name in (name for name in table if name not in names):
        if blocks[-1] and repeated + sum(sizes[one] for one in (*blocks[-1], name)) > width:
            blocks.append([])
        blocks[-1].append(name)
    return [table[[*names, *block]] for block in blocks]


def _naming(table: pd.DataFrame) -> list[str]:
    """The columns, from the left, that it takes to tell the rows apart; three at most, and always the first."""
    names: list[str] = []
    distinct = 0
    for name in table:
        with_it = len(table[[*names, name]].drop_duplicates())
        if not names or with_it > distinct:
            names, distinct = [*names, name], with_it
        if distinct == len(table) or len(names) == NAMES:
            break
    return names
