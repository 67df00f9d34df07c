"""Token states of a small corpus, kept on disk: the model reads each item once, however long the training is.

In: the items of a run and its model. Out: a folder of stage "states" per layer and token mask, whose parents are the
run's embeddings, so that it is removed with the run. Its facts say how many states there are; what is small enough is
kept, shard by shard, and an interrupted build goes on after its last whole shard. A larger corpus keeps nothing but
the number, estimated from a sample: its states are made as they are needed (`stream.token_rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.models.base import Adapter
from core.models.pooling import kept_tokens
from core.progress import Progress
from core.records import EmbeddingView, Item, StatePlace
from core.sae.stream import ITEMS_PER_CALL, Order, Rows
from core.store import Draft, Folder, Store

STORED_BYTES = 2**30
"""States of a corpus are kept where they take 1 GiB or less (float32)."""
SAMPLE = 64
"""Items that the number of states is estimated from, drawn evenly from all."""
CALLS_PER_SHARD = 16

Items = Callable[[np.ndarray], Sequence[Item]]
"""Gives the items of some row numbers."""


class Makers(Protocol):
    """Others who make token states, several calls at a time (`core/engine`); in the order of the calls all the same."""

    def states(self, calls: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """`Source.states` of the row numbers of each call."""

    def rows(self, order: Order) -> Rows:
        """`stream.token_rows`."""


@dataclass(frozen=True)
class Source:
    """What the states are made from: `items(rows)` for row numbers below `count`, and the model that reads them."""

    items: Items
    count: int
    model: Callable[[], Adapter]
    """Called only where states must be made."""
    size: int
    """d."""
    view: EmbeddingView
    """Its place and its mask count."""
    makers: Makers | None = None
    """None: this process."""

    def made(self, calls: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """`states` of each call, in order."""
        return map(self.states, calls) if self.makers is None else self.makers.states(calls)

    def states(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States (t, d) of some items one after another, and how many each has (n,)."""
        tokens = self.model().token_states(self.items(rows), self.view.place)
        if self.view.mask == "all":
            return tokens.states, np.bincount(tokens.item, minlength=len(rows))
        keep = kept_tokens(tokens, self.view.mask)
        return tokens.states[keep], np.bincount(tokens.item[keep], minlength=len(rows))


def find(view: EmbeddingView, parents: tuple[str, ...], store: Store) -> Folder | None:
    """The finished folder, without a model."""
    from core.fingerprint import stage_key

    return store.find("states", stage_key("states", _spec(view), parents))


def obtain(source: Source, slug: str, parents: tuple[str, ...], store: Store, progress: Progress) -> Folder:
    """The folder, found or made. Facts: `states` (how many there are), `kept` (whether they are in it)."""

    def write(draft: Draft) -> None:
        number = _keep(source, draft, progress)
        draft.facts |= {"states": _estimate(source) if number is None else number, "kept": number is not None}

    return store.build("states", slug, _spec(source.view), parents, write)


def stored_rows(folder: Folder, order: Order) -> Rows:
    """States (t, d) item after item in that order, without end: what `stream.token_rows` gives, from disk."""
    shards = [(folder.array(f"states-{n:05d}"), folder.array(f"counts-{n:05d}")) for n in range(folder.facts["shards"])]
    items_before = np.cumsum([0, *(len(counts) for _, counts in shards)])
    starts = [np.cumsum([0, *counts]) for _, counts in shards]
    while True:
        chunk = []
        for row in order.take(ITEMS_PER_CALL):
            n = int(np.searchsorted(items_before, row, side="right")) - 1
            at = int(row - items_before[n])
            chunk.append(shards[n][0][starts[n][at] : starts[n][at + 1]])
        yield np.concatenate(chunk)


def _spec(view: EmbeddingView) -> dict[str, object]:
    spec: dict[str, object] = {"layer": view.layer, "mask": view.mask}
    # Left out where the whole block is read after the norm, as before there was a choice: older keys stay valid.
    return spec if view.place == StatePlace(view.layer) else spec | {"place": str(view.place)}


def _keep(source: Source, draft: Draft, progress: Progress) -> int | None:
    """Write the states of all items and return their number; None, and nothing kept, where they are too many."""
    most = STORED_BYTES // (4 * source.size)
    whole = sorted(draft.path.glob("counts-*.npy"))  # written after the states of its shard
    if not whole and source.count > SAMPLE and _estimate(source) > most:
        return None
    calls = [np.arange(at, min(at + ITEMS_PER_CALL, source.count)) for at in range(0, source.count, ITEMS_PER_CALL)]
    shards = [calls[at : at + CALLS_PER_SHARD] for at in range(0, len(calls), CALLS_PER_SHARD)]
    total = sum(int(np.load(path, allow_pickle=False).sum()) for path in whole)
    with progress.task("token states", source.count) as bar:
        bar.advance(sum(len(rows) for shard in shards[: len(whole)] for rows in shard))
        arriving = source.made([rows for shard in shards[len(whole) :] for rows in shard])
        for n, shard in list(enumerate(shards))[len(whole) :]:
            made = []
            for rows in shard:
                made.append(next(arriving))
                total += len(made[-1][0])
                if total > most:  # the sample was small: rather none than more than was promised
                    _forget(draft.path)
                    return None
                bar.advance(len(rows))
            draft.save(f"states-{n:05d}", np.concatenate([states for states, _ in made]).astype(np.float32))
            draft.save(f"counts-{n:05d}", np.concatenate([counts for _, counts in made]))
    draft.facts["shards"] = len(shards)
    return total


def _estimate(source: Source) -> int:
    """The number of states of all items, from an even sample of them."""
    rows = np.sort(Order(source.count, 0).take(min(SAMPLE, source.count)))
    return round(source.count * len(next(iter(source.made([rows])))[0]) / len(rows))


def _forget(folder: Path) -> None:
    for path in [*folder.glob("counts-*.npy"), *folder.glob("states-*.npy")]:
        path.unlink()
