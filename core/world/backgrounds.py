"""Paint the backgrounds of the demo world.

In:  the name of a background and a variant number.
Out: an RGB canvas, HEIGHT x WIDTH pixels; a scene shows a 128 x 128 window of it, mirrored or not.

Every painter starts from a vertical gradient and adds a few shapes at places drawn from the variant's own generator,
so each background exists in VARIANTS hand-like versions. Painted once per process and kept (a canvas is 74 KB).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw

HEIGHT, WIDTH = 128, 192  # canvas, pixels; a scene's window is HEIGHT x HEIGHT
VARIANTS = 12  # versions of each background
SMOOTH = 2  # shapes are drawn this many times larger and scaled down

Colour = tuple[int, int, int]
Painter = Callable[[ImageDraw.ImageDraw, Random], None]


@cache
def canvas(name: str, variant: int) -> np.ndarray:
    """The painted canvas, uint8 (HEIGHT, WIDTH, 3), read-only."""
    sky, horizon, near, far, line, painter = _SCENERY[name]
    rng = Random(f"background/{name}/{variant}")
    image = Image.fromarray(_gradients(sky, horizon, near, far, line + rng.uniform(-0.04, 0.04)))
    painter(ImageDraw.Draw(image, "RGBA"), rng)
    pixels = np.array(image.resize((WIDTH, HEIGHT), Image.Resampling.BOX))
    pixels.flags.writeable = False
    return pixels


def _gradients(sky: Colour, horizon: Colour, near: Colour, far: Colour, line: float) -> np.ndarray:
    """Sky fading to the horizon above `line` (a share of the height), ground fading towards the viewer below it."""
    height, width = HEIGHT * SMOOTH, WIDTH * SMOOTH
    edge = int(height * line)
    rows = np.concatenate([np.linspace(sky, horizon, edge), np.linspace(near, far, height - edge)])
    return np.repeat(rows[:, None, :], width, axis=1).astype(np.uint8)


def _spot(draw: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
    s = SMOOTH
    draw.ellipse((s * (x - rx), s * (y - ry), s * (x + rx), s * (y + ry)), fill=fill)


def _box(draw: ImageDraw.ImageDraw, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...]) -> None:
    s = SMOOTH
    draw.rectangle((s * x0, s * y0, s * x1 - 1, s * y1 - 1), fill=fill)


def _shape(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], fill: tuple[int, ...]) -> None:
    draw.polygon([(SMOOTH * x, SMOOTH * y) for x, y in points], fill=fill)


def _places(rng: Random, step: float, jitter: float) -> list[float]:
    """Horizontal positions from edge to edge, `step` pixels apart on average."""
    return [x * step + rng.uniform(-jitter, jitter) for x in range(int(WIDTH / step) + 2)]


def _clouds(draw: ImageDraw.ImageDraw, rng: Random, low: float, high: float, fill: tuple[int, ...]) -> None:
    for x in _places(rng, 62, 20):
        y = rng.uniform(low, high)
        for dx, ry in ((-9, 3.5), (0, 5.5), (9, 4)):
            _spot(draw, x + dx, y, 9, ry, fill)


def _beach(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    _clouds(draw, rng, 8, 22, (255, 255, 255, 190))
    _box(draw, 0, 44, WIDTH, 68, (38, 150, 205, 255))
    for x in _places(rng, 24, 8):
        _spot(draw, x, rng.uniform(48, 62), 7, 0.8, (150, 215, 240, 200))
        _spot(draw, x, 69, 17, 4, (245, 250, 250, 255))
        _spot(draw, x + 6, 73, 17, 4, (240, 217, 160, 255))
    for x in _places(rng, 16, 8):
        _spot(draw, x, rng.uniform(82, 126), 1.6, 0.9, (206, 172, 110, 255))


def _snow(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in _places(rng, 58, 16):
        top = rng.uniform(22, 36)
        _shape(draw, [(x - 38, 66), (x, top), (x + 38, 66)], (150, 170, 200, 255))
        cap = [(x - 13, top + 15), (x, top), (x + 13, top + 15), (x + 4, top + 11), (x - 4, top + 17)]
        _shape(draw, cap, (250, 252, 255, 255))
    for x in _places(rng, 46, 14):
        _spot(draw, x, 78, 42, 17, (236, 243, 251, 255))
    for _ in range(60):
        _spot(draw, rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), 1.2, 1.2, (255, 255, 255, 255))


def _night(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for _ in range(70):
        size = rng.choice((0.5, 0.8, 1.1))
        _spot(draw, rng.uniform(0, WIDTH), rng.uniform(0, 84), size, size, (255, 250, 210, 255))
    x, y = rng.uniform(70, 122), rng.uniform(14, 26)
    _spot(draw, x, y, 10, 10, (250, 240, 190, 255))
    _spot(draw, x + 5, y - 3, 8.5, 8.5, (18, 20, 66, 255))
    for x in _places(rng, 52, 16):
        _spot(draw, x, 112, 46, rng.uniform(16, 26), (22, 26, 58, 255))


def _water(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in _places(rng, 40, 12):
        _shape(draw, [(x, 0), (x + 10, 0), (x - 12, 110), (x - 34, 110)], (255, 255, 255, 26))
    for x in _places(rng, 44, 14):
        _spot(draw, x, 124, 34, 12, (196, 178, 128, 255))
    for x in _places(rng, 21, 7):
        for bend in range(5):
            _spot(draw, x + (bend % 2) * 3, 117 - 7 * bend, 2.2, 5, (20, 150, 110, 255))
    for _ in range(26):
        size = rng.uniform(1, 2.8)
        _spot(draw, rng.uniform(0, WIDTH), rng.uniform(4, 100), size, size, (200, 240, 255, 130))


def _desert(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    _spot(draw, rng.uniform(70, 122), rng.uniform(14, 26), 10, 10, (255, 236, 140, 255))
    for x in _places(rng, 70, 18):
        _shape(draw, [(x - 30, 66), (x - 18, 46), (x + 18, 44), (x + 30, 66)], (190, 104, 66, 255))
    for x in _places(rng, 56, 16):
        _spot(draw, x, 84, 48, 20, (226, 160, 84, 255))
    for x in _places(rng, 48, 16):
        _spot(draw, x + 20, 112, 50, 20, (214, 142, 68, 255))


def _forest(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in _places(rng, 19, 5):
        width = rng.uniform(2.5, 5)
        _box(draw, x - width, 20, x + width, rng.uniform(78, 92), (84, 58, 38, 255))
    for x in _places(rng, 13, 5):
        _spot(draw, x, rng.uniform(4, 26), 14, 13, (22, rng.randint(72, 104), 42, 255))
    for x in _places(rng, 15, 5):
        _spot(draw, x, rng.uniform(98, 124), 8, 3, (40, 84, 36, 255))


def _city(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in _places(rng, 23, 3):
        top, tone = rng.uniform(12, 46), rng.randint(96, 150)
        _box(draw, x - 10, top, x + 10, 84, (tone, tone - 8, tone + 6, 255))
        for wx in (-7, -1, 5):
            for wy in range(int(top) + 5, 80, 9):
                _box(draw, x + wx, wy, x + wx + 3, wy + 4, rng.choice(((250, 226, 140, 255), (190, 210, 226, 255))))
    _box(draw, 0, 84, WIDTH, 92, (186, 184, 180, 255))
    for x in _places(rng, 30, 0):
        _box(draw, x, 109, x + 15, 112, (240, 236, 220, 255))


def _kitchen(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in range(0, WIDTH, 16):
        _box(draw, x, 0, x + 0.8, 84, (214, 196, 170, 255))
    for y in range(0, 84, 14):
        _box(draw, 0, y, WIDTH, y + 0.8, (214, 196, 170, 255))
    _box(draw, 0, 78, WIDTH, 86, (120, 74, 44, 255))
    for cupboard in _places(rng, 42, 0):
        _box(draw, cupboard, 88, cupboard + 38, 126, (176, 116, 72, 255))
        _spot(draw, cupboard + 32, 104, 1.8, 1.8, (236, 206, 120, 255))
    window = rng.uniform(60, 110)
    _box(draw, window, 8, window + 30, 44, (250, 250, 250, 255))
    _box(draw, window + 2, 10, window + 28, 42, (160, 214, 244, 255))
    _box(draw, window + 14, 10, window + 16, 42, (250, 250, 250, 255))


def _field(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    _clouds(draw, rng, 8, 28, (255, 255, 255, 220))
    for x in _places(rng, 60, 16):
        _spot(draw, x, 74, 50, 18, (126, 196, 84, 255))
    for x in _places(rng, 9, 4):
        y = rng.uniform(84, 126)
        _spot(draw, x, y, 1.5, 1.5, rng.choice(((255, 240, 120, 255), (255, 255, 255, 255), (240, 140, 170, 255))))


def _stage(draw: ImageDraw.ImageDraw, rng: Random) -> None:
    for x in _places(rng, 12, 1.5):
        _box(draw, x, 0, x + 4, 92, (196, 30, 48, 255))
    for x in _places(rng, 24, 0):
        _spot(draw, x, 2, 13, 11, (236, 186, 70, 255))
        _spot(draw, x, 0, 12, 9, (150, 18, 36, 255))
    for y in range(94, HEIGHT, 9):
        _box(draw, 0, y, WIDTH, y + 1, (138, 90, 50, 255))
    _spot(draw, rng.uniform(70, 122), 110, 46, 12, (255, 236, 170, 70))


# name: sky, horizon, ground at the horizon, ground in front, height of the horizon (share), painter
_SCENERY: dict[str, tuple[Colour, Colour, Colour, Colour, float, Painter]] = {
    "beach": ((120, 200, 245), (205, 236, 250), (240, 217, 160), (226, 194, 128), 0.5, _beach),
    "snow": ((176, 206, 236), (222, 234, 246), (240, 246, 252), (214, 226, 242), 0.5, _snow),
    "night": ((8, 8, 40), (34, 34, 92), (26, 30, 66), (14, 16, 40), 0.75, _night),
    "water": ((40, 150, 200), (16, 96, 160), (12, 84, 146), (8, 52, 104), 0.5, _water),
    "desert": ((250, 190, 110), (252, 222, 160), (232, 172, 96), (206, 128, 58), 0.5, _desert),
    "forest": ((70, 120, 70), (120, 160, 96), (70, 110, 52), (46, 78, 36), 0.62, _forest),
    "city": ((150, 176, 206), (206, 214, 224), (92, 92, 98), (70, 70, 76), 0.72, _city),
    "kitchen": ((246, 232, 208), (240, 222, 194), (196, 136, 88), (160, 104, 64), 0.66, _kitchen),
    "field": ((110, 190, 245), (206, 234, 250), (136, 204, 92), (84, 164, 62), 0.52, _field),
    "stage": ((120, 12, 30), (150, 20, 40), (176, 122, 72), (150, 98, 54), 0.72, _stage),
}
NAMES: tuple[str, ...] = tuple(_SCENERY)
