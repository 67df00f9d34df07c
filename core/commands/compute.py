"""Commands that compute a run, and what goes into one: the demo, a spec file, corpora, models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.commands.application import Json, NoToken, RunName, command, fail, named_run
from core.commands.output import emit, present_claims, say, show_table
from core.errors import UserError


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
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Who computes: this process, or workers by Ray; the run is the same."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST:PORT", help="Ray cluster to use. Default: workers on this machine."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="At most so many. Default: one per GPU, or one per four processors.")
    ] = None,
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="May be a fraction. Default: 1 where there are GPUs, else 0.")
    ] = None,
    shared: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that all workers see, and write their shards into.")
    ] = None,
    trust_remote_code: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Run the code that comes with this model; name its hub id or folder."),
    ] = None,
    json_: Json = False,
) -> None:
    """Compute the whole pipeline for one spec; resumes; safe to repeat."""
    from contextlib import nullcontext

    from core import pipeline
    from core.config import load_spec
    from core.engine import Cluster, connected
    from core.models.options import trusted_source, trusting
    from core.progress import RichProgress
    from core.run import spec_of
    from core.store import Store

    options = {"--address": address, "--workers": workers, "--gpus-per-worker": gpus_per_worker, "--shared": shared}
    if engine == "local" and (given := [name for name, value in options.items() if value is not None]):
        raise UserError("there are no workers without the engine", got=", ".join(given), todo="add --engine ray")
    # A run's name stands for the spec it was made with: what `verify` says when a run has to be repeated.
    settings, trusted = spec_of(str(spec), Store.default()) or load_spec(spec), None
    if trust_remote_code is not None:
        trusted = trusted_source(settings.model, trust_remote_code)
        say(f"warning: code of {trusted} will run with your rights", err=True)
    cluster = Cluster(address, workers, gpus_per_worker, shared)
    with trusting(trusted), connected(cluster) if engine == "ray" else nullcontext() as session:
        made = pipeline.run(settings, Store.default(), RichProgress(), session)
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
    source: Annotated[
        str, typer.Argument(help="`demo`, `mteb:TASK`, or a folder: images, parquet, BEIR, own embeddings.")
    ],
    task: Annotated[
        int | None, typer.Option(help="M-BEIR task type, 1 to 8. Default: guessed from the source.")
    ] = None,
    max_bad_share: Annotated[
        float, typer.Option(help="Refuse it if more than this share of its rows (0-1) is bad.")
    ] = 0.05,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="Read files outside the folder too, if you trust its listing.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Of an mteb task or a BEIR folder. Default: test.")] = None,
    language: Annotated[str | None, typer.Option(help="Of an mteb task of several: a subset, or a code.")] = None,
    json_: Json = False,
) -> None:
    """Say what is in a corpus: counts by modality, bad rows with reasons. Exit 1 if it is unusable."""
    from dataclasses import asdict, replace

    from core.corpus import guess_source, inspect_corpus

    guessed = guess_source(source, max_bad_share)
    guessed = replace(guessed, allow_outside=allow_outside, split=split, language=language)
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
        fail(report.why_not, 1)


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
    """One row of the printed table of models."""
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

    opened = named_run(run_)
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
