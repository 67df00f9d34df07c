"""Endless streams of training rows: token states, pooled embeddings, or both, in shuffled batches, seeded.

Token states are made by the model as they are needed and live in sae-lens's mixing buffer only (half of it is kept back and mixed with
what follows), so memory does not grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.models.base import Adapter
from core.models.pooling import MASKED_ROLES
from core.records import EmbeddingView, Item

if TYPE_CHECKING:
    from torch import Tensor

ITEMS_PER_CALL = 64
"""Items sent to the model at a time."""

BUFFER_VALUES = 2**27
"""Floats in the shuffled buffer: 512 MiB at most."""

Rows = Iterator[np.ndarray]


def token_rows(adapter: Adapter, items: Callable[[np.ndarray], Sequence[Item]], count: int, view: EmbeddingView, seed: int) -> Rows:
    """States (t, d) of the view's layer and masked tokens, items in a new random order in every round, without end.

    Args:
        items: gives the items of some row numbers below `count`.
    """
    rng, kept = np.random.default_rng(seed), MASKED_ROLES[view.mask]
    while True:
        order = rng.permutation(count)
        for start in range(0, count, ITEMS_PER_CALL):
            found = adapter.token_states(items(order[start : start + ITEMS_PER_CALL]), view.layer)
            if view.mask == "all":
                yield found.states
            else:
                yield found.states[[role in kept for role in found.role]]


def pooled_rows(arrays: Sequence[np.ndarray], batch: int, seed: int) -> Rows:
    """Batches (b, d) of rows drawn evenly from several arrays (memmaps), in a new random order in every round, without end."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum([len(array) for array in arrays])
    while True:
        order = rng.permutation(ends[-1])
        for start in range(0, len(order), batch):
            yield _gather(arrays, ends, np.sort(order[start : start + batch]))


def _gather(arrays: Sequence[np.ndarray], ends: np.ndarray, rows: np.ndarray) -> np.ndarray:
    which = np.searchsorted(ends, rows, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    return np.concatenate([np.asarray(arrays[a][rows[which == a] - starts[a]]) for a in np.unique(which)])


def alternate(first: Rows, second: Rows) -> Rows:
    """Equal numbers of rows of two streams, mixed."""
    held = np.empty((0, 0), np.float32)
    for chunk in first:
        while len(held) < len(chunk):
            more = next(second)
            held = np.concatenate([held, more]) if len(held) else more
        yield np.concatenate([chunk, held[: len(chunk)]])
        held = held[len(chunk) :]


def shuffled_batches(rows: Rows, size: int, batch: int, normalise: bool) -> Iterator[Tensor]:
    """Batches (batch, d) of an endless stream of rows of width `size`, through sae-lens's mixing buffer.

    The buffer shuffles with torch's generator, which the trainer seeds.
    """
    import torch
    from sae_lens.training.mixing_buffer import mixing_buffer

    def tensors() -> Iterator[Tensor]:
        for chunk in rows:
            values = np.asarray(chunk, np.float32)
            norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12) if normalise else 1
            yield torch.from_numpy(values / norms)

    capacity = max(2 * batch, min(16 * batch, BUFFER_VALUES // size))
    return mixing_buffer(capacity, batch, tensors())
