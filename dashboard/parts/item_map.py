"""One map or two beside each other: what the browser's part needs, and what it sends back.

The browser's part is dashboard/assets/map: plain JavaScript that draws on a canvas, without WebGL and without packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.questions import map as item_map
from core.questions import map_colours, selection
from core.records import Part
from dashboard import data, state, words
from dashboard.charts import base
from dashboard.charts import item_map as charts
from dashboard.data.served import ADDRESS
from dashboard.words import count, on_map

ASSETS = Path(__file__).parents[1] / "assets" / "map"
KEY = "item-map"


def _read(*names: str) -> str:
    """Files of the component, one after the other: together they are one module."""
    return "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names)


_COMPONENT = st.components.v2.component(
    "retrieval_lens_map",
    html=_read("map.html"),
    css=_read("map.css"),
    js=_read("1_view.js", "2_paint.js", "3_gestures.js", "4_looking.js", "5_map.js"),
)


@dataclass(frozen=True)
class Colouring:
    """By what, and by which concept."""

    by: map_colours.By
    concept: int | None = None


def show(run: str, variants: Sequence[str], colouring: Colouring, ringed: Sequence[tuple[Part, int]]) -> None:
    """The maps of some variants of a run, side by side; `ringed`: the chosen item, and what matches it."""
    places, facts = data.ask(item_map.places, run), data.facts(run)
    n, total = len(places), facts.queries + facts.candidates
    legend, codes = _coloured(run, variants, colouring)
    chosen = state.get("selected", "")
    sample = f"{count(n)} items" if n == total else f"{count(n)} of {count(total)} items, taken evenly"
    maps = [
        {
            "id": f"{run}-{variant}",
            "title": words.variant_name(variant),
            "note": f"{sample}. {on_map.MAP_NOTE}",
            "xy": charts.packed(charts.coordinates(data.ask(item_map.positions, run, variant))),
            "codes": charts.packed(code),
        }
        for variant, code in zip(variants, codes, strict=True)
    ]
    rings = [data.fresh(selection.place_of, run, *one) for one in ringed]
    selected = data.ask(selection.places, run, chosen) if chosen else np.zeros(0, dtype=np.int64)
    queries = int(np.sum(places < facts.queries))
    sent = {
        "maps": maps,
        "n": n,
        "queries": queries,
        "rows": "" if n == total else charts.packed(_rows(places, facts.queries)),
        "kinds": legend.kinds,
        "scale": legend.scale,
        "by": f"{colouring.by}-{colouring.concept}",
        "title": on_map.COLOURS[colouring.by],
        "selection": charts.bits(_positions(places, selected), n),
        "rings": _positions(places, np.array(rings, dtype=np.int64)).tolist(),
        "ring": base.MINUS,
        "items": f"./{ADDRESS}/{run}",
        "keys": on_map.MAP_KEYS,
    }

    def outlined(text: str) -> dict[str, Any]:
        chosen = places[charts.points_of(str(text), n)]
        return {"selected": data.fresh(selection.named, run, chosen.tolist()) or None}

    _COMPONENT(
        key=KEY,
        data=sent,
        on_selection_change=state.sent(KEY, "selection", outlined),
        on_point_change=state.sent(KEY, "point", lambda name: {"point": str(name)}),
    )


def _coloured(run: str, variants: Sequence[str], colouring: Colouring) -> tuple[charts.Legend, list[np.ndarray]]:
    """A legend for all sides, and the number of every point in it."""
    sides = [data.ask(map_colours.colours, run, variant, colouring.by, colouring.concept) for variant in variants]
    kinds = [side.kinds for side in sides if side.kinds is not None]
    if kinds:
        return charts.of_kinds(kinds, sides[0].order)
    numbers = [side.numbers for side in sides if side.numbers is not None]
    nothing = "does not fire" if colouring.by == "concept" else "in no list"
    return charts.of_numbers(numbers, sides[0].missing, nothing, whole=colouring.by == "hubness")


def _rows(places: np.ndarray, queries: int) -> np.ndarray:
    """Row of each point within its part."""
    return np.where(places < queries, places, places - queries).astype("<u4")


def _positions(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which points these places are, in their order; those that the map does not show are left out."""
    at = np.searchsorted(places, wanted).clip(0, max(0, len(places) - 1))
    return at[places[at] == wanted] if len(places) else at
