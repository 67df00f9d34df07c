"""The map: items as points in two dimensions, packed for the browser's part of it (dashboard/assets/map).

Coordinates travel as 16-bit whole numbers, kinds as one byte a point, selections as one bit: 100,000 points in two maps
are about 1.3 MB. Words and pictures of items do not travel: the browser asks for those that one looks at.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard.charts import base

MAP_COLOURS = 12
"""Kinds of points with a colour of their own on a map; the rarer ones are grey together."""
OTHER = "other"
GREY = base.CONTROL
STEPS = 32
"""Colours of a scale of numbers."""
RAMP = ("#4a6fd0", "#8a5cc0", "#cf5a86", "#e08a1e")
"""From low to high; each readable on light and dark."""
RED, GREEN = base.MINUS, base.PLUS
MEANT = {"found first": GREEN, "fails": RED, "nothing to find": "#6b7280", "a candidate": GREY, "a query": GREY}
"""Kinds whose colour says something."""
SPAN = 65535


@dataclass(frozen=True, eq=False)
class Legend:
    """Names and colours by number; of a scale, the words at its ends and where its colours begin."""

    kinds: list[dict[str, str]]
    scale: dict[str, Any] | None = None


def packed(values: np.ndarray) -> str:
    """An array as base64, its bytes in order."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def coordinates(xy: np.ndarray) -> np.ndarray:
    """(n, 2) uint16 of x and y, the longer side of the map over the whole span, the other one in the middle."""
    xy = np.asarray(xy, dtype=np.float64)
    if not len(xy):
        return np.zeros((0, 2), dtype=np.uint16)
    low, high = xy.min(axis=0), xy.max(axis=0)
    size = max(float((high - low).max()), 1e-12)
    return np.rint((xy - (low + high) / 2) / size * SPAN + SPAN / 2).clip(0, SPAN).astype("<u2")


def bits(places: np.ndarray, n: int) -> str:
    """Some of n points as base64 of one bit each, the lowest bit first; "" for none."""
    chosen = np.zeros(n, dtype=bool)
    chosen[places] = True
    return packed(np.packbits(chosen, bitorder="little")) if chosen.any() else ""


def points_of(text: str, n: int) -> np.ndarray:
    """The points that `bits` wrote; none where the text is not of n points."""
    try:
        raw = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError:
        return np.zeros(0, dtype=np.int64)
    if len(raw) != -(-n // 8):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.unpackbits(raw, count=n, bitorder="little"))


def of_kinds(sides: Sequence[np.ndarray], order: Sequence[str] = ()) -> tuple[Legend, list[np.ndarray]]:
    """Legend and a number per point (uint8) of each side, for kinds by name; the rarer ones beyond MAP_COLOURS
    together."""
    together = pd.Series(np.concatenate(list(sides)))
    names = [str(name) for name in together.value_counts().index]
    if order:
        names = [name for name in order if name in names]
    elif len(names) > MAP_COLOURS:
        names = _most(names)
    number = {name: at for at, name in enumerate(names)}
    rest = number.get(OTHER, 0)
    codes = [np.array([number.get(str(name), rest) for name in side], dtype=np.uint8) for side in sides]
    bands = [name for name in names if name not in MEANT]
    colour = dict(zip(bands, ramp(len(bands)), strict=True)) if order else {}
    kinds = [
        {"name": base.MODALITY_NAMES.get(n, n) or OTHER, "colour": colour.get(n) or _colour(n, at)}
        for at, n in enumerate(names)
    ]
    return Legend(kinds), codes


def of_numbers(sides: Sequence[np.ndarray], missing: str, nothing: str, whole: bool) -> tuple[Legend, list[np.ndarray]]:
    """The same for numbers: grey where there is none (`missing`) or 0 (`nothing`), else a scale up to the 99th
    percentile."""
    everything = np.concatenate(list(sides))
    positive = everything[everything > 0]
    top = float(np.percentile(positive, 99)) if len(positive) else 1.0
    kinds = [{"name": nothing, "colour": GREY}]
    if np.isnan(everything).any():
        kinds.append({"name": missing, "colour": "#c3c8cf"})
    first = len(kinds)
    codes = []
    for side in sides:
        step = np.clip(np.nan_to_num(side) / top * (STEPS - 1), 0, STEPS - 1).round()
        code = np.where(np.isnan(side), first - 1, np.where(side > 0, first + step, 0))
        codes.append(code.astype(np.uint8))
    form = "{:.0f}" if whole else "{:.2f}"
    kinds += [{"name": "", "colour": colour} for colour in ramp(STEPS)]
    most = float(positive.max()) if len(positive) else 1.0
    high = form.format(top) + (" and more" if most > top else "")
    return Legend(kinds, {"first": first, "low": form.format(0), "high": high}), codes


def ramp(n: int) -> list[str]:
    """n colours from low to high."""
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in RAMP], dtype=np.float64)
    at = np.linspace(0, len(RAMP) - 1, max(n, 1))
    channels = [np.interp(at, np.arange(len(RAMP)), anchors[:, c]).round().astype(int) for c in range(3)]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in zip(*channels, strict=True)][:n]


def _most(names: Sequence[str]) -> list[str]:
    """The most frequent kinds, and one for all others, last."""
    return [*[name for name in names if name not in ("", OTHER)][:MAP_COLOURS], OTHER]


def _colour(name: str, at: int) -> str:
    if name in ("", OTHER):
        return GREY
    return base.MODALITY.get(name) or MEANT.get(name) or base.SERIES[at % len(base.SERIES)]
