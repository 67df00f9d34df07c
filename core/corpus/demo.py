"""The demo world as a corpus.

- task 4: images ask for their captions; task 1: captions ask for their images, with the two tables of task 4 swapped;
- task 7: a reference image with a wish in words asks for the image that grants it, among all such images and all
  references;
- task 0: the captions of task 1 ask for their scenes in a pool of several modalities: each scene is one candidate, in
  turn its picture, another caption of it, or both together. Which modality answers a caption depends on its scene
  alone.

Every task has a support split of its own. Images are not stored anywhere: a reference names the scene, and `draw`
renders it. A limit is a number of queries, smaller or larger than the default (1,000 images, 2,000 captions, 500 with a
wish); the pool and the support split go with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from core import world
from core.config import CorpusSpec
from core.corpus.rows import ImageRef, RawPair, RawRow, Source, Split
from core.errors import CorpusError
from core.records import Modality, Part

IMAGES = 1_000
SUPPORT = 1_000
"""Images and captions of the support split: on the demo ReAlign gains no more from 2,000 (exhibit support-size)."""
COMPOSED = 500
"""Composed queries, each with two candidates, and as many in the support split."""
DRAWN = 2_048
"""Pictures kept, 48 KiB each: a corpus is encoded right after it was taken in."""
CAPTIONS = 2
"""Captions per test image; one per support image."""
TASKS = (0, 1, 4, 7)
SUPPORT_MIXED = 300
"""Support scenes that are candidates of task 0: 100 of each modality. All support captions ask, so that they are
encoded once for every task."""
IN_TURN: tuple[Modality, ...] = ("image", "text", "image,text")
WISH = "+wish"
"""Ending of a scene reference that means the scene which grants the composed query."""

Rows = Callable[[], Iterator[RawRow]]


def read(spec: CorpusSpec) -> Source:
    """The demo world for task 0, 1, 4 or 7."""
    if spec.task not in TASKS:
        raise CorpusError(
            "the demo world has no such task", got=spec.task, allowed="0, 1, 4 or 7", todo="set task in [corpus]"
        )
    make = {0: _mixed, 7: _composed}.get(spec.task, _captioned)
    rows, pairs, sizes = make(spec)
    return Source(f"demo-task{spec.task}", None, {"world": _fingerprint()}, rows, pairs, sizes=sizes)


@lru_cache(maxsize=DRAWN)
def draw(name: str, index: int) -> np.ndarray:
    """The picture of a scene reference such as `test` or `test+wish`, uint8 (128, 128, 3), not to be written to."""
    split = cast(world.Split, name.removesuffix(WISH))
    scene = world.scene(split, index)
    if name.endswith(WISH):
        scene, _ = world.composed(scene, world.stream("composed", split, index))
    pixels = world.render(scene)
    pixels.flags.writeable = False  # whoever asks next gets the same array
    return pixels


def truth(scene: world.Scene) -> dict[str, Any]:
    """What there is to know about a scene, plain JSON."""
    relation = scene.relation
    return {
        "background": scene.background,
        "things": list(scene.things),
        "groups": list(scene.groups),
        "counts": dict(scene.counts),
        "sizes": dict(scene.sizes),
        "relation": None if relation is None else [relation.subject, relation.word, relation.object],
    }


def _captioned(spec: CorpusSpec) -> tuple[dict[Part, Rows], dict[Split, Callable], dict[Part, int]]:
    """Tasks 4 and 1: the same two tables, one way round or the other."""
    images = IMAGES if spec.limit is None else spec.limit
    texts = CAPTIONS * images
    if spec.task == 1 and spec.limit is not None:
        images, texts = -(-spec.limit // CAPTIONS), spec.limit
    support = min(SUPPORT, 2 * images)
    tables: dict[str, Rows] = {
        "images": partial(_images, "test", images, CAPTIONS),
        "texts": lambda: islice(_texts("test", images, CAPTIONS), texts),
        "support_images": partial(_images, "support", support, 1),
        "support_texts": partial(_texts, "support", support, 1),
    }
    query, candidate = ("texts", "images") if spec.task == 1 else ("images", "texts")
    rows: dict[Part, Rows] = {
        "queries": tables[query],
        "candidates": tables[candidate],
        "support_queries": tables[f"support_{query}"],
        "support_candidates": tables[f"support_{candidate}"],
    }
    count = {"images": images, "texts": texts}
    pairs: dict[Split, Callable] = {
        "test": partial(_caption_pairs, tables["texts"], spec.task == 1),
        "support": partial(_caption_pairs, tables["support_texts"], spec.task == 1),
    }
    sizes: dict[Part, int] = {
        "queries": count[query],
        "candidates": count[candidate],
        "support_queries": support,
        "support_candidates": support,
    }
    return rows, pairs, sizes


def _images(split: world.Split, number: int, per_scene: int) -> Iterator[RawRow]:
    for item in world.captioned(split, number, per_scene):
        name = _image_id(split, item.index)
        yield RawRow(name, name, "image", image=ImageRef(f"scene:{split}", item.index), truth=truth(item.scene))


def _texts(split: world.Split, number: int, per_scene: int) -> Iterator[RawRow]:
    for item in world.captioned(split, number, per_scene):
        for n, text in enumerate(item.captions):
            name = f"{_image_id(split, item.index)}#{n}"
            yield RawRow(name, name, "text", text, truth=truth(item.scene))


def _caption_pairs(texts: Rows, text_asks: bool) -> Iterator[RawPair]:
    for row in texts():
        image = row.id.partition("#")[0]
        yield RawPair("qrels", *((row.id, image) if text_asks else (image, row.id)))


def _mixed(spec: CorpusSpec) -> tuple[dict[Part, Rows], dict[Split, Callable], dict[Part, int]]:
    """Task 0: the queries of task 1, and a pool of pictures, captions, and both together."""
    rows, pairs, sizes = _captioned(replace(spec, task=1))
    number, support = sizes["candidates"], min(SUPPORT_MIXED, sizes["support_candidates"])
    rows |= {
        "candidates": partial(_in_turn, "test", number, CAPTIONS),
        "support_candidates": partial(_in_turn, "support", support, 1),
    }
    with_answer: Rows = partial(_texts, "support", support, 1)
    pairs["support"] = partial(_caption_pairs, with_answer, True)
    return rows, pairs, sizes | {"support_candidates": support}


def _in_turn(split: world.Split, number: int, per_scene: int) -> Iterator[RawRow]:
    """One candidate per scene, its modality in turn; no text of a candidate is one that asks."""
    scenes = list(world.captioned(split, number, per_scene))
    taken = {text for item in scenes for text in item.captions}
    for n, item in enumerate(scenes):
        name, modality = _image_id(split, item.index), IN_TURN[n % len(IN_TURN)]
        draws, text = world.stream("candidate", split, item.index), None
        while "text" in modality and (text is None or text in taken):
            text = world.caption(item.scene, draws)
        image = ImageRef(f"scene:{split}", item.index) if "image" in modality else None
        yield RawRow(name, name, modality, text, image, truth=truth(item.scene))


def _composed(spec: CorpusSpec) -> tuple[dict[Part, Rows], dict[Split, Callable], dict[Part, int]]:
    """Task 7."""
    number = COMPOSED if spec.limit is None else spec.limit
    support = min(COMPOSED, 2 * number)
    rows: dict[Part, Rows] = {
        "queries": partial(_wishes, "test", number),
        "candidates": partial(_granted, "test", number),
        "support_queries": partial(_wishes, "support", support),
        "support_candidates": partial(_granted, "support", support),
    }
    pairs: dict[Split, Callable] = {
        "test": partial(_wish_pairs, "test", number),
        "support": partial(_wish_pairs, "support", support),
    }
    sizes: dict[Part, int] = {
        "queries": number,
        "candidates": 2 * number,
        "support_queries": support,
        "support_candidates": 2 * support,
    }
    return rows, pairs, sizes


def _wishes(split: world.Split, number: int) -> Iterator[RawRow]:
    for item in world.composed_set(split, number):
        name = f"{_image_id(split, item.index)}?"
        known = truth(item.reference) | {"target": truth(item.target)}
        yield RawRow(name, name, "image,text", item.text, ImageRef(f"scene:{split}", item.index), truth=known)


def _granted(split: world.Split, number: int) -> Iterator[RawRow]:
    for item in world.composed_set(split, number):
        name = _image_id(split, item.index)
        target = ImageRef(f"scene:{split}{WISH}", item.index)
        yield RawRow(f"{name}+", f"{name}+", "image", image=target, truth=truth(item.target))
        yield RawRow(name, name, "image", image=ImageRef(f"scene:{split}", item.index), truth=truth(item.reference))


def _wish_pairs(split: world.Split, number: int) -> Iterator[RawPair]:
    for index in range(number):
        name = _image_id(split, index)
        yield RawPair("qrels", f"{name}?", f"{name}+")


def _image_id(split: str, index: int) -> str:
    return f"{split}-{index}"


@cache
def _fingerprint() -> str:
    """Changes when the sprites, the drawing or the wording of the world change: its files and samples of what it
    makes."""
    state = hashlib.sha256()
    for name in ("sprites.json", "sprites.png"):
        state.update((Path(world.__file__).parent / name).read_bytes())
    for split in ("test", "support"):
        for item in world.captioned(split, 24, CAPTIONS):
            state.update("\n".join(item.captions).encode())
            state.update(draw(split, item.index).tobytes() + draw(split + WISH, item.index).tobytes())
        state.update("\n".join(item.text for item in world.composed_set(split, 24)).encode())
    return state.hexdigest()
