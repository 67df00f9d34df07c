"""The command line: parse, call one function of core, present. Heavy imports stay inside the commands.

`--json` prints one JSON object on stdout and nothing else; progress and notes go to stderr.
Exit codes: 0 done, 1 the user's input is at fault, 2 usage, 3 a fault of ours, 130 interrupted (finished parts stay in
the cache).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.commands.faults import user_error
from core.commands.output import emit, present, present_claims, say
from core.commands.output import show as show_table
from core.errors import UserError

if TYPE_CHECKING:
    from core.run import Run

app = typer.Typer(
    name="retrieval-lens",
    help="Why multimodal LLMs retrieve badly, made visible.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
NoToken = Annotated[bool, typer.Option("--no-token", help="Let everybody in who reaches the address.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name, key, or unique prefix of a key.")]
Transform = Literal["none", "center", "pca", "zca", "realign", "auto"]
StatisticsChoice = Literal["per-side", "support", "shared", "candidates"]


def main() -> None:
    """Entry point of `retrieval-lens`."""
    app()


def command(name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose errors become one line and an exit code."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @app.command(name or function.__name__)
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except KeyboardInterrupt:
                _fail("interrupted; the same command goes on from what is finished", 130)
            except BrokenPipeError:
                raise typer.Exit(0) from None
            except typer.Exit:
                raise
            except Exception as error:
                if known := user_error(error):
                    _fail(str(known), 1)
                if os.environ.get("RETRIEVAL_LENS_DEBUG"):
                    raise
                _fail(
                    f"internal fault: {type(error).__name__}: {error}; next: RETRIEVAL_LENS_DEBUG=1 shows where, please"
                    " report it",
                    3,
                )

        return guarded

    return decorate


def _fail(line: str, code: int) -> None:
    say(f"retrieval-lens: {line}", err=True)
    raise typer.Exit(code) from None


def _run(name: str) -> Run:
    from core.run import open_run
    from core.store import Store

    return open_run(name, Store.default())


@command()
def demo(
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Open the dashboard afterwards.")] = True,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the dashboard.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    no_token: NoToken = False,
) -> None:
    """Run everything on the embedded demo world, print a summary, open the dashboard."""
    from core.demo.runs import make_demo
    from core.progress import RichProgress
    from core.store import Store

    made = make_demo(Store.default(), RichProgress())
    show_table(made.summary, "The demo, as measured here (recall in per cent; after = ReAlign, beta 0.1)")
    say("Image -> text: what the demo says about the study's claims")
    present_claims(made.claims)
    if serve:
        from core.commands.serve import serve as open_dashboard
        from core.demo import warm

        warm.start()
        open_dashboard(host, port, no_token=no_token)


@command()
def run(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC.toml", help="The spec file; README shows one. Or a run, to make it again.")
    ],
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Where stages are computed.")] = "local",
    trust_remote_code: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Run the code that comes with this model; name its hub id or folder."),
    ] = None,
    json_: Json = False,
) -> None:
    """Compute the whole pipeline for one spec; resumes; safe to repeat."""
    from core import pipeline
    from core.config import load_spec
    from core.models.options import trusted_source, trusting
    from core.progress import RichProgress
    from core.run import spec_of
    from core.store import Store

    if engine == "ray":
        raise UserError("the ray engine is not part of this version", got="--engine ray", allowed="--engine local")
    # A run's name stands for the spec it was made with: what `verify` says when a run has to be repeated.
    spec_read, trusted = spec_of(str(spec), Store.default()) or load_spec(spec), None
    if trust_remote_code is not None:
        trusted = trusted_source(spec_read.model, trust_remote_code)
        say(f"warning: code of {trusted} will run with your rights", err=True)
    with trusting(trusted):
        made = pipeline.run(spec_read, Store.default(), RichProgress())
    facts = {
        "run": made.name,
        "key": made.key,
        "model": made.model_name,
        "parts": {p: len(made.embeddings(p)) for p in made.parts},
    }
    if json_:
        emit(facts)
    else:
        say(
            f"{made.name} ({made.key}): {facts['parts']}\nnext: retrieval-lens evaluate {made.name}; retrieval-lens"
            " serve"
        )


@command()
def corpus(
    source: Annotated[str, typer.Argument(help="`demo`, a folder of images, a parquet folder, or own embeddings.")],
    task: Annotated[
        int | None, typer.Option(help="M-BEIR task type, 1 to 8. Default: guessed from the source.")
    ] = None,
    max_bad_share: Annotated[
        float, typer.Option(help="Refuse it if more than this share of its rows (0-1) is bad.")
    ] = 0.05,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Read files outside the folder too, if you trust its listing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Say what is in a corpus: counts by modality, bad rows with reasons. Exit 1 if it is unusable."""
    from dataclasses import asdict, replace

    from core.corpus import guess_source, inspect_corpus

    guessed = replace(guess_source(source, max_bad_share), allow_outside=allow_outside)
    report = inspect_corpus(guessed if task is None else replace(guessed, task=task))
    if json_:
        emit({k: v for k, v in asdict(report).items() if k != "why_not"})
    else:
        counts = ", ".join(f"{n} {m}" for m, n in report.by_modality.items())
        say(
            f"{report.items} items ({counts}); {report.queries} queries, {report.candidates} candidates;"
            f" {len(report.bad)} bad"
        )
        for bad in report.bad:
            say(f"  {bad.where}: {bad.reason}")
    if not report.usable:
        _fail(report.why_not, 1)


@command()
def models(json_: Json = False) -> None:
    """Known models and what each needs."""
    from core.models import known_models

    rows = known_models()
    if json_:
        emit({"models": rows})
        return
    import pandas as pd

    show_table(pd.DataFrame([_model_row(row) for row in rows]))
    for row in rows:
        say(f"{row['name']}: {row['special']}")
    say(
        "GiB: parameters x bytes + a fifth. Any other hub id or local folder of a kind above works too: [model] name"
        " = ..."
    )


def _model_row(row: dict[str, Any]) -> dict[str, object]:
    """Print the table of models, then a line for each with special needs."""
    needs = row["memory_gib"]
    return {
        "name": row["name"],
        "repository": f"{row['hub_id']}@{(row['revision'] or 'main')[:7]}" if row["hub_id"] else "shipped",
        "kind": row["kind"],
        "d": row["hidden_size"],
        "stored as": row["dtype"],
        "10^9 parameters": row["parameters"],
        "GiB fp32 / bf16 / 4bit": f"{needs['float32']} / {needs['bfloat16']} / {needs['4bit']}",
        "prompts": row["prompts"],
        "pooling": row["pooling"],
    }


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
    json_: Json = False,
) -> None:
    """Retrieval of a run under one variant: recall, MRR, nDCG, 95% intervals."""
    from core.commands.options import expression
    from core.questions import retrieval

    opened = _run(run_)
    chosen = expression(opened.spec.whitening, transform, beta, eps, statistics, remove_top, rank, variant)
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


@command()
def captions(
    run_: RunName,
    ask: Annotated[Literal["caption", "questions"], typer.Option(help="What is asked of every picture.")] = "caption",
    json_: Json = False,
) -> None:
    """Let a chat model describe its run's pictures, and retrieve with the descriptions in their place.

    Slow: the model writes an answer to every picture. Resumes; the answers are kept. `exhibit remedies` shows the
    result beside the other remedies.
    """
    import pandas as pd

    from core.progress import RichProgress
    from core.questions import own_words

    opened = _run(run_)
    made = own_words.make_captions(opened, ask, RichProgress())
    result = own_words.result(opened, made)
    if json_:
        emit(result)
        return
    columns = ["embedded", "variant", "recall@1", "recall@5", "recall@10", "queries", "candidates"]
    show_table(
        pd.DataFrame(result["rows"])[columns],
        f"{opened.name}: {made.pictures:,} pictures in the model's own words, {made.seconds:,.0f} s",
    )
    for name, text in made.examples():
        say(f"{name}: {text}")


@command()
def concepts(
    run_: RunName,
    sort: Annotated[
        Literal["energy", "modality", "bridge", "attribution"], typer.Option(help="Order, largest first.")
    ] = "energy",
    top: Annotated[int, typer.Option(min=1, help="Rows shown.")] = 20,
    json_: Json = False,
) -> None:
    """The concepts of a run with their measures (Eqs 3-6)."""
    from core.questions import concepts as questions

    opened = _run(run_)
    table = questions.top(opened, sort, top)
    if json_:
        emit({"run": opened.name, "sort": sort, "concepts": table.to_dict("records")})
    else:
        show_table(table, f"{opened.name}: {len(questions.table(opened))} concepts, the first {len(table)} by {sort}")


@command()
def export(run_: RunName, out: Annotated[Path, typer.Option(help="Folder to write; made if missing.")]) -> None:
    """Write a run's tables, embeddings, codes, concepts and whitening as plain files."""
    from core.commands.export import export_run

    written = export_run(_run(run_), out)
    say(f"{len(written)} files in {out}")


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

    result = show_exhibit(name, [_run(r) for r in runs_], curves="computed", **_options(option))
    if result.table.empty:
        _fail("; ".join(left.why for left in result.left_out), 1)
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

    judged = judge([_run(r) for r in runs_], metric, curves="computed")
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


@command()
def bench(
    model: Annotated[
        str | None, typer.Option(help="Row of the table or folder; default: demo-mllm, with --corpus demo-clip.")
    ] = None,
    items: Annotated[int, typer.Option(min=3, max=10**6, help="Items encoded both ways.")] = 256,
    corpus_items: Annotated[
        int | None,
        typer.Option(
            "--corpus", min=3, max=10**8, help="Instead: time and peak memory of a demo-world corpus of so many items."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Time batched encoding against a plain loop of batch size 1 and print the ratio; or measure a large corpus."""
    from core.commands.bench import benchmark, scale

    figures = (
        benchmark(model or "demo-mllm", items) if corpus_items is None else scale(corpus_items, model or "demo-clip")
    )
    emit(figures) if json_ else say("\n".join(f"{k}: {v}" for k, v in figures.items()))


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

    opened = _run(run_)
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
    result = cache.verify_run(_run(run_)) if run_ else cache.verify_all(store)
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
        _fail(f"{len(moved)} broken folders set aside; next: {result.repeat}", 1)
    if len(broken) and not repair:
        again = f"then {result.repeat}" if result.repeat else "then ask again: only answers are broken"
        _fail(f"{len(broken)} broken; next: `retrieval-lens verify --repair`, {again}", 1)


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
) -> None:
    """Open the dashboard on the runs of the cache. On an address that other machines reach, the printed link holds a
    token."""
    from core.commands.serve import serve as open_dashboard

    open_dashboard(host, port, no_token=no_token)


if __name__ == "__main__":
    main()
