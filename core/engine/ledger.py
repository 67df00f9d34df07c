"""Who died over what: an item that ends its worker (a crash, a kill for want of memory) must not end every worker.

One actor on this machine. A worker says what it begins: a window, a batch. Where a window begins again without having
been finished, its worker has died over the batch that was said last. One death may have any cause, so the batch is
tried once more as it is; after `DEATHS` it is halved, until the item is found.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

DEATHS = 2
"""Workers that may die over a batch before it is no longer tried as it is."""
STARTS = 4
"""Loads of the model per worker that may be begun and not finished before the run ends."""

Batch = tuple[str, ...]
"""Ids of its items."""


@dataclass
class Ledger:
    """What workers are doing, and what they died over."""

    workers: int = 1
    at: dict[str, Batch | None] = field(default_factory=dict)
    """Window that is being encoded -> the batch at hand."""
    died: Counter[tuple[str, Batch]] = field(default_factory=Counter)
    loading: int = 0
    """Loads that were begun and not finished: those going on, and those over which a worker died."""

    def load(self) -> bool:
        """A worker begins to load the model; false where too many have died of that."""
        self.loading += 1
        return self.loading <= STARTS * self.workers

    def loaded(self) -> None:
        """It has the model, or knows why it has none."""
        # Where one succeeds, earlier deaths had another cause.
        self.loading = min(self.loading - 1, self.workers)

    def begin(self, window: str) -> None:
        """A worker begins a window; whoever had begun it before is dead."""
        if batch := self.at.get(window):
            self.died[window, batch] += 1
        self.at[window] = None

    def batch(self, window: str, ids: Batch) -> int:
        """It begins a batch; how many have died over it."""
        self.at[window] = ids
        return self.died[window, ids]

    def done(self, window: str) -> None:
        """The window is encoded."""
        self.at.pop(window, None)
        for key in [key for key in self.died if key[0] == window]:
            del self.died[key]
