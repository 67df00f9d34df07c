"""Show an exhibit on runs: compute, join, judge, and put the study's printed numbers beside.

The page and the command call this and nothing else, so that both show the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import NotAvailable, UserError
from core.exhibits.shared import printed
from core.exhibits.shared.curve import Curves, curve, survived
from core.exhibits.shared.gate import fidelity_of, with_gate
from core.exhibits.shared.records import Exhibit, LeftOut, Shown, Value, Verdict, command
from core.exhibits.shared.rows import METRIC

if TYPE_CHECKING:
    import pandas as pd

    from core.run import Run

FIRST = ("run", "model", "task")


def show(exhibit: Exhibit, runs: Sequence[Run], options: Mapping[str, Value], curves: Curves = "cached") -> Shown:
    """The exhibit on these runs. Runs that cannot take part are left out with the reason; the table is empty where none
    can. Specification curves are computed now, or only read where they are there (`curves`).

    Raises:
        UserError: no run, or an option that does not exist or cannot be.
    """
    import pandas as pd

    if not runs:
        raise UserError("an exhibit needs a run", got="none", todo=f"retrieval-lens exhibit {exhibit.name} demo")
    runs = list({run.key: run for run in runs}.values())
    if twice := [run.key for run in runs if [other.name for other in runs].count(run.name) > 1]:
        raise UserError(
            "two runs have the same name",
            got=", ".join(twice),
            todo="choose one of them, or run one again under another name",
        )
    chosen = exhibit.read_options(options)
    tables, taking_part, left_out = _compute(exhibit, runs, chosen)
    table = _joined(tables)
    judged = with_gate(exhibit, exhibit.judge(table) if exhibit.judge and len(table) else (), taking_part, chosen)
    if exhibit.grid and curves != "none":
        judged = tuple(_under_all_settings(exhibit, verdict, taking_part, chosen, curves) for verdict in judged)
    measured = exhibit.measured(table) if exhibit.measured and len(table) else None
    beside = (
        pd.DataFrame(columns=list(printed.BESIDE))
        if measured is None
        else printed.beside(exhibit.title, taking_part, measured)
    )
    on_printed = (
        printed.verdicts(exhibit.title, taking_part, beside) if exhibit.group == "study" and taking_part else ()
    )
    names = tuple(run.name for run in runs)
    return Shown(
        exhibit=exhibit,
        runs=names,
        options=chosen,
        table=table,
        verdicts=(*judged, *on_printed),
        printed=beside,
        study=printed.reported(exhibit.title),
        fidelity=_fidelity(taking_part if exhibit.on_sae else (), chosen),
        notes=(*_notes(tables), *_dependent_queries(taking_part, table)),
        left_out=tuple(left_out),
        reproduce=command(exhibit, names, chosen),
        attrs=table.attrs,
    )


def _under_all_settings(
    exhibit: Exhibit, verdict: Verdict, runs: Sequence[Run], options: Mapping[str, Value], curves: Curves
) -> Verdict:
    """A verdict on the claim with what its specification curve leaves of it; any other one as it is."""
    if verdict.about != "claim" or verdict.outcome == "cannot be said":
        return verdict
    on = [run for name in verdict.on.split(", ") for run in runs if run.name == name]
    return survived(verdict, curve(exhibit, on, options, curves))


def _compute(
    exhibit: Exhibit, runs: Sequence[Run], options: Mapping[str, Value]
) -> tuple[list[pd.DataFrame], list[Run], list[LeftOut]]:
    """Tables of the runs that can take part, those runs, and the others with their reasons."""
    tables, taking_part, left_out = [], [], []
    for run in runs:
        try:
            if exhibit.check:
                exhibit.check(run)
            if not exhibit.together:
                tables.append(_kept(exhibit, [run], options))
            taking_part.append(run)
        except NotAvailable as error:
            left_out.append(LeftOut(run.name, str(error)))
    if exhibit.together and taking_part:
        tables.append(_kept(exhibit, taking_part, options))
    return tables, taking_part, left_out


def _kept(exhibit: Exhibit, runs: Sequence[Run], options: Mapping[str, Value]) -> pd.DataFrame:
    """The table from the cache, or computed now and kept with the first run."""
    from core.questions.answers import cached_table, explicit

    options = exhibit.computed(options)
    if not exhibit.kept:
        return exhibit.compute(runs, **options)
    depends = dict(exhibit.depends()) if exhibit.depends else {}
    arguments = {
        "options": dict(options),
        "runs": [run.key for run in runs],
        "families": [run.family for run in runs],  # who is compared with whom hangs on it
        "version": exhibit.version,
        "variants": explicit(runs[0], *exhibit.variants),
        "depends": depends,
    }
    return cached_table(runs[0], f"exhibit-{exhibit.name}", arguments, lambda: exhibit.compute(runs, **options))


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table, run, model and task first; `attrs` of each under the name of its run."""
    import pandas as pd

    if not tables:
        return pd.DataFrame()
    attrs: dict[str, Any] = {str(table["run"].iloc[0]): table.attrs for table in tables if len(table)}
    plain = [table.copy() for table in tables]
    for table in plain:
        table.attrs = {}
    joined = pd.concat(plain, ignore_index=True)
    joined = joined[[*(c for c in FIRST if c in joined), *(c for c in joined if c not in FIRST)]]
    joined.attrs = attrs
    return joined


def _notes(tables: Sequence[pd.DataFrame]) -> tuple[str, ...]:
    """Notes of all tables; said once where several runs share one, with the run's name where they differ."""
    notes: dict[str, list[str]] = {}
    for table in tables:
        for note in table.attrs.get("notes", ()):
            notes.setdefault(str(note), []).append(str(table["run"].iloc[0]) if len(table) else "")
    several = len(tables) > 1
    return tuple(
        f"{', '.join(runs)}: {note}" if several and len(runs) < len(tables) else note for note, runs in notes.items()
    )


def _dependent_queries(runs: Sequence[Run], table: pd.DataFrame) -> Iterator[str]:
    """A note per run in which several queries share a relevant candidate, for tables with tests over queries."""
    import numpy as np

    if not any(column.endswith("_p") for column in table):
        return
    for run in runs:
        pairs = np.unique(run.qrels("test").pairs, axis=0)
        shared = np.bincount(pairs[:, 1])[pairs[:, 1]] > 1
        if n := len(np.unique(pairs[shared, 0])):
            yield (
                f"{run.name}: {n:,} queries share a relevant candidate with another; intervals and tests draw and flip"
                " such queries together (docs/study.md section 7)"
            )


def _fidelity(runs: Sequence[Run], options: Mapping[str, Value]) -> pd.DataFrame:
    """Figures of the dictionary that the options choose, on each run: DataFrame[run, figure, value, n]; of the recalls
    the first, and the one that the gate asks."""
    import pandas as pd

    columns = ["run", "figure", "value", "n"]
    if not runs:
        return pd.DataFrame(columns=columns)
    table = pd.concat([fidelity_of(run, options).table.assign(run=run.name) for run in runs], ignore_index=True)
    recalls = ("recall@1 ", f"{options.get('metric', METRIC.default)} ")
    shown = ~table["figure"].str.startswith("recall@") | table["figure"].str.startswith(recalls)
    return table[shown][columns].reset_index(drop=True)
