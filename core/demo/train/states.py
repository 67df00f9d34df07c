"""What the SAEs of the demo models learn from and are measured on: embeddings and token states, made once, left on
disk.

In:  a loaded demo model; items of the demo world under the study's prompts.
Out: `<folder>/<model>-<key>/<what>-<view>/<first item>.npy`: pooled embeddings (n, d) float32, or token states (t, d)
     float16, of `BLOCK` items each. A block appears whole, so an interrupted run goes on with the next one, and a
     longer pool begins with a shorter one. The key follows from the weights: another model never finds them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import world
from core.models.base import Adapter
from core.progress import Progress
from core.records import EmbeddingView, Item, StatePlace

if TYPE_CHECKING:
    from core.world import Split

BLOCK = 240
"""Items of one file."""

SORTS = 3
"""Train items come in turn: an image, a caption, an image with a wish."""


def train_item(index: int) -> Item:
    """Item number `index` of the train split; each is of a scene of its own."""
    return world_item("train", index)


def world_item(split: Split, index: int) -> Item:
    """Item number `index` of a split: an image, a caption or a composed query, in turn."""
    scene = world.scene(split, index)
    rng = world.stream("sae", split, index)
    sort = index % SORTS
    name = f"{split}-{index}"
    if sort == 0:
        return _image(name, scene)
    if sort == 1:
        return Item(name, "text", world.caption(scene, rng), None, 4, "candidate")
    return Item(name, "image,text", world.composed(scene, rng)[1], _image(name, scene).image, 7, "query")


def support_items(pairs: int, composed: int) -> list[Item]:
    """What SAEs are chosen by: `pairs` images of the support split, a caption of each in the same order, then composed
    queries. No model and no SAE has learned from that split."""
    scenes = list(world.captioned("support", pairs, 1))
    images = [_image(f"support-{item.index}", item.scene) for item in scenes]
    texts = [
        Item(f"{i.id}#0", "text", s.captions[0], None, 4, "candidate") for i, s in zip(images, scenes, strict=True)
    ]
    return [*images, *texts, *(world_item("support", SORTS * i + 2) for i in range(composed))]


def _image(name: str, scene: world.Scene) -> Item:
    from PIL import Image

    return Item(name, "image", None, Image.fromarray(world.render(scene)), 4, "query")


def pooled(
    adapter: Adapter,
    items: Sequence[Item] | Callable[[int], Item],
    count: int,
    view: EmbeddingView,
    folder: Path,
    progress: Progress,
    what: str = "train",
) -> list[np.ndarray]:
    """Blocks (n, d) float32 of the first `count` items in one view.

    Args:
        items: the items, or what makes them by number.
        what: name of these items in the folder.
    """

    def rows(block: list[Item]) -> np.ndarray:
        return np.asarray(adapter.embed(block, [view])[view], np.float32)

    return _blocks(adapter, items, count, f"{what}-{view}", rows, folder, progress)


def tokens(
    adapter: Adapter,
    items: Sequence[Item] | Callable[[int], Item],
    count: int,
    layer: int,
    folder: Path,
    progress: Progress,
) -> list[np.ndarray]:
    """Blocks (t, d) float16 of the states of every token of the first `count` items at one layer."""

    def rows(block: list[Item]) -> np.ndarray:
        return adapter.token_states(block, StatePlace(layer)).states.astype(np.float16)

    return _blocks(adapter, items, count, f"tokens-{layer}", rows, folder, progress)


def _blocks(
    adapter: Adapter,
    items: Sequence[Item] | Callable[[int], Item],
    count: int,
    name: str,
    rows: Callable[[list[Item]], np.ndarray],
    folder: Path,
    progress: Progress,
) -> list[np.ndarray]:
    made = items if callable(items) else items.__getitem__
    place = folder / f"{adapter.facts.name}-{adapter.facts.key[:8]}" / name
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    with progress.task(f"{adapter.facts.name}: {name}", count) as bar:
        for start in range(0, count, BLOCK):
            numbers = range(start, min(start + BLOCK, count))
            path = place / f"{start:06d}-{len(numbers)}.npy"
            if not path.exists():
                aside = path.with_suffix(".part")
                with aside.open("wb") as file:
                    np.save(file, rows([made(i) for i in numbers]))
                os.replace(aside, path)
            paths.append(path)
            bar.advance(len(numbers))
    return [np.load(path, mmap_mode="r") for path in paths]
