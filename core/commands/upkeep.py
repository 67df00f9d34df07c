"""Commands that look after the cache and the installation, and serve the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from core.commands.application import Json, NoToken, RunName, command, fail, named_run
from core.commands.output import emit, say, show_table
from core.errors import UserError


@command()
def doctor(json_: Json = False) -> None:
    """What this installation has: versions, device, memory, cache, demo weights."""
    from core.commands.doctor import examine

    checks = examine()
    if json_:
        emit({"checks": checks.to_dict("records")})
    else:
        show_table(checks)
    if not checks["ok"].all():
        raise typer.Exit(1)


@command()
def runs(json_: Json = False) -> None:
    """The runs of the cache."""
    from core import inventory as cache
    from core.store import Store

    table, broken = cache.listing(Store.default())
    if json_:
        emit({"runs": table.to_dict("records"), "broken": broken.to_dict("records")})
    elif table.empty and broken.empty:
        say("no runs yet; next: retrieval-lens demo")
    else:
        if len(table):
            show_table(table)
        if len(broken):
            show_table(broken, "broken")


@command()
def show(run_: RunName, json_: Json = False) -> None:
    """Settings, folders and sizes of a run, and how well its SAE reconstructs the embeddings."""
    from core import inventory as cache
    from core.questions.fidelity import fidelity

    opened = named_run(run_)
    card = cache.card(opened)
    tables = {"settings": card.settings, "folders": card.folders}
    if opened.sae is not None:
        tables["sae"] = fidelity(opened).table
    if json_:
        emit({name: table.to_dict("records") for name, table in tables.items()})
    else:
        for name, table in tables.items():
            show_table(table, name)


@command()
def verify(
    run_: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Default: everything.")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set broken folders aside and say which runs to repeat.")
    ] = False,
    json_: Json = False,
) -> None:
    """Compare what is on disk with the manifests and with what runs need. Exit 1 if something is broken or missing."""
    from core import inventory as cache
    from core.store import Store

    store = Store.default()
    result = cache.verify_run(named_run(run_)) if run_ else cache.verify_all(store)
    moved = cache.repair(store, result) if repair else []
    broken = result.broken
    if json_:
        checked = {"files": len(result.files), "broken": broken.to_dict("records"), "set_aside": moved}
        emit(checked | {"notes": result.notes.to_dict("records"), "repeat": [*result.runs, *result.lost]})
    else:
        say(f"{len(result.files)} files, {len(broken)} broken")
        for row in broken.itertuples():
            say(f"  broken: {row.stage}/{row.folder}{'/' if row.file else ''}{row.file}: {row.problem}")
        for note in result.notes.itertuples():
            say(f"  note: {note.where}: {note.what}")
        for name in moved:
            say(f"  set aside: {name}")
    if repair and result.repeat:
        fail(f"{len(moved)} broken folders set aside; next: {result.repeat}", 1)
    if len(broken) and not repair:
        again = f"then {result.repeat}" if result.repeat else "then ask again: only answers are broken"
        fail(f"{len(broken)} broken; next: `retrieval-lens verify --repair`, {again}", 1)


@command()
def remove(
    run_: Annotated[str | None, typer.Argument(metavar="[RUN]", help="Name, key, or unique prefix of a key.")] = None,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Delete what interrupted runs left and `verify --repair` set aside, instead of a run."
        ),
    ] = False,
) -> None:
    """Delete a run and what no other run uses, or what interrupted runs left. A broken run can be deleted too."""
    from core import inventory as cache
    from core.store import Store

    if (run_ is None) != unfinished:
        raise UserError("remove what?", got="both" if run_ else "nothing", allowed="a RUN, or --unfinished")
    store = Store.default()
    freed = store.remove_unfinished() if run_ is None else cache.remove_named(run_, store)
    say(f"freed {freed / 2**20:.1f} MiB")


@command()
def serve(
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8501,
    no_token: NoToken = False,
    new_runs: Annotated[
        bool,
        typer.Option("--new-runs", help="Let visitors from other machines start runs on folders of this machine."),
    ] = False,
) -> None:
    """Open the dashboard on the runs of the cache. On an address that other machines reach, the printed link holds a
    token."""
    from core.commands.serve import serve as open_dashboard

    open_dashboard(host, port, no_token=no_token, new_runs=new_runs)
