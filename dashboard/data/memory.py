"""What all sessions share in memory, where Streamlit's own caches cost more than what they save.

A page draws tens of items and asks who a run is hundreds of times. `st.cache_data` hashes every argument and copies
every answer; here a key is looked up. Only what never changes and is never changed belongs here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Bounded(Generic[Value]):
    """Values by key, at most so many bytes of them: the least recently used go first. Thread-safe."""

    def __init__(self, most: int, size: Callable[[Value], int]) -> None:
        self._most, self._size, self._lock = most, size, Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, made at the first call. Two threads may both make it: the later one stays."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key in self._values:
                self._bytes -= self._size(self._values.pop(key))
            self._values[key] = value
            self._bytes += self._size(value)
            while self._bytes > self._most and len(self._values) > 1:
                self._bytes -= self._size(self._values.popitem(last=False)[1])
        return value

    def bytes(self) -> int:
        """What the values come to."""
        with self._lock:
            return self._bytes
