"""Values made once and then shared by all threads: what several browser sessions ask of one run, or one fit of another.

Each key has a lock of its own. Threads that ask for the same key wait for the one that makes its value; threads that
ask for other keys go on, however long that takes (a fit of a wide model takes minutes).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Any, TypeVar

T = TypeVar("T")


class _Slot:
    """The place of one key: its lock, and its value once that is made."""

    __slots__ = ("lock", "made", "value")

    def __init__(self) -> None:
        # Re-entrant: a `make` that asks for its own key fails with a RecursionError instead of hanging for ever.
        self.lock = RLock()
        self.made = False
        self.value: Any = None


class Memo:
    """A thread-safe mapping from a key to the value that its function makes, the last `limit` of them."""

    def __init__(self, limit: int | None = None) -> None:
        """`limit`: how many values stay in memory, the least recently used go first; None for all."""
        self._limit, self._lock = limit, Lock()
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of `key`, made by `make()` at the first call.

        Where `make` raises, nothing is remembered: the next thread, also one that waits already, tries again.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            # `make` runs under the lock of its key alone: it may ask this memo for other keys.
            if not slot.made:
                slot.value = make()
                slot.made = True
                self._drop_beyond_limit()
            return slot.value

    def _drop_beyond_limit(self) -> None:
        if self._limit is None:
            return
        with self._lock:
            # A value in the making keeps its slot, else a second thread would make it again beside the first.
            made = [key for key, slot in self._slots.items() if slot.made]
            for key in made[: max(0, len(made) - self._limit)]:
                del self._slots[key]

    def __len__(self) -> int:
        """How many values are in memory."""
        with self._lock:
            return sum(slot.made for slot in self._slots.values())
