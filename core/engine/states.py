"""Token states by workers, in the order of one process: what an SAE learns from arrives while it learns.

`core.sae.states.Source` makes states of some rows at a time; here several such calls are on their way at once. Rows
that have been handed out are a position in an `Order`, so that a training goes on from its checkpoint as without
workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.engine.blocks import by_actors
from core.engine.cluster import Session
from core.engine.ledger import Ledger
from core.engine.shipping import CorpusOf, Shipped, pack
from core.engine.worker import ready
from core.errors import CorpusError, UserError
from core.models.base import Adapter
from core.models.pooling import kept_tokens
from core.records import EmbeddingView, Item, Part
from core.sae.stream import ITEMS_PER_CALL, Order, Rows

RETRIES = 3
"""Times that a call is repeated whose worker has died."""
Package = tuple[Part, bytes, list[int]]
"""Items of one part, and the place of each in its call."""


@dataclass(frozen=True)
class StateWorkers:
    """Workers that make states of items of several parts, put one after another; they stay until the run ends.

    Attributes:
        sizes: rows of each part.
        load: gives a worker the model.
        view: its place and its mask count.
    """

    session: Session
    corpus: CorpusOf
    sizes: Mapping[Part, int]
    task: int
    load: Callable[[], Adapter]
    view: EmbeddingView
    _workers: list[Any] = field(default_factory=list)

    def states(self, calls: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """States (t, d) of the items of each call one after another, and how many each has (n,), in order.

        Raises:
            UserError: an item cannot be read, or the model not be loaded. EngineError: the workers are lost.
        """
        return by_actors(self._ready(), "states", ((self._packed(rows),) for rows in calls))

    def rows(self, order: Order) -> Rows:
        """What `core.sae.stream.token_rows` gives: states item after item in that order, without end."""
        ahead = deepcopy(order)

        def calls() -> Iterator[np.ndarray]:
            while True:
                yield ahead.take(ITEMS_PER_CALL)

        for states, _ in self.states(calls()):
            order.take(ITEMS_PER_CALL)  # handed out now; the calls that are on their way are not
            yield states

    def _packed(self, rows: np.ndarray) -> list[Package]:
        """Items by their number in all parts put one after another."""
        parts, ends = list(self.sizes), np.cumsum(list(self.sizes.values()))
        which, starts = np.searchsorted(ends, rows, side="right"), np.concatenate([[0], ends[:-1]])
        return [
            (
                parts[at],
                pack(self.corpus, parts[at], (rows[which == at] - starts[at]).tolist()),
                np.flatnonzero(which == at).tolist(),
            )
            for at in np.unique(which)
        ]

    def _ready(self) -> list[Any]:
        if not self._workers:
            import ray

            ledger = (
                ray.remote(Ledger).options(num_cpus=0, label_selector=self.session.here).remote(self.session.workers)
            )
            maker = ray.remote(StateMaker).options(
                num_cpus=1, num_gpus=self.session.gpus, max_restarts=-1, max_task_retries=RETRIES
            )
            arguments = (self.load, self.task, self.view, self.session.threads, ledger)
            self._workers.extend(maker.remote(*arguments) for _ in range(self.session.workers))
        return self._workers


class StateMaker:
    """A worker that gives token states."""

    def __init__(self, load: Callable[[], Adapter], task: int, view: EmbeddingView, threads: int, ledger: Any) -> None:
        self._task, self._view, self._ledger = task, view, ledger
        self._adapter = ready(load, threads, ledger)

    def states(self, packages: list[Package]) -> tuple[np.ndarray, np.ndarray]:
        """The states of a call, and how many each item has.

        Raises:
            UserError: an item cannot be read, or the model was not loaded.
        """
        if isinstance(self._adapter, UserError):
            raise self._adapter
        placed: dict[int, Item] = {}
        for part, data, places in packages:
            table = Shipped(data, self._task, part)
            items = [table.item(at) for at in range(len(table))]
            if table.bad:
                name, reason = next(iter(table.bad.items()))
                todo = "put its picture back, or learn from pooled embeddings (data = 'pooled' under [sae])"
                raise CorpusError(f"item {name!r} cannot be read", got=reason, todo=todo)
            placed |= dict(zip(places, items, strict=True))
        whole = [placed[at] for at in range(len(placed))]
        tokens = self._adapter.token_states(whole, self._view.place)
        if self._view.mask == "all":
            return tokens.states, np.bincount(tokens.item, minlength=len(whole))
        keep = kept_tokens(tokens, self._view.mask)
        return tokens.states[keep], np.bincount(tokens.item[keep], minlength=len(whole))
