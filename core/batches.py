"""Items -> batches that fit: what is alike in length goes together, and no batch outgrows the memory that is free.

While the model computes a batch, a thread reads the pictures of the next ones and gives them to the processor
(`ahead`): at most `AHEAD` batches wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from core.models.base import Adapter, ModelFacts, prepared
from core.models.memory import BYTES, is_out_of_memory, tokens_that_fit
from core.models.stopwatch import Stopwatch
from core.progress import Progress
from core.records import EmbeddingView, Item

T = TypeVar("T")

CPU_BATCH_TOKENS = 1024
"""Batches stay this small without an accelerator: larger ones leave its caches and take longer."""
AHEAD = 2
"""Batches that are made while the model computes another."""


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


@dataclass(frozen=True)
class Batch:
    """Items that the model computes together.

    Attributes:
        rows: theirs in the table.
        lengths: tokens of each.
        embed: runs the model on them, their pictures and words already read.
    """

    rows: list[int]
    items: list[Item]
    lengths: list[int]
    embed: Callable[[], dict[EmbeddingView, np.ndarray]]


def prepared_batches(
    table: Items,
    adapter: Adapter,
    windows: Sequence[range],
    limit: int,
    views: Sequence[EmbeddingView],
    watch: Stopwatch,
) -> Iterator[Batch]:
    """The batches of one window of rows after another, ready for the model."""
    for window in windows:
        for rows, items, lengths in batches(table, adapter, window, limit, watch):
            yield Batch(rows, items, lengths, _prepared(adapter, items, views))


def _prepared(
    adapter: Adapter, items: list[Item], views: Sequence[EmbeddingView]
) -> Callable[[], dict[EmbeddingView, np.ndarray]]:
    """What runs the model on a batch; one whose inputs do not fit into memory fails there, where it is halved."""
    try:
        return prepared(adapter, items, views)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return lambda: adapter.embed(items, views)


class _End:
    """What stands behind the last value."""


def ahead(source: Iterator[T], number: int = AHEAD) -> Generator[T, None, None]:
    """The values of an iterator, the next `number` of them made by a thread while the current one is used.

    What the iterator raises is raised here in its turn. Where the caller stops early, the value that is being made is
    the last one.
    """
    end = _End()
    with ThreadPoolExecutor(1, "ahead") as thread:  # one thread: an iterator is no two threads' business

        def following() -> Future[T | _End]:
            return thread.submit(next, source, end)

        waiting = deque(following() for _ in range(number))
        try:
            while not isinstance(value := waiting.popleft().result(), _End):
                waiting.append(following())
                yield value
        finally:
            for future in waiting:
                future.cancel()


def batches(
    table: Items, adapter: Adapter, rows: Sequence[int], limit: int, watch: Stopwatch | None = None
) -> Iterator[tuple[list[int], list[Item], list[int]]]:
    """Rows, items and token counts; a batch's longest item times its size stays within `limit` padded tokens.

    An item that is longer than the limit has a batch of its own.

    Args:
        watch: is given the seconds of "decode" (reading items) and "tokens" (counting theirs).
    """
    watch = watch or Stopwatch()
    for group in _by_length(table, rows):
        members: list[int] = []
        items: list[Item] = []
        lengths: list[int] = []
        for row in group:
            with watch.step("decode"):
                item = table.item(row)
            with watch.step("tokens"):
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
