"""Scenes of the demo world: what is in a picture, and the picture.

In:  a split and an index (nothing else is random).
Out: a `Scene`, which is the complete ground truth, and its 128 x 128 picture.

1. draw one to three kinds of things, how many of each (four sprites at most) and whether small or large;
2. give every sprite a place: single ones anywhere, several in the cells of a jittered 2 x 2 grid, so that none overlap;
3. paint the background and paste the sprites.

Random numbers come from `random.Random` seeded with text, which gives the same numbers on every platform and Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from random import Random
from typing import Literal, get_args

import numpy as np
from PIL import Image

from core.world import backgrounds

SIDE = 128  # width and height of a picture, pixels
CELL = SIDE // 2  # width and height of a cell of the layout grid, pixels
CELLS = ((0, 0), (1, 0), (0, 1), (1, 1))  # column, row; top-left first
Split = Literal["train", "support", "test"]
Size = Literal["small", "large"]
Direction = Literal["left of", "right of", "above", "below"]
SPLITS: tuple[str, ...] = get_args(Split)
BACKGROUNDS = backgrounds.NAMES
PIXELS: dict[str, tuple[int, ...]] = {"small": (36, 40, 44), "large": (54, 58, 62)}
MAX_SPRITES = 4
MAX_KINDS = 3
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Thing:
    """A kind of thing that a scene can show."""

    name: str
    plural: str
    group: str


@dataclass(frozen=True)
class Placement:
    """One sprite: its thing, the centre (x, y) in pixels from the top left, and its size in words and pixels."""

    thing: str
    x: int
    y: int
    size: Size
    pixels: int


@dataclass(frozen=True)
class Relation:
    """Where `subject` stands seen from `object`: left of, right of, above or below."""

    subject: str
    word: Direction
    object: str


@dataclass(frozen=True)
class Scene:
    """The ground truth of one picture. Sprites of one thing stand together in `placements` and share a size."""

    background: str
    placements: tuple[Placement, ...]
    variant: int  # version of the background, 0 to backgrounds.VARIANTS - 1
    shift: int  # left edge of the window onto the background, pixels
    mirrored: bool  # whether the background is mirrored

    @cached_property
    def things(self) -> tuple[str, ...]:
        """Names of the one to three kinds of things, each once."""
        return tuple(dict.fromkeys(p.thing for p in self.placements))

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The group of each of `things`."""
        return tuple(THINGS[name].group for name in self.things)

    @cached_property
    def counts(self) -> dict[str, int]:
        return {name: sum(p.thing == name for p in self.placements) for name in self.things}

    @cached_property
    def sizes(self) -> dict[str, Size]:
        return {p.thing: p.size for p in self.placements}

    @cached_property
    def relation(self) -> Relation | None:
        """How the first two things that occur once each stand to each other; None with fewer than two such things."""
        single = [p for p in self.placements if self.counts[p.thing] == 1]
        if len(single) < 2:
            return None
        return Relation(single[0].thing, _direction(single[0], single[1]), single[1].thing)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The things and the background: every word that could sum this scene up."""
        return (*self.things, self.background)


_SHEET = json.loads((HERE / "sprites.json").read_text(encoding="utf-8"))
THINGS: dict[str, Thing] = {r["name"]: Thing(r["name"], r["plural"], r["group"]) for r in _SHEET["things"]}
NAMES: tuple[str, ...] = tuple(THINGS)
GROUPS: tuple[str, ...] = tuple(dict.fromkeys(t.group for t in THINGS.values()))


def stream(*name: object, seed: int = 0) -> Random:
    """A random generator seeded by `name`; different names give independent numbers."""
    return Random("/".join(map(str, (seed, *name))))


def scene(split: Split, index: int, seed: int = 0) -> Scene:
    """Scene number `index` of a split: the same for ever, and drawn independently of every other split and index."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    rng = stream("scene", split, index, seed=seed)
    amounts = _amounts(rng)
    kinds = [(name, n, draw_size(rng)) for name, n in zip(rng.sample(NAMES, len(amounts)), amounts, strict=True)]
    return Scene(rng.choice(BACKGROUNDS), arrange(kinds, rng), *draw_window(rng))


def _amounts(rng: Random) -> tuple[int, ...]:
    """How many sprites of each kind: 35% one kind, 45% two kinds, 20% three kinds."""
    kinds = rng.choices((1, 2, 3), (35, 45, 20))[0]
    choices = {
        1: (((1,), (2,), (3,)), (60, 25, 15)),
        2: (((1, 1), (2, 1), (1, 2), (2, 2), (3, 1)), (60, 15, 15, 5, 5)),
        3: (((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2)), (76, 8, 8, 8)),
    }[kinds]
    return rng.choices(*choices)[0]


def draw_size(rng: Random) -> Size:
    return "large" if rng.random() < 0.6 else "small"


def draw_window(rng: Random) -> tuple[int, int, bool]:
    """Which part of which version of the background is seen: variant, shift, mirrored."""
    return rng.randrange(backgrounds.VARIANTS), rng.randrange(backgrounds.WIDTH - SIDE + 1), rng.random() < 0.5


def arrange(kinds: list[tuple[str, int, Size]], rng: Random) -> tuple[Placement, ...]:
    """Give every sprite of `kinds` (name, how many, size) a place of its own."""
    total = sum(n for _, n, _ in kinds)
    assert 1 <= total <= MAX_SPRITES, total
    if total == 1:
        return (_anywhere(kinds[0][0], kinds[0][2], rng),)
    cells = iter(_cells(total, rng))
    return tuple(in_cell(name, size, next(cells), rng) for name, n, size in kinds for _ in range(n))


def _cells(total: int, rng: Random) -> list[tuple[int, int]]:
    """`total` different cells in random order; two sprites stand side by side more often than not."""
    if total == 2 and rng.random() < 0.5:
        row = rng.randrange(2)
        return rng.sample([(0, row), (1, row)], 2)
    return rng.sample(CELLS, total)


def _anywhere(name: str, size: Size, rng: Random) -> Placement:
    """A sprite somewhere on the picture, wholly inside it."""
    pixels = rng.choice(PIXELS[size])
    low, high = pixels // 2 + 2, SIDE - pixels // 2 - 2
    return Placement(name, rng.randint(low, high), rng.randint(low, high), size, pixels)


def in_cell(name: str, size: Size, cell: tuple[int, int], rng: Random) -> Placement:
    """A sprite wholly inside one cell of the grid."""
    pixels = rng.choice(PIXELS[size])
    slack = (CELL - pixels) // 2
    x, y = (CELL * c + CELL // 2 + rng.randint(-slack, slack) for c in cell)
    return Placement(name, x, y, size, pixels)


def cell_of(placement: Placement) -> tuple[int, int]:
    return placement.x // CELL, placement.y // CELL


def _direction(a: Placement, b: Placement) -> Direction:
    """Side by side counts before above and below; cells of one column differ by less than 28 pixels in x."""
    if abs(a.x - b.x) >= 28:
        return "left of" if a.x < b.x else "right of"
    return "above" if a.y < b.y else "below"


def render(scene: Scene) -> np.ndarray:
    """The picture, uint8 (128, 128, 3)."""
    window = backgrounds.canvas(scene.background, scene.variant)[:, scene.shift : scene.shift + SIDE]
    picture = np.array(window[:, ::-1] if scene.mirrored else window)
    for placement in scene.placements:
        _paste(picture, placement)
    return picture


def _paste(picture: np.ndarray, placement: Placement) -> None:
    """Blend one sprite into `picture`, in place."""
    colour, keep = _sprite(placement.thing, placement.pixels)
    top, left = placement.y - placement.pixels // 2, placement.x - placement.pixels // 2
    region = picture[top : top + placement.pixels, left : left + placement.pixels]
    region[...] = colour + ((region * keep) >> 8)


@cache
def _sprite(name: str, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The sprite at a size: colour times opacity, uint8 (p, p, 3), and what it lets through, uint16 (p, p, 1) of
    256."""
    index = NAMES.index(name)
    cell = _sheet().crop(_cell_box(index)).resize((pixels, pixels), Image.Resampling.LANCZOS)
    rgba = np.asarray(cell, dtype=np.uint16)
    colour = (rgba[..., :3] * rgba[..., 3:] // 255).astype(np.uint8)
    return colour, (256 - rgba[..., 3:] - (rgba[..., 3:] > 127)).astype(np.uint16)


def _cell_box(index: int) -> tuple[int, int, int, int]:
    """Where a thing stands on the sprite sheet: left, top, right, bottom."""
    side, columns = _SHEET["cell"], _SHEET["columns"]
    left, top = index % columns * side, index // columns * side
    return left, top, left + side, top + side


@lru_cache(maxsize=1)
def _sheet() -> Image.Image:
    """The sprite sheet, read once per process."""
    return Image.open(HERE / "sprites.png").convert("RGBA")
