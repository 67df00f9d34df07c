"""`bench`: one benchmark of those in `core/commands/benches/`, with its sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.commands.application import Json, command
from core.commands.output import emit, say
from core.errors import UserError

WHICH, SIZES = "Which benchmark", "Sizes"


@command()
def bench(
    corpus: Annotated[
        int | None,
        typer.Option(min=3, max=10**8, rich_help_panel=WHICH, help="A demo-world corpus of so many items, encoded."),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", rich_help_panel=WHICH, help="The steps of encoding, and how far they overlap.")
    ] = False,
    shape: Annotated[
        Literal["qwen2-vl-2b"] | None,
        typer.Option(rich_help_panel=WHICH, help="Memory of a model of true shapes with random weights."),
    ] = None,
    sae: Annotated[
        bool, typer.Option("--sae", rich_help_panel=WHICH, help="SAE training and codes beside plain ways.")
    ] = False,
    search: Annotated[
        bool,
        typer.Option("--search", rich_help_panel=WHICH, help="Whitening and search beside the study's way in torch."),
    ] = False,
    measures: Annotated[
        bool, typer.Option("--measures", rich_help_panel=WHICH, help="The measures of concepts beside the dense way.")
    ] = False,
    store: Annotated[
        bool, typer.Option("--store", rich_help_panel=WHICH, help="A large run of own embeddings, stage by stage.")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", rich_help_panel=WHICH, help="Pages of a large run in a real browser.")
    ] = False,
    map_points: Annotated[
        int | None,
        typer.Option("--map", min=1000, max=10**6, rich_help_panel=WHICH, help="A map of so many points in a browser."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Row of the table or folder, for encoding. Default: demo-mllm; --corpus: demo-clip."),
    ] = None,
    items: Annotated[
        int | None,
        typer.Option(
            min=3, max=10**8, rich_help_panel=SIZES, help="Default: 256; --shape: 6; --store and --dashboard: 100,000."
        ),
    ] = None,
    candidates: Annotated[int, typer.Option(min=20, max=10**8, rich_help_panel=SIZES, help="Of --search.")] = 100_000,
    queries: Annotated[int, typer.Option(min=2, max=10**7, rich_help_panel=SIZES, help="Of --search.")] = 5_000,
    pairs: Annotated[int, typer.Option(min=2, max=10**8, rich_help_panel=SIZES, help="Of --measures.")] = 100_000,
    concepts: Annotated[int, typer.Option(min=100, max=10**6, rich_help_panel=SIZES, help="Of --measures.")] = 32_768,
    width: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=65536,
            rich_help_panel=SIZES,
            help="Dimensions. Default: 1,024 of --search and --measures, 256 of --store and --dashboard.",
        ),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(min=1, max=100, rich_help_panel=SIZES, help="Of --search and --measures; the median is printed."),
    ] = 5,
    device: Annotated[str, typer.Option(help="Of --search: cpu or cuda.")] = "cpu",
    folder: Annotated[
        Path | None, typer.Option(help="With --store and --dashboard: make the run there, and keep it for next time.")
    ] = None,
    json_: Json = False,
) -> None:
    """Time batched encoding beside a plain loop of batch size 1 and print the ratio; or another benchmark."""
    chosen = {
        "--corpus": corpus is not None, "--profile": profile, "--shape": shape is not None, "--sae": sae,
        "--search": search, "--measures": measures, "--store": store, "--dashboard": dashboard,
        "--map": map_points is not None,
    }  # fmt: skip
    named = [name for name, given in chosen.items() if given]
    if len(named) > 1:
        raise UserError("one benchmark at a time", got=" ".join(named), allowed="one of " + ", ".join(chosen))
    if store or dashboard:
        from core.commands.benches import show

        show.large(items or 100_000, width or 256, folder, pages=dashboard, as_json=json_)
        return
    if map_points is not None:
        from core.commands.benches.map import map_frames, table

        rows = map_frames(map_points)
        emit({"frames": [vars(one) for one in rows]}) if json_ else say(table(rows))
        return
    figures: dict[str, Any]
    if corpus is not None:
        from core.commands.benches.corpus import scale

        figures = scale(corpus, model or "demo-clip")
    elif profile:
        from core.commands.benches.profile import profile as steps

        figures = steps(model or "demo-mllm", items or 256)
    elif shape is not None:
        from core.commands.benches.shapes import shape as encoded

        figures = encoded(shape, items or 6)
    elif sae:
        from core.commands.benches.sae import sae_rates

        figures = sae_rates(model=model or "demo-mllm", items=items or 256)
    elif search:
        from core.commands.benches.search import search as both

        figures = both(candidates, queries, width or 1024, repeats, device)
    elif measures:
        from core.commands.benches.measures import measures as both_ways

        figures = both_ways(pairs, concepts, width=width or 1024, repeats=repeats)
    else:
        from core.commands.benches.encoding import benchmark

        figures = benchmark(model or "demo-mllm", items or 256)
    emit(figures) if json_ else say("\n".join(f"{k}: {v}" for k, v in figures.items()))
