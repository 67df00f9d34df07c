"""`retrieval-lens check`: are served or stored vectors the run's, and if not, which setting explains it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from core.commands.application import Json, RunName, command, named_run
from core.commands.output import emit, say, show_table
from core.errors import UserError

if TYPE_CHECKING:
    from core.questions.check import Checked

BAD_INPUT = 2
"""Exit code of input that cannot be compared: 1 says that vectors differ."""


@command(bad_input=BAD_INPUT)
def check(
    run_: RunName,
    vectors: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with queries and candidates, either alone too: .npy or tables."),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of an embeddings API, such as .../v1/embeddings.")
    ] = None,
    dialect: Annotated[
        Literal["openai", "vllm", "infinity"],
        typer.Option(help="How the endpoint takes an item: openai has texts only."),
    ] = "openai",
    endpoint_model: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the endpoint calls its model. Default: as the run does.")
    ] = None,
    sample: Annotated[int, typer.Option(help="Items that are compared.")] = 50,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest relative difference of a vector that is equal. Default: follows from the types."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the endpoint has for a request.")] = 120.0,
    json_: Json = False,
) -> None:
    """Are vectors from elsewhere the run's own? If not, which setting explains it, and what does it cost?

    Exit 0: equal. 1: not equal. 2: the input cannot be compared. A key for the endpoint is read from the environment
    variable RETRIEVAL_LENS_ENDPOINT_KEY.
    """
    from core.progress import RichProgress
    from core.questions import check as questions

    if (vectors is None) == (endpoint is None):
        got = "both" if vectors is not None else "neither"
        raise UserError("what is to be checked?", got=got, allowed="--vectors DIR or --endpoint URL")
    opened, progress = named_run(run_), RichProgress()
    if vectors is not None:
        given = questions.read_vectors(opened, vectors)
    else:
        assert endpoint is not None
        given = questions.ask_endpoint(opened, endpoint, dialect, endpoint_model, sample, progress, timeout)
    result = questions.check(opened, given, sample, tolerance, progress)
    emit(result.to_json()) if json_ else _present(result)
    if not result.equal:
        raise typer.Exit(1)


def _present(result: Checked) -> None:
    """The answer in lines and tables."""
    import pandas as pd

    say(f"{result.run}, {result.where}: {result.verdict}")
    for change in result.explained_by:
        say(f"  {change['setting']}: {change['from']} -> {change['to']}")
    for finding in result.findings:
        say(f"  {finding}")
    say(
        f"largest difference {result.max_difference:.3g}, mean {result.mean_difference:.3g}, of {result.n} vectors;"
        f" equal up to {result.tolerance:.2g} ({result.tolerance_why})"
    )
    if result.recall_reference is not None and result.recall_given is not None:
        say(
            f"{result.recall_metric}: {100 * result.recall_reference:.1f}% by reference,"
            f" {100 * result.recall_given:.1f}% with these vectors ({result.recall_on})"
        )
    else:
        say(f"no recall: {result.recall_on}")
    if result.tried:
        rows = [{"setting": one.setting, "nearest value": one.to, "leaves": one.difference} for one in result.tried]
        show_table(pd.DataFrame(rows), f"What each setting leaves by itself, {result.trials} trials, nearest first")
    if result.concepts_moved:
        show_table(
            pd.DataFrame([vars(one) for one in result.concepts_moved]), "Concepts that moved most, mean activation"
        )
    for setting, why in result.untried:
        say(f"not tried: {setting}: {why}", err=True)
    for note in result.notes:
        say(f"note: {note}", err=True)
