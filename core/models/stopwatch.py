"""Seconds that the steps of encoding take, by name and added up: decode, tokens, processor, transfer, model, waiting.

Steps that run in another thread overlap with the model's, so that they add up to more than the time that passes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Adds the time inside to a step; one thread at a time may be in a step of that name."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started
