"""The SAEs shipped with the demo models: `python -m core.demo.train.saes demo-mllm demo-clip demo-mllm-seed1 ...`.

In:  the shipped weights and the train split of the demo world (images, captions, composed queries, with the study's
     prompts).
Out: core/demo/weights/sae-<recipe>/: sae-lens's two files, weights in half precision, and `facts.json` (k, input, what
     it learned from, figures).

Steps: (1) embeddings or token states of train items, made once per model and left on disk (`states.py`); (2) training
(`core/sae/train.py`), which goes on where it was interrupted; (3) the figures, measured on the files as they are
stored, with the support split, which no model and no SAE has learned from. `core/demo/weights/README.md` has the table
of attempts.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from core.config import ModelSpec, SaeArchitecture, SaeBias, SaeData, SaeInput, SaePreset
from core.demo.train import states
from core.models.base import PROJECTED, Adapter
from core.models.known import WEIGHTS
from core.progress import Progress
from core.records import EmbeddingView
from core.sae.files import FACTS
from core.sae.files import WEIGHTS as TENSORS
from core.sae.stream import LEARNED_FROM, Order, Stream, alternate, pooled_rows
from core.sae.train import TrainingPlan, train

CHECKPOINT = "checkpoint"
"""Folder of an interrupted training, inside the SAE's: the same command goes on from it."""

PAIRS, COMPOSED = 2000, 400
"""Items of the support split the figures are measured on: images with a caption each, and composed queries."""

WORK = Path("cache/demo-training/sae-rows")


@dataclass(frozen=True)
class Recipe:
    """How one SAE of a demo model is trained.

    Attributes:
        model: row of the table.
        pool: train items whose embeddings, or token states, are learned from.
        rate: learning rate.
        decay: last share of the steps, 0-1, over which the learning rate falls to 0.
        layer: whose states are pooled, or learned token by token; -1 is the last.
    """

    model: str
    width: int
    k: int
    data: SaeData
    input: SaeInput
    steps: int
    batch: int
    pool: int
    rate: float = 8e-4
    decay: float = 0.3
    seed: int = 0
    layer: int = -1
    bias: SaeBias = "none"
    architecture: SaeArchitecture = "topk"
    preset: SaePreset = "sae-lens"

    def plan(self, size: int) -> TrainingPlan:
        """What is trained, for rows of that width."""
        return TrainingPlan(
            size,
            self.width,
            self.k,
            self.steps,
            self.seed,
            self.batch,
            self.rate,
            self.decay,
            self.architecture,
            self.preset,
            self.bias,
        )

    def view(self, kind: str) -> EmbeddingView:
        """The embeddings it is for."""
        return PROJECTED if kind == "dual" else EmbeddingView(layer=self.layer)


_MLLM = Recipe(
    model="demo-mllm",
    width=1024,
    k=32,
    data="pooled",
    input="raw",
    steps=1500,
    batch=512,
    pool=21_120,
    rate=2e-3,
    bias="mean",
    architecture="batchtopk",
)
_CLIP = Recipe(
    model="demo-clip", width=1024, k=16, data="pooled", input="normalised", steps=2500, batch=1024, pool=24_000
)

RECIPES = {
    "demo-mllm": _MLLM,
    "demo-mllm-captioner": replace(_MLLM, model="demo-mllm-captioner", pool=9_000),
    "demo-mllm-layer3": replace(_MLLM, layer=3),
    "demo-mllm-seed1": replace(_MLLM, seed=1),
    "demo-mllm-tokens": replace(_MLLM, data="tokens", pool=3_600, architecture="topk"),
    "demo-mllm-study": Recipe(
        model="demo-mllm",
        width=2304,
        k=50,
        data="tokens",
        input="raw",
        steps=1000,
        batch=1024,
        pool=3_600,
        decay=0.0,
        preset="study",
    ),
    "demo-clip": _CLIP,
    "demo-clip-seed1": replace(_CLIP, seed=1),
}
"""By the name of the recipe: each model's own; the middle layer; then those that show what hangs on seed, training data
and protocol.

BatchTopK spends more concepts on items that need more; on token states alone it is Top-K, for the threshold that
BatchTopK settles on there is not the one of pooled embeddings. `demo-mllm-study`: the study's loss, K, rate, decoder
and token states; its 32,768 concepts for d = 3,584 are 9.1 d, here 2,304 for 256; batches of 1,024 in the place of
4,096, so that as many states make four times the steps."""


def make(adapter: Adapter, recipe: Recipe, folder: Path, work: Path, progress: Progress) -> dict[str, Any]:
    """Train by the recipe, write the folder, return its facts.

    Args:
        work: where embeddings and token states stay.
    """
    view, plan = recipe.view(adapter.facts.kind), recipe.plan(adapter.hidden_size)
    unfinished = folder / CHECKPOINT
    stream = _stream(adapter, recipe, view, work, progress)
    log = train({folder: plan}, stream, progress, unfinished)[folder]
    shutil.rmtree(unfinished, ignore_errors=True)
    _halve(folder / TENSORS)
    facts = {
        "k": recipe.k,
        "input": recipe.input,
        "model": recipe.model,
        "layer": view.layer,
        "source": f"shipped with {adapter.facts.name}",
        "trained_on": (
            f"{LEARNED_FROM[recipe.data]} of {recipe.pool:,} train items of the demo world (images, captions, composed "
            f"queries); {view.words}"
        ),
        "recipe": asdict(recipe),
        "training": plan.keyed() | {"data": recipe.data},
        "last": asdict(log[-1]),
        "held_out": measured(adapter, recipe, folder, work, progress),
    }
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _stream(adapter: Adapter, recipe: Recipe, view: EmbeddingView, work: Path, progress: Progress) -> Stream:
    tokens: list[np.ndarray] = []
    pooled: list[np.ndarray] = []
    if recipe.data != "tokens":
        pooled = states.pooled(adapter, states.train_item, recipe.pool, view, work, progress)
    if recipe.data != "pooled":
        tokens = states.tokens(adapter, states.train_item, recipe.pool, view.layer, work, progress)
    by_token = Order(sum(map(len, tokens)), recipe.seed) if tokens else None
    by_row = Order(recipe.pool, recipe.seed + 1) if pooled else None

    def begin() -> Any:
        sources = [
            pooled_rows(arrays, recipe.batch, order)
            for arrays, order in ((tokens, by_token), (pooled, by_row))
            if order is not None
        ]
        return sources[0] if len(sources) == 1 else alternate(*sources)

    orders = tuple(order for order in (by_token, by_row) if order is not None)
    return Stream(begin, orders, adapter.hidden_size, recipe.batch, recipe.input == "normalised")


def _halve(path: Path) -> None:
    """Store the weights in float16: what is shipped is half as large, and what is measured is what is shipped."""
    from safetensors.torch import load_file, save_file

    save_file({name: tensor.half().contiguous() for name, tensor in load_file(path).items()}, path, {"format": "pt"})


def measured(adapter: Adapter, recipe: Recipe, folder: Path, work: Path, progress: Progress) -> dict[str, Any]:
    """Figures of a folder on the support split (`core/analysis/retrieval/reconstruction.py`), by direction of the
    search, and of composed queries alone: explained variance, L0, dead share."""
    from core.analysis.concepts import fidelity
    from core.analysis.retrieval import reconstruction
    from core.sae.codes import SaeEncoder

    view = recipe.view(adapter.facts.kind)
    items = states.support_items(PAIRS, COMPOSED)
    rows = np.concatenate(states.pooled(adapter, items, len(items), view, work, progress, "support"))
    encoder = SaeEncoder(folder, recipe.input)
    codes, rebuilt = encoder.encode(rows).codes, encoder.reconstruct(rows)

    def side(which: slice) -> reconstruction.Side:
        return reconstruction.Side(rows[which], rebuilt[which], codes[which], [item.modality for item in items[which]])

    images, texts, composed = side(slice(PAIRS)), side(slice(PAIRS, 2 * PAIRS)), side(slice(2 * PAIRS, None))
    pairs = np.column_stack([np.arange(PAIRS)] * 2)
    searches = {"image -> text": (images, texts), "text -> image": (texts, images)}
    figures = {words: _plain(reconstruction.figures(*sides, pairs)) for words, sides in searches.items()}
    alone = {
        reconstruction.EXPLAINED: fidelity.explained_variance_per_dimension(composed.rows, composed.rebuilt),
        "L0": fidelity.l0(composed.codes),
        "dead share": fidelity.dead_share(composed.codes),
    }
    return figures | {"image,text": alone}


def _plain(figures: Mapping[str, tuple[float, int]]) -> dict[str, float | None]:
    """Values alone; None in the place of NaN, which JSON does not know."""
    return {name: None if np.isnan(value) else value for name, (value, _) in figures.items()}


def main(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE...", help=", ".join(RECIPES))],
    steps: Annotated[int | None, typer.Option(help="Training steps; default: the recipe's.")] = None,
    pool: Annotated[int | None, typer.Option(help="Train items; default: the recipe's.")] = None,
    out: Annotated[Path, typer.Option(help="Where sae-<recipe>/ goes.")] = WEIGHTS,
    work: Annotated[Path, typer.Option(help="Where embeddings and token states stay between commands.")] = WORK,
) -> None:
    """Train and write the SAEs of the demo models."""
    from core.models import load_model
    from core.progress import RichProgress

    for name in names:
        if name not in RECIPES:
            raise typer.BadParameter(f"no such recipe: {name!r}; choose from {', '.join(RECIPES)}")
    for name in names:
        changes: dict[str, Any] = {key: value for key, value in (("steps", steps), ("pool", pool)) if value is not None}
        recipe = replace(RECIPES[name], **changes)
        facts = make(load_model(ModelSpec(name=recipe.model)), recipe, out / f"sae-{name}", work, RichProgress())
        sys.stdout.write(json.dumps({name: facts["held_out"]}, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
