"""Commands that take a run along as one file, and take it in again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.commands.application import Json, RunName, command, named_run
from core.commands.output import emit, say


@command()
def pack(
    run_: RunName,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The archive to write; an earlier one is replaced.")],
    thumbnails: Annotated[
        bool, typer.Option("--thumbnails", help="Leave the full pictures out; thumbnails always go along.")
    ] = False,
    model: Annotated[bool, typer.Option("--model", help="Take the model's files along.")] = False,
    json_: Json = False,
) -> None:
    """Write a run with all that its pages need into one checksummed file. Packing twice gives the same bytes."""
    from core.packs.pack import pack as write

    opened = named_run(run_)
    packed = write(opened, out, thumbnails, model)
    if json_:
        facts = {"run": opened.name, "key": opened.key, "file": str(packed.path), "bytes": packed.bytes}
        facts |= {"sha256": packed.sha256, "files": packed.files, "answers": packed.answers}
        emit(facts | {"pictures": packed.pictures, "model": packed.model})
        return
    along = [f"{packed.answers:,} cached answers"] + ["full pictures"] * packed.pictures + ["the model"] * packed.model
    say(f"{packed.path}: run {opened.name}, {packed.files:,} files, {packed.bytes / 2**20:,.1f} MiB")
    say(f"with {', '.join(along)}; sha256 {packed.sha256}")


@command()
def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `pack` wrote.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run of that name that is here, where it is another one.")
    ] = False,
    json_: Json = False,
) -> None:
    """Take the run of an archive into the cache: checked before anything of it appears, whole or not at all."""
    from core.packs.unpack import unpack as take
    from core.store import Store

    unpacked = take(file, Store.default(), overwrite)
    run, missing = unpacked.run, unpacked.run.no_model()
    if json_:
        facts = {"run": run.name, "key": run.key, "new": unpacked.new, "known": unpacked.known}
        emit(facts | {"replaced": list(unpacked.replaced), "model": missing is None})
        return
    say(f"run {run.name}, {run.key}: {unpacked.new:,} folders taken in, {unpacked.known:,} were here already")
    for key in unpacked.replaced:
        say(f"replaced: {key}")
    if missing is not None:
        say(f"note: {missing}", err=True)
