"""What a run on many workers takes, by arithmetic: hours, bytes, and what holds it up.

Four things go on at once, so the slowest counts: workers encode, pictures are read, arrays and pictures travel to and
from the machine of the command, and that machine writes and keeps the books (one block of 1,024 items at a time).
"""

from __future__ import annotations

from dataclasses import dataclass

from core.encode import WINDOW

FLOAT, CODE = 4, 8
"""Bytes of a number of an embedding, and of an active concept: its number and its value."""
GIB = 2**30


@dataclass(frozen=True)
class Rates:
    """Rates of one worker, and of the machine that the command is given on.

    Attributes:
        items: encoded per second by one worker.
        reading: bytes of pictures per second that one machine reads.
        writing: bytes of arrays per second that one machine writes, checked and flushed.
        network: bytes per second in and out of one machine.
        windows: blocks per second that Ray and the writer handle beside that.
    """

    items: float
    reading: float
    writing: float
    network: float
    windows: float


@dataclass(frozen=True)
class Load:
    """What an item weighs: bytes of its picture's file (0 for a text), width of its embedding, active concepts."""

    picture: float
    width: int
    k: int

    @property
    def kept(self) -> int:
        """Bytes of embedding and codes."""
        return self.width * FLOAT + self.k * CODE


@dataclass(frozen=True)
class Estimate:
    """Hours, bytes in the store, bytes on the network, and the slowest of what goes on at once."""

    hours: float
    kept: float
    travelled: float
    holds_up: str


def estimate(items: int, workers: int, rates: Rates, load: Load, shared: bool = False) -> Estimate:
    """The four seconds per item compared.

    Args:
        shared: whether workers read the corpus themselves, from a folder that all see, and leave their shards there.
    """
    travelled = load.picture + load.width * FLOAT
    seconds = {
        "the model: more workers": 1 / (rates.items * workers),
        "reading pictures on one machine: --shared": 0.0 if shared else load.picture / rates.reading,
        "the network of one machine: --shared": 0.0 if shared else travelled / rates.network,
        "writing on one machine": load.kept / rates.writing,
        "the bookkeeping of blocks": 1 / (rates.windows * WINDOW),
    }
    slowest = max(seconds, key=lambda name: seconds[name])
    return Estimate(items * seconds[slowest] / 3600, items * load.kept, items * travelled, slowest)
