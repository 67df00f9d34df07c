"""The command `explain`: what happens to one failing query if a concept goes, and the smallest edit that repairs it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.commands.application import Json, RunName, command, named_run
from core.commands.output import emit, say, show_table
from core.errors import UserError
from core.run import Run


@command()
def explain(
    run_: RunName,
    query: Annotated[str, typer.Option(help="Id of a test query; `evaluate` says how many fail.")],
    variant: Annotated[str, typer.Option(help="Under which variant, such as center or realign.")] = "none",
    controls: Annotated[
        bool, typer.Option(help="Compare with matched concepts: measures every concept once per variant.")
    ] = True,
    json_: Json = False,
) -> None:
    """Why a query fails: each active concept switched off, against matched ones, and the smallest repair."""
    from core.questions import what_if

    opened = named_run(run_)
    payload = what_if.payload(opened, row_of(opened, query), variant, controls)
    if json_:
        emit(payload)
        return
    import pandas as pd

    columns = ["concept", "label", "active_on", "rank", "flips_q", "fixed", "broken", "change", "p"]
    title = f"{opened.name}, query {query}, {payload['variant']}: rank {payload['rank']}; {payload['statistics']}"
    show_table(pd.DataFrame(payload["concepts"])[columns].head(20), f"{title} statistics")
    if payload["rank"] == 1:
        say("The query does not fail: there is nothing to repair.")
        return
    say(_repair("smallest", payload["smallest"]))
    say(_repair("by greed", payload["greedy"]))


def row_of(run: Run, query: str) -> int:
    """The row of a test query by its id. UserError where there is none."""
    ids = [str(one) for one in run.corpus.items("queries").ids]
    if query not in ids:
        raise UserError("no such query", got=repr(query), allowed=f"ids such as {ids[0]!r}, {len(ids)} in all")
    return ids.index(query)


def _repair(kind: str, repair: dict[str, Any] | None) -> str:
    if repair is None:
        return f"{kind}: none of up to three concepts holds" if kind == "smallest" else f"{kind}: none"
    low, high = (100 * end for end in repair["ci95"])
    change = f"{100 * repair['recall@1_change']:+.1f} points [{low:+.1f}, {high:+.1f}]"
    return (
        f"{kind}: {repair['variant']} ({', '.join(repair['labels'])}); rank {repair['rank']}; elsewhere"
        f" {repair['fixed']} fixed, {repair['broken']} broken, Recall@1 {change}"
    )
