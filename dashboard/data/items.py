"""Items ready to be drawn: text, thumbnail, and the items that match them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.records import Part
from dashboard.data.memory import Bounded
from dashboard.data.runs import root, run

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class ItemView:
    """An item ready to be drawn; `image` is a data URI of its thumbnail."""

    part: Part
    row: int
    id: str
    modality: str
    text: str
    image: str | None
    truth: Mapping[str, Any] | None


_ITEMS: Bounded[ItemView] = Bounded(64 * 2**20, lambda item: 1000 + len(item.text) + len(item.image or ""))
"""Items with their thumbnails, by cache, run, part and row."""


def items(key: str, part: Part, rows: list[int]) -> list[ItemView]:
    """Items of one part, with thumbnails."""
    return [item(key, part, int(row)) for row in rows]


def item(key: str, part: Part, row: int) -> ItemView:
    """One item, with its thumbnail."""
    return _ITEMS.get((root(), key, part, row), lambda: _viewed(key, part, row))


def item_place(key: str, text: str) -> tuple[Part, int] | None:
    """The part and row that a text like "queries:12" names; None where the run has no such item."""
    name, _, row = text.partition(":")
    parts: dict[str, Part] = {"queries": "queries", "candidates": "candidates"}
    part = parts.get(name)
    return (part, int(row)) if part and re.fullmatch("[0-9]{1,9}", row) and int(row) < size(key, part) else None


def partners(key: str, part: Part, row: int) -> list[tuple[Part, int]]:
    """The items that match one item of "queries" or "candidates", as (part, row)."""
    pairs = run(key).qrels("test").pairs
    side = 0 if part == "queries" else 1
    other: Part = "candidates" if part == "queries" else "queries"
    return [(other, int(pair[1 - side])) for pair in pairs[pairs[:, side] == row]]


def size(key: str, part: Part) -> int:
    """Number of items of a part."""
    return len(run(key).corpus.items(part))


def thumbnail(key: str, part: Part, row: int) -> Image | None:
    """The item's thumbnail as a picture, or None."""
    return run(key).corpus.items(part).thumbnail(row)


def _viewed(key: str, part: Part, row: int) -> ItemView:
    table = run(key).corpus.items(part)
    picture = table.thumbnail(row) if "image" in table.modality[row] else None
    return ItemView(
        part,
        row,
        str(table.ids[row]),
        str(table.modality[row]),
        table.texts[row] or "",
        data_uri(picture),
        table.truth(row),
    )


def data_uri(picture: Image | None) -> str | None:
    """A picture as a PNG (small) or JPEG data URI."""
    if picture is None:
        return None
    buffer = io.BytesIO()
    small = max(picture.size) <= 96
    picture.convert("RGB").save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 85}))
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
