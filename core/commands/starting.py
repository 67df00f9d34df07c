"""Commands that begin a run on data of one's own: the spec for a folder, and the schema of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.application import Json, command
from core.commands.output import emit, say


@command()
def new(
    folder: Annotated[str, typer.Argument(help="Your images with captions, tables or embeddings; or one listing.")],
    model: Annotated[
        str | None, typer.Option(help="A row of `retrieval-lens models`, a hub id or a folder. Not for embeddings.")
    ] = None,
    sae: Annotated[
        str | None,
        typer.Option(help="[sae] source. Default: shipped for the demo models, none for others; train makes one."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="SPEC.toml", help="Spec file to write. Default: the run's name, here.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it at once. The same command goes on after Ctrl-C.")] = False,
    task: Annotated[
        int | None, typer.Option(min=1, max=8, help="M-BEIR task type. Default: as the folder says.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=10**9, help="At most this many queries.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. Default: model, folder and task.")] = None,
    json_: Json = False,
) -> None:
    """Look at a folder, write the spec of a run on it, say what it will cost, and run it with --run.

    Time comes from encodings of that model in the cache, else from a few of the items, measured now.
    """
    from core import pipeline
    from core.planning import plan as planning
    from core.progress import RichProgress
    from core.store import Store

    store, progress = Store.default(), RichProgress()
    made = planning.plan(folder, model, store, progress, sae=sae, task=task, limit=limit, name=name)
    path = out or Path(f"{made.spec.run_name}.toml")
    is_new = planning.write(made, path)
    if json_:
        emit(planning.to_json(made, path) | {"file": str(path)})
    else:
        say("\n".join([*planning.survey_lines(made.seen), *planning.cost_lines(made.cost)]))
        for note in made.notes:
            say(f"note: {note}")
        say(f"spec: {path}{'' if is_new else ', as it was'}")
        if not run:
            say(f"next: retrieval-lens run {path}")
    if run:
        opened = pipeline.run(made.spec, store, progress)
        say(f"{opened.name} ({opened.key})\nnext: retrieval-lens serve", err=json_)


@command()
def schema() -> None:
    """Print the JSON Schema of a spec file, by which editors complete and check one."""
    from core.config.schema import spec_schema

    emit(spec_schema())
