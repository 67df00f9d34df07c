"""Composed retrieval in the demo world: a scene, a wish in words, and the scene that grants it.

In:  a `Scene` and a `random.Random`.
Out: the changed `Scene` and the text that asks for the change, such as "the same, but at night".

Only what the text names changes. Sprites that stay keep their place whenever the new ones leave room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from core.world.grammar import SIZE_WORDS, WHERE, amount, definite
from core.world.scenes import (
    BACKGROUNDS,
    CELLS,
    MAX_KINDS,
    MAX_SPRITES,
    NAMES,
    PIXELS,
    Placement,
    Scene,
    Size,
    arrange,
    cell_of,
    draw_size,
    in_cell,
)

Change = tuple[Scene, str]


def composed(scene: Scene, rng: Random) -> Change:
    """The target scene and the modification text that leads to it from `scene`."""
    changes: list[Callable[[Scene, Random], Change]] = [_elsewhere, _elsewhere, _instead, _instead, _resized]
    if len(scene.things) > 1:
        changes.append(_without)
    if len(scene.placements) < MAX_SPRITES:
        changes.append(_recounted)
    if len(scene.placements) < MAX_SPRITES and len(scene.things) < MAX_KINDS:
        changes.append(_added)
    return rng.choice(changes)(scene, rng)


def _elsewhere(scene: Scene, rng: Random) -> Change:
    place = rng.choice([b for b in BACKGROUNDS if b != scene.background])
    where = rng.choice(WHERE[place])
    frame = rng.choice(("the same, but {}", "the same scene {}", "the same {}", "now {}"))
    return replace(scene, background=place), frame.format(where)


def _instead(scene: Scene, rng: Random) -> Change:
    old = rng.choice(scene.things)
    new, count = _newcomer(scene, rng), scene.counts[old]
    placements = tuple(replace(p, thing=new) if p.thing == old else p for p in scene.placements)
    frame = rng.choice(("the same with {new} instead of {old}", "{new} instead of {old}", "replace {old} with {new}"))
    return replace(scene, placements=placements), frame.format(new=amount(new, count), old=definite(old, count))


def _without(scene: Scene, rng: Random) -> Change:
    """Take one thing away."""
    old = rng.choice(scene.things)
    placements = tuple(p for p in scene.placements if p.thing != old)
    frame = rng.choice(("without {}", "the same, but without {}", "take away {}"))
    return replace(scene, placements=placements), frame.format(definite(old, scene.counts[old]))


def _added(scene: Scene, rng: Random) -> Change:
    """Add one thing that is not there."""
    new = _newcomer(scene, rng)
    frame = rng.choice(("the same with {} as well", "add {}", "the same and also {}"))
    return _with_more(scene, new, 1, draw_size(rng), rng), frame.format(amount(new, 1))


def _recounted(scene: Scene, rng: Random) -> Change:
    """One sprite more of a thing that is there; never more than three of a kind."""
    few = [name for name in scene.things if scene.counts[name] < 3]
    if not few:
        return _elsewhere(scene, rng)
    name = rng.choice(few)
    frame = rng.choice(("but {}", "the same, but {}", "make it {}"))
    target = _with_more(scene, name, 1, scene.sizes[name], rng)
    return target, frame.format(amount(name, target.counts[name]))


def _resized(scene: Scene, rng: Random) -> Change:
    """Make one thing small if it is large and the other way round; when that would not fit, lay the scene out anew."""
    name = rng.choice(scene.things)
    size: Size = "small" if scene.sizes[name] == "large" else "large"
    kinds = [(n, scene.counts[n], size if n == name else scene.sizes[n]) for n in scene.things]
    smaller = tuple(
        replace(p, size=size, pixels=rng.choice(PIXELS[size])) if p.thing == name else p for p in scene.placements
    )
    placements = smaller if size == "small" else arrange(kinds, rng)
    verb = "is" if scene.counts[name] == 1 else "are"
    frame = rng.choice(("the same, but {the} {verb} {size}", "make {the} {size}"))
    words = frame.format(the=definite(name, scene.counts[name]), verb=verb, size=rng.choice(SIZE_WORDS[size]))
    return replace(scene, placements=placements), words


def _newcomer(scene: Scene, rng: Random) -> str:
    return rng.choice([name for name in NAMES if name not in scene.things])


def _with_more(scene: Scene, name: str, count: int, size: Size, rng: Random) -> Scene:
    """The scene with `count` more sprites of a thing, in free cells of the grid when all others stand in cells."""
    if len(scene.placements) > 1:
        free = [c for c in CELLS if c not in {cell_of(p) for p in scene.placements}]
        extra = tuple(in_cell(name, size, cell, rng) for cell in rng.sample(free, count))
        return replace(scene, placements=_together(scene.placements + extra))
    kinds = {n: (n, scene.counts[n], scene.sizes[n]) for n in scene.things}
    kinds[name] = (name, scene.counts.get(name, 0) + count, size)
    return replace(scene, placements=arrange(list(kinds.values()), rng))


def _together(placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    """Sprites of one thing one after another, things in order of appearance."""
    order = list(dict.fromkeys(p.thing for p in placements))
    return tuple(sorted(placements, key=lambda p: order.index(p.thing)))
