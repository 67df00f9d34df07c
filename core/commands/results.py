"""Commands that answer from a run: retrieval, concepts, exhibits, the study's claims, the export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.commands.application import Json, RunName, command, fail, named_run
from core.commands.output import emit, present, present_claims, say, show_table
from core.errors import UserError

if TYPE_CHECKING:
    from core.run import Run

Transform = Literal["none", "center", "pca", "zca", "realign", "auto"]
Layout = Literal["plain", "mteb", "sentence-transformers"]
Measures = Literal["study", "mteb"]
StatisticsChoice = Literal["per-side", "support", "shared", "candidates", "per-modality"]


@command()
def evaluate(
    run_: RunName,
    transform: Annotated[Transform, typer.Option(help="Whitening.")] = "none",
    beta: Annotated[float | None, typer.Option(help="Shrinkage of realign, 0-1; default: the run's.")] = None,
    eps: Annotated[float | None, typer.Option(help="Added to eigenvalues; default: the run's.")] = None,
    statistics: Annotated[
        StatisticsChoice | None, typer.Option(help="Rows the statistics come from; default: the run's.")
    ] = None,
    remove_top: Annotated[
        float | None, typer.Option(help="First remove this share (0-1) of the concepts: those that contribute most.")
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(help="Directions to remove. Default: as many as hold 99% of the squared singular values."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="The whole variant, such as center+zca. Replaces the other options.")
    ] = None,
    measures: Annotated[
        Measures, typer.Option(help="The study's, with intervals, or mteb's at its depths, by its names.")
    ] = "study",
    json_: Json = False,
) -> None:
    """Retrieval of a run under one variant: recall, MRR, nDCG, 95% intervals; or as a leaderboard prints it."""
    from core.commands.options import expression
    from core.progress import RichProgress
    from core.questions import inside, retrieval
    from core.questions.answers import variant_of

    opened = named_run(run_)
    chosen = expression(opened.spec.whitening, transform, beta, eps, statistics, remove_top, rank, variant)
    inside.make(opened, variant_of(opened, chosen), RichProgress())
    if measures == "mteb":
        _leaderboard(opened, chosen, json_)
        return
    payload = retrieval.payload(opened, chosen)
    if json_:
        emit(payload)
    else:
        show_table(
            retrieval.payload_table(payload),
            f"{opened.name}, {payload['variant']}, {payload['queries']} queries, {payload['candidates']} candidates",
        )
        for note in payload["notes"]:
            say(f"note: {note}", err=True)


def _leaderboard(run: Run, variant: str, json_: bool) -> None:
    """mteb's measures side by side, one row per depth."""
    from core.questions import leaderboard

    payload = leaderboard.payload(run, variant)
    if json_:
        emit(payload)
        return
    table = leaderboard.leaderboard(run, variant)
    digits = table.drop(columns="k").map("{:.5f}".format)  # as many as mteb prints
    show_table(
        digits.assign(k=table["k"])[list(table)],
        f"{run.name}, {payload['variant']}, {payload['queries']} queries, {payload['candidates']} candidates;"
        + (f" {payload['main_score']} {payload['value']:.5f}" if payload["value"] is not None else ""),
    )
    for note in payload["notes"]:
        say(f"note: {note}", err=True)


@command()
def concepts(
    run_: RunName,
    sort: Annotated[
        Literal["energy", "modality", "bridge", "attribution"], typer.Option(help="Order, largest first.")
    ] = "energy",
    top: Annotated[int, typer.Option(min=1, help="Rows result.")] = 20,
    json_: Json = False,
) -> None:
    """The concepts of a run with their measures (Eqs 3-6)."""
    from core.questions import concepts as questions

    opened = named_run(run_)
    table = questions.top(opened, sort, top)
    if json_:
        emit({"run": opened.name, "sort": sort, "concepts": table.to_dict("records")})
    else:
        show_table(table, f"{opened.name}: {len(questions.table(opened))} concepts, the first {len(table)} by {sort}")


@command()
def export(
    run_: RunName,
    out: Annotated[Path, typer.Option(help="Folder to write; made if missing.")],
    layout: Annotated[
        Layout, typer.Option(help="Plain files, or what mteb or sentence-transformers reads back.")
    ] = "plain",
    variant: Annotated[str, typer.Option(help="Whose vectors a layout other than plain holds.")] = "none",
) -> None:
    """Write a run's tables, embeddings, codes, concepts and whitening as plain files, or for another library."""
    from core.commands.export import export_run

    if layout == "plain" and variant != "none":
        todo = "name a layout, or apply the exported whitening"
        raise UserError("a plain export holds raw embeddings", got=f"--variant {variant}", todo=todo)
    written = export_run(named_run(run_), out, layout, variant)
    say(f"{len(written)} files in {out}")


@command()
def recommend(
    run_: RunName,
    labels: Annotated[
        Literal["support", "none"],
        typer.Option(help="Choose with relevant pairs of the support split, or without any."),
    ] = "support",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the remedy, and FILE.py with the numpy that applies it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Which remedy to use on a run: chosen on some queries, scored once on others, with its cost; or keep raw."""
    from core.commands.output import present_recommendation
    from core.commands.remedy import lines_of, write_remedy
    from core.questions.recommend import recommend as choose

    opened = named_run(run_)
    found = choose(opened, labels)
    written = write_remedy(opened, found, out) if out is not None else []
    if json_:
        emit({"run": opened.name} | found.to_json() | {"files": [str(path) for path in written]})
        return
    present_recommendation(opened.name, found)
    if written:
        say(f"written: {', '.join(map(str, written))}")
    else:
        say(f"\n--out FILE writes the arrays these lines take:\n\n{lines_of()}")


@command()
def exhibit(
    name: Annotated[str, typer.Argument(help="e.g. table-1.")],
    runs_: Annotated[list[str], typer.Argument(metavar="RUN...", help="One or more runs.")],
    option: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="Set an option of the exhibit. Repeat it for several.")
    ] = [],  # noqa: B006
    json_: Json = False,
) -> None:
    """One figure or table of the study, on your runs."""
    from core.exhibits import show_exhibit

    result = show_exhibit(name, [named_run(r) for r in runs_], curves="computed", **_options(option))
    if result.table.empty:
        fail("; ".join(left.why for left in result.left_out), 1)
    if json_:
        emit(result.to_json())
    else:
        present(result)


@command()
def claims(
    runs_: Annotated[list[str], typer.Argument(metavar="RUN...", help="One or more runs.")],
    metric: Annotated[str, typer.Option(help="The recall that claims 3 and 4 are judged by.")] = "recall@5",
    json_: Json = False,
) -> None:
    """The study's four claims on your runs, each judged by its exhibit."""
    from core.exhibits.claims import claims as judge

    judged = judge([named_run(r) for r in runs_], metric, curves="computed")
    if json_:
        emit({"claims": [claim.to_json() for claim in judged]})
    else:
        present_claims(judged)


def _options(given: list[str]) -> dict[str, str]:
    """`["share=0.05"]` -> {"share": "0.05"}."""
    for entry in given:
        if "=" not in entry:
            raise UserError("an option needs a value", got=repr(entry), allowed="NAME=VALUE")
    return dict(entry.split("=", 1) for entry in given)
