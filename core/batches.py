"""Items -> batches that fit: what is alike in length goes together, and no batch outgrows the memory that is free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from core.models.base import Adapter, ModelFacts
from core.models.memory import BYTES, tokens_that_fit
from core.progress import Progress
from core.records import Item

CPU_BATCH_TOKENS = 1024
"""Batches stay this small without an accelerator: larger ones leave its caches and take longer."""


class Items(Protocol):
    """What can be encoded: an `ItemTable`, or items made of one."""

    @property
    def content(self) -> str:
        """Hash of what the model sees, in order."""

    @property
    def modality(self) -> np.ndarray:
        """(n,) of "text", "image" or "image,text"."""

    @property
    def texts(self) -> list[str | None]:
        """Texts, in row order; None for pure images."""

    def __len__(self) -> int:
        """Number of items."""

    def item(self, row: int) -> Item:
        """The whole item."""


def batch_limit(batch_tokens: int, facts: ModelFacts, layers: int, progress: Progress) -> int:
    """Padded tokens per batch: what the spec says, or less where that would not fit into the memory free by now.

    Args:
        layers: places of the decoder whose states are kept.
    """
    from core.models.device import device, free_gib

    limit = batch_tokens if device() != "cpu" else min(batch_tokens, CPU_BATCH_TOKENS)
    fitting = tokens_that_fit(facts.hidden_size, layers, BYTES[facts.dtype], free_gib())
    if fitting < limit:
        progress.say(f"batches of at most {fitting:,} tokens: {limit:,} (batch_tokens) would not fit into free memory")
    return min(limit, fitting)


def batches(
    table: Items, adapter: Adapter, rows: Sequence[int], limit: int
) -> Iterator[tuple[list[int], list[Item], list[int]]]:
    """Rows, items and token counts; a batch's longest item times its size stays within `limit` padded tokens.

    An item that is longer than the limit has a batch of its own.
    """
    for group in _by_length(table, rows):
        members: list[int] = []
        items: list[Item] = []
        lengths: list[int] = []
        for row in group:
            item = table.item(row)
            length = adapter.lengths([item])[0]
            # What a batch costs is its padded size: every item is padded to the longest.
            if members and max(length, *lengths) * (len(members) + 1) > limit:
                yield members, items, lengths
                members, items, lengths = [], [], []
            members.append(row)
            items.append(item)
            lengths.append(length)
        if members:
            yield members, items, lengths


def _by_length(table: Items, rows: Sequence[int]) -> list[list[int]]:
    """Texts, then images, then items with both; each by the length of its text, longest first."""
    # Characters stand for tokens here: items of like length come together, and `batches` counts tokens exactly.
    # Longest first: a batch that does not fit into memory shows at the beginning of a window, not at its end.
    modality, texts = table.modality, table.texts
    groups = [[row for row in rows if modality[row] == one] for one in ("text", "image", "image,text")]
    return [sorted(group, key=lambda row: -len(texts[row] or "")) for group in groups if group]
