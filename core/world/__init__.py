"""The demo world: a small world of pictures and sentences whose ground truth is known.

In:  a split ("train", "support", "test") and an index or a number of items; nothing else.
Out: scenes, their 128 x 128 pictures, captions, questions with answers, composed queries, and the benchmark sets.

    from core import world
    scene = world.scene("test", 0)                    # Scene: background, things, groups, counts, sizes, relation
    picture = world.render(scene)                     # uint8 (128, 128, 3)
    texts = world.captions(scene, world.stream("mine", 0), n=3)
    for item in world.captioned("test", 1000):        # unique captions over the whole set
        item.scene, item.captions
    for triple in world.composed_set("test", 1000):   # task 7: reference + text -> target
        triple.reference, triple.text, triple.target

Everything is a pure function of its arguments. No font, no network and no torch are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from core.world.compose import composed
from core.world.grammar import WHERE, caption, captions, fact, questions
from core.world.scenes import (
    BACKGROUNDS,
    GROUPS,
    NAMES,
    SIDE,
    SPLITS,
    THINGS,
    Placement,
    Relation,
    Scene,
    Split,
    Thing,
    render,
    scene,
    stream,
)

__all__ = [
    "BACKGROUNDS", "GROUPS", "NAMES", "SIDE", "SPLITS", "THINGS", "WHERE",
    "Captioned", "Composed", "Placement", "Relation", "Scene", "Split", "Thing",
    "caption", "captioned", "captions", "composed", "composed_set", "fact", "questions", "render", "scene", "stream",
]  # fmt: skip

_TRIES = 60  # captions drawn for one scene before it is passed over for lack of a new one


@dataclass(frozen=True)
class Captioned:
    """A scene of a benchmark set with its captions; `index` is its number in the split."""

    index: int
    scene: Scene
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Composed:
    """A composed query: `text` asks for `target`, seen from `reference`; `index` is the reference's number in the
    split."""

    index: int
    reference: Scene
    text: str
    target: Scene


def captioned(split: Split, number: int, per_scene: int = 2, seed: int = 0) -> Iterator[Captioned]:
    """`number` scenes of a split with `per_scene` captions each; no caption occurs twice in the whole set.

    Scenes come in order of their index; one that finds no new caption any more is passed over, so a longer set
    begins with the shorter one.
    """
    taken: set[str] = set()
    made = 0
    for index in count():
        if made == number:
            return
        current = scene(split, index, seed)
        fresh = _fresh_captions(current, taken, per_scene, stream("captions", split, index, seed=seed))
        if len(fresh) == per_scene:
            taken.update(fresh)
            made += 1
            yield Captioned(index, current, fresh)


def _fresh_captions(current: Scene, taken: set[str], wanted: int, rng: Random) -> tuple[str, ...]:
    """Up to `wanted` captions of a scene that are not taken yet."""
    fresh: dict[str, None] = {}
    for _ in range(_TRIES):
        if len(fresh) == wanted:
            break
        text = caption(current, rng)
        if text not in taken:
            fresh[text] = None
    return tuple(fresh)


def composed_set(split: Split, number: int, seed: int = 0) -> Iterator[Composed]:
    """`number` composed queries of a split, the reference scenes in order of their index."""
    for index in range(number):
        reference = scene(split, index, seed)
        target, text = composed(reference, stream("composed", split, index, seed=seed))
        yield Composed(index, reference, text, target)
