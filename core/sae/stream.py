"""Endless streams of training rows: token states, pooled embeddings, or both, in shuffled batches, seeded.

Token states are made by the model as they are needed and live in sae-lens's mixing buffer only (half of it is kept back
and mixed with what follows), so memory does not grow with the corpus. A `Stream` can begin again where it was: which
rows were handed out is a position in an `Order`, which follows from the seed alone. What lies in the buffer when it
begins again is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.models.base import Adapter
from core.models.pooling import kept_tokens
from core.records import EmbeddingView, Item

if TYPE_CHECKING:
    from torch import Tensor

ITEMS_PER_CALL = 64
"""Items sent to the model at a time."""

BUFFER_VALUES = 2**27
"""Floats in the shuffled buffer: 512 MiB at most."""

Rows = Iterator[np.ndarray]

LEARNED_FROM = {
    "tokens": "token states",
    "pooled": "pooled embeddings",
    "mixture": "token states and pooled embeddings, half and half,",
}
"""What an SAE saw, by the name of the setting, to be followed by "of" and the items."""


class Order:
    """Row numbers below `count` in a new random order in every round, without end; each row once per round.

    Attributes:
        position: row numbers handed out so far; may be set.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.position = count, seed, 0
        self._shuffled = (-1, np.empty(0, int))

    def take(self, n: int) -> np.ndarray:
        """The next row numbers: n, or fewer at the end of a round."""
        current, start = divmod(self.position, self.count)
        # Seeded by (seed, round): an order that begins again in round 7 need not shuffle rounds 0 to 6 first.
        if self._shuffled[0] != current:
            self._shuffled = current, np.random.default_rng((self.seed, current)).permutation(self.count)
        rows = self._shuffled[1][start : start + n]
        self.position += len(rows)
        return rows


@dataclass(frozen=True)
class Stream:
    """Batches of rows of width `size`, in a state that can be recorded.

    Attributes:
        rows: begins the rows, going on at the positions of `orders`.
        normalise: whether rows are divided by their norm.
    """

    rows: Callable[[], Rows]
    orders: tuple[Order, ...]
    size: int
    batch: int
    normalise: bool

    @property
    def positions(self) -> list[int]:
        """Row numbers handed out so far, per order."""
        return [order.position for order in self.orders]

    def go_to(self, positions: Sequence[int]) -> None:
        """Stand where `positions` were read."""
        for order, position in zip(self.orders, positions, strict=True):
            order.position = position

    def begin(self, positions: Sequence[int]) -> Iterator[Tensor]:
        """Batches from there on, shuffled by torch's generator; only one such iterator may be in use."""
        self.go_to(positions)
        return shuffled_batches(self.rows(), self.size, self.batch, self.normalise)


def token_rows(
    adapter: Adapter, items: Callable[[np.ndarray], Sequence[Item]], order: Order, view: EmbeddingView
) -> Rows:
    """States (t, d) of the view's place and masked tokens, item after item in that order, without end.

    Args:
        items: gives the items of some row numbers below `order.count`.
    """
    while True:
        tokens = adapter.token_states(items(order.take(ITEMS_PER_CALL)), view.place)
        yield tokens.states if view.mask == "all" else tokens.states[kept_tokens(tokens, view.mask)]


def pooled_rows(arrays: Sequence[np.ndarray], batch: int, order: Order) -> Rows:
    """Batches (b, d) of rows drawn evenly from several arrays (memmaps) in that order, without end."""
    ends = np.cumsum([len(array) for array in arrays])
    while True:
        # Sorted, so that a memmap is read forwards; the mixing buffer shuffles them again.
        yield _gather(arrays, ends, np.sort(order.take(batch)))


def _gather(arrays: Sequence[np.ndarray], ends: np.ndarray, rows: np.ndarray) -> np.ndarray:
    which = np.searchsorted(ends, rows, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    return np.concatenate([np.asarray(arrays[a][rows[which == a] - starts[a]]) for a in np.unique(which)])


def alternate(first: Rows, second: Rows) -> Rows:
    """Equal numbers of rows of two streams, mixed."""
    waiting = np.empty((0, 0), np.float32)  # rows of `second` that came with an earlier chunk
    for chunk in first:
        while len(waiting) < len(chunk):
            more = next(second)
            waiting = np.concatenate([waiting, more]) if len(waiting) else more
        yield np.concatenate([chunk, waiting[: len(chunk)]])
        waiting = waiting[len(chunk) :]


def buffer_rows(size: int, batch: int) -> int:
    """Rows of width `size` that the buffer takes in before it gives the first batch.

    At least two batches, or there is nothing to mix; 16 unless wide rows would make that more than 512 MiB.
    """
    return max(2 * batch, min(16 * batch, BUFFER_VALUES // size))


def shuffled_batches(rows: Rows, size: int, batch: int, normalise: bool) -> Iterator[Tensor]:
    """Batches (batch, d) of an endless stream of rows of width `size`, through sae-lens's mixing buffer.

    The buffer shuffles with torch's generator, which the trainer seeds.
    """
    import torch
    from sae_lens.training.mixing_buffer import mixing_buffer

    def tensors() -> Iterator[Tensor]:
        for chunk in rows:
            values = np.asarray(chunk, np.float32)
            # A row of zeros (an item that a model left empty) stays one instead of becoming NaN.
            norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12) if normalise else 1
            yield torch.from_numpy(values / norms)

    return mixing_buffer(buffer_rows(size, batch), batch, tensors())
