"""The SAEs shipped with the demo models: `python -m core.demo.train.saes demo-mllm demo-clip demo-mllm-seed1 ...`.

In:  the shipped weights and the train split of the demo world (images, captions, composed queries, with the study's
     prompts).
Out: core/demo/weights/sae-<recipe>/: sae-lens's two files and `facts.json` (k, input, what it learned from, figures).
The figures are
     measured on pooled embeddings of the support split, which no model has learned from.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from core.config import ModelSpec, SaeData, SaeInput
from core.models.base import PROJECTED, Adapter
from core.models.table import WEIGHTS
from core.progress import Progress
from core.records import EmbeddingView, Item
from core.sae.files import FACTS
from core.sae.stream import LEARNED_FROM, Order, Stream, alternate, pooled_rows, token_rows
from core.sae.train import TrainingPlan, train

if TYPE_CHECKING:
    from core.world import Split

CHECKPOINT = "checkpoint"
"""Folder of an interrupted training, inside the SAE's: the same command goes on from it."""

HELD_OUT = 600
"""Items of the support split the figures are measured on, a third of each sort."""


@dataclass(frozen=True)
class Recipe:
    """How one SAE of a demo model is trained.

    Attributes:
        model: row of the table.
        pool: items whose pooled embeddings are computed once; token states come from the first `pool` items as well,
            made anew each time.
        decay: last share of the steps, 0-1, over which the learning rate falls to 0.
    """

    model: str
    width: int
    k: int
    data: SaeData
    input: SaeInput
    steps: int
    batch: int
    pool: int
    decay: float = 0.3
    seed: int = 0


_MLLM = Recipe(model="demo-mllm", width=2048, k=24, data="mixture", input="raw", steps=1800, batch=1024, pool=12_000)
_CLIP = Recipe(
    model="demo-clip", width=1024, k=16, data="pooled", input="normalised", steps=2500, batch=1024, pool=24_000
)

RECIPES = {
    "demo-mllm": _MLLM,
    "demo-clip": _CLIP,
    "demo-mllm-seed1": replace(_MLLM, seed=1),
    "demo-mllm-tokens": replace(_MLLM, data="tokens"),
    "demo-mllm-pooled": replace(_MLLM, data="pooled"),
    "demo-clip-seed1": replace(_CLIP, seed=1),
}
"""By the name of the recipe: the demo's own two, then those that show what hangs on seed and training data."""


def world_item(split: Split, index: int) -> Item:
    """Item number `index` of a split: an image, a caption or a composed query, in turn; each of a scene of its own."""
    from PIL import Image

    from core import world

    scene = world.scene(split, index)
    rng = world.stream("sae", split, index)
    sort = index % 3
    image = Image.fromarray(world.render(scene)) if sort != 1 else None
    if sort == 0:
        return Item(f"{split}-{index}", "image", None, image, 4, "query")
    if sort == 1:
        return Item(f"{split}-{index}", "text", world.caption(scene, rng), None, 4, "candidate")
    return Item(f"{split}-{index}", "image,text", world.composed(scene, rng)[1], image, 7, "query")


def make(adapter: Adapter, recipe: Recipe, folder: Path, progress: Progress) -> dict[str, Any]:
    """Train by the recipe, write the folder, return its facts."""
    from core.sae.codes import SaeEncoder

    view = PROJECTED if adapter.facts.kind == "dual" else EmbeddingView()
    plan = TrainingPlan(
        adapter.hidden_size, recipe.width, recipe.k, recipe.steps, recipe.seed, recipe.batch, decay=recipe.decay
    )
    unfinished = folder / CHECKPOINT
    log = train({folder: plan}, _stream(adapter, recipe, view, progress), progress, unfinished)[folder]
    shutil.rmtree(unfinished, ignore_errors=True)
    held_out = [world_item("support", i) for i in range(HELD_OUT)]
    rows, encoder = _pooled(adapter, held_out, view, progress), SaeEncoder(folder, recipe.input)
    facts = {
        "k": recipe.k,
        "input": recipe.input,
        "source": f"shipped with {adapter.facts.name}",
        "trained_on": (
            f"{LEARNED_FROM[recipe.data]} of {recipe.pool:,} train items of the demo world (images, captions, composed "
            f"queries); {view.words}"
        ),
        "recipe": asdict(recipe),
        "training": asdict(plan) | {"data": recipe.data},
        "last": asdict(log[-1]),
        "held_out": _figures(encoder, rows, [item.modality for item in held_out]),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _stream(adapter: Adapter, recipe: Recipe, view: EmbeddingView, progress: Progress) -> Stream:
    by_item, by_row = Order(recipe.pool, recipe.seed), Order(recipe.pool, recipe.seed + 1)
    pooled = np.empty((0, 0)) if recipe.data == "tokens" else _pooled(adapter, _Lazy(recipe.pool), view, progress)

    def items(rows: np.ndarray) -> list[Item]:
        return [world_item("train", int(row)) for row in rows]

    def begin() -> Any:
        tokens, rows = token_rows(adapter, items, by_item, view), pooled_rows([pooled], recipe.batch, by_row)
        return {"tokens": tokens, "pooled": rows, "mixture": alternate(tokens, rows)}[recipe.data]

    return Stream(begin, (by_item, by_row), adapter.hidden_size, recipe.batch, recipe.input == "normalised")


class _Lazy(Sequence[Item]):
    """The first items of the train split, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        found = range(self._count)[at]
        return world_item("train", found) if isinstance(found, int) else [world_item("train", i) for i in found]


def _pooled(
    adapter: Adapter, items: Sequence[Item], view: EmbeddingView, progress: Progress, batch: int = 256
) -> np.ndarray:
    rows = np.empty((len(items), adapter.hidden_size), np.float32)
    with progress.task("embed items of the demo world", len(items)) as bar:
        for start in range(0, len(items), batch):
            found = adapter.embed(items[start : start + batch], [view])[view]
            rows[start : start + len(found)] = found
            bar.advance(len(found))
    return rows


def _figures(encoder: Any, rows: np.ndarray, modality: list[str]) -> dict[str, dict[str, float]]:
    """Fidelity over all held-out items and over each modality alone."""
    from core.sae.fidelity import fidelity

    kinds = {"all": np.ones(len(rows), bool)} | {
        kind: np.array([m == kind for m in modality]) for kind in dict.fromkeys(modality)
    }
    return {kind: asdict(fidelity(encoder, rows[chosen])) for kind, chosen in kinds.items()}


def main(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE...", help=", ".join(RECIPES))],
    data: Annotated[str | None, typer.Option(help="tokens, pooled or mixture; default: the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps; default: the recipe's.")] = None,
    out: Annotated[Path, typer.Option(help="Where sae-<recipe>/ goes.")] = WEIGHTS,
) -> None:
    """Train and write the SAEs of the demo models."""
    from core.models import load_model
    from core.progress import RichProgress

    for name in names:
        changes: dict[str, Any] = {key: value for key, value in (("data", data), ("steps", steps)) if value is not None}
        recipe = replace(RECIPES[name], **changes)
        facts = make(load_model(ModelSpec(name=recipe.model)), recipe, out / f"sae-{name}", RichProgress())
        sys.stdout.write(json.dumps({name: facts["held_out"]}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
