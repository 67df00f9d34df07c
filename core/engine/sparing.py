"""A model that spares the job: what one item brings about becomes that item's reason, and a row of zeros.

Around an adapter. A batch that raises is halved until the item stands alone; out of memory is left to
`core/models/memory.py`, which halves too, but for an item that does not fit alone. Items are known by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from core.encode import row_form
from core.engine.ledger import DEATHS
from core.models.base import Adapter
from core.models.memory import is_out_of_memory
from core.records import EmbeddingView, Item

Rows = dict[EmbeddingView, np.ndarray]


class SparingAdapter:
    """See the module.

    Args:
        bad: id -> reason; read and added to.
        deaths: told of a batch before it is encoded; how many workers died over it.
    """

    def __init__(self, adapter: Adapter, bad: dict[str, str], deaths: Callable[[tuple[str, ...]], int]) -> None:
        self._adapter, self.bad, self._deaths = adapter, bad, deaths

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def lengths(self, items: Sequence[Item]) -> list[int]:
        """Tokens of each item; 0 of one that cannot be counted."""
        return [self._length(item) for item in items]

    def _length(self, item: Item) -> int:
        if item.id in self.bad:
            return 0
        try:
            return self._adapter.lengths([item])[0]
        except Exception as error:  # whatever a processor says of one item: the others go on
            self.bad[item.id] = reason_of(error)
            return 0

    def embed(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> Rows:
        """See `Adapter.embed`; rows of zeros for items in `bad`."""
        return self._embedded(items, views)

    def prepare(self, items: Sequence[Item], views: Sequence[EmbeddingView]) -> Callable[[], Rows]:
        """`embed` in two halves, where the adapter has them: what the CPU does, and the call that runs the model."""
        whole: Callable[[], Rows] | None = None
        if not any(item.id in self.bad for item in items):
            with suppress(Exception):  # whatever it is, `embed` meets it again, and finds the item
                whole = self._adapter.prepare(items, views)  # type: ignore[attr-defined]
        return lambda: self._embedded(items, views, whole)

    def _embedded(
        self, items: Sequence[Item], views: Sequence[EmbeddingView], whole: Callable[[], Rows] | None = None
    ) -> Rows:
        good = [at for at, item in enumerate(items) if item.id not in self.bad]
        if len(good) == len(items):
            return self._tried(items, views, whole)
        rows = self._blank(len(items), views)
        if good:
            for view, values in self._tried([items[at] for at in good], views).items():
                rows[view][good] = values
        return rows

    def _tried(
        self, items: Sequence[Item], views: Sequence[EmbeddingView], whole: Callable[[], Rows] | None = None
    ) -> Rows:
        """The model's answer, else that to the halves. `whole`: embeds all of them."""
        deaths, alone = self._deaths(tuple(item.id for item in items)), len(items) == 1
        if deaths < DEATHS:
            try:
                return self._adapter.embed(items, views) if whole is None else whole()
            except Exception as error:  # whatever a model says of one item: the others go on
                if is_out_of_memory(error) and not alone:
                    raise
                reason = reason_of(error)
        else:
            reason = f"{deaths} workers died while they encoded it"
        if alone:
            self.bad[items[0].id] = reason
            return self._blank(1, views)
        middle = len(items) // 2
        halves = [self.embed(half, views) for half in (items[:middle], items[middle:])]
        return {view: np.concatenate([half[view] for half in halves]) for view in views}

    def _blank(self, rows: int, views: Sequence[EmbeddingView]) -> Rows:
        return {view: np.zeros(*row_form(self._adapter, view, rows)) for view in views}


def reason_of(error: BaseException) -> str:
    """An error in one short line."""
    text = str(error).strip().splitlines()
    return f"{text[0] if text else type(error).__name__}"[:200]
