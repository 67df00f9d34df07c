"""The one writer: windows that workers have encoded become rows of the arrays of a part, resumable as a local run's.

Windows with bad items are noted as finished last: a run that stops before tries them again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.encode import windows_of
from core.errors import ModelError
from core.store import Draft
from core.windows import JOURNAL, Journal, sum_of

JOURNAL_SECONDS, JOURNAL_SHARE = 2.0, 0.05
"""Time between two writings of the journal, and share of the time that they may take: a long journal takes long."""
NAMED = 1000
"""Bad items that a manifest names; it counts the others."""


class Gathering:
    """Arrays of `names` and of so many rows, in a draft."""

    def __init__(self, draft: Draft, rows: int, names: Sequence[str], max_bad_share: float) -> None:
        self.draft, self.rows, self.names, self._share = draft, rows, list(names), max_bad_share
        self._arrays: dict[str, np.memmap] = {}
        self.journal = self._resumed()
        self.bad: dict[int, tuple[str, str]] = {}
        self._withheld: list[tuple[int, Journal, str]] = []
        self._next = time.monotonic() + JOURNAL_SECONDS

    @property
    def missing(self) -> list[range]:
        """Windows that nobody has encoded yet."""
        return [window for start, window in windows_of(self.rows).items() if start not in self.journal.windows]

    def take(
        self, first: int, arrays: dict[str, np.ndarray], figures: Journal, bad: dict[int, tuple[str, str]], maker: str
    ) -> int:
        """Write a window; returns its number of rows.

        Args:
            bad: row of the window -> id and reason; its rows are zeros.

        Raises:
            ModelError: more items are bad than the corpus allows.
        """
        if not self._arrays:
            for name in self.names:
                form = (self.rows, *arrays[name].shape[1:]), arrays[name].dtype
                self._arrays[name], _ = self.draft.map(name, *form)
        rows = len(arrays["n_tokens"])
        for name, array in self._arrays.items():
            array[first : first + rows] = arrays[name]
        if bad:
            self.bad |= {first + row: why for row, why in bad.items()}
            self._withheld.append((first, figures, maker))
            self._check()
        else:
            self._note(first, figures, maker)
        if time.monotonic() >= self._next:
            self.save()
        return rows

    def save(self) -> None:
        """Rows first, journal second: a window that the journal calls finished is on disk."""
        started = time.monotonic()
        for array in self._arrays.values():
            array.flush()
        if self.journal.windows:
            self.journal.write(self.draft.path / JOURNAL)
        took = time.monotonic() - started
        self._next = started + took + max(JOURNAL_SECONDS, took / JOURNAL_SHARE)

    def finish(self, engine: dict[str, Any]) -> dict[str, Any]:
        """Every window is there: facts of the engine, with the first rows of each worker's windows; of bad items."""
        for first, figures, maker in self._withheld:
            self._note(first, figures, maker)
        self.save()
        made: dict[str, list[int]] = {}
        for start, maker in self.journal.makers.items():
            made.setdefault(maker, []).append(int(start))
        facts: dict[str, Any] = {"engine": engine | {"shards": {maker: sorted(made[maker]) for maker in sorted(made)}}}
        listed = [{"row": row, "id": name, "reason": why} for row, (name, why) in sorted(self.bad.items())]
        return facts | ({"bad": listed[:NAMED], "bad_items": len(listed)} if listed else {})

    def _note(self, first: int, figures: Journal, maker: str) -> None:
        self.journal.add(figures)
        window = windows_of(self.rows)[str(first)] if self.rows else range(0)
        self.journal.windows[str(first)] = sum_of(window, tuple(self._arrays.values()))
        self.journal.makers[str(first)] = maker

    def _check(self) -> None:
        if len(self.bad) <= self._share * self.rows:
            return
        examples = " | ".join(f"{name}: {why}" for name, why in list(self.bad.values())[:3])
        raise ModelError(
            f"{len(self.bad):,} of {self.rows:,} items cannot be encoded",
            got=examples,
            allowed=f"{self._share:.1%} (max_bad_share under [corpus])",
            todo="mend what the reasons name and give the same command again: it goes on from what is finished",
        )

    def _resumed(self) -> Journal:
        """The journal of an interrupted run, local or not, where its arrays are as it says; else an empty one."""
        opened: dict[str, np.memmap] = {}
        for name in self.names:
            try:
                array = np.lib.format.open_memmap(self.draft.path / f"{name}.npy", "r+")
            except (OSError, ValueError, EOFError):  # missing, cut or no array
                return Journal()
            if len(array) != self.rows:
                return Journal()
            opened[name] = array
        journal = Journal.believed(self.draft.path / JOURNAL, windows_of(self.rows), tuple(opened.values()))
        if journal.windows:
            self._arrays = opened
        return journal
