"""Who waits for a computation: it may be asked only for what is cached, and it stops when nobody waits any more.

A server computes for visitors who leave. It sets both for the thread that computes:

1. `cached_only()`: the first thing that would have to be computed raises `NotCached`. So a server learns at once
   whether an answer is quick.
2. `watched(wanted, give_way)`: `checkpoint()` raises `NobodyWaits` once `wanted()` is false; `pause()` lets others go
   first too.
3. `reported(report)`: `reached(done, total)` says how far a computation is, as a share; where one computation holds
   others, theirs count within their part of it (`part_of`).

Elsewhere, as on the command line, all of this does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CACHED_ONLY: ContextVar[bool] = ContextVar("cached_only", default=False)
_WANTED: ContextVar[Callable[[], bool] | None] = ContextVar("wanted", default=None)
_GIVE_WAY: ContextVar[Callable[[], None] | None] = ContextVar("give_way", default=None)
_REPORT: ContextVar[Callable[[float], None] | None] = ContextVar("report", default=None)


class NotCached(Exception):
    """Something has to be computed first, and only what is cached was asked for."""


class NobodyWaits(Exception):
    """Whoever asked has gone; what is computed so far is dropped."""


@contextmanager
def cached_only() -> Iterator[None]:
    """Within: `about_to_compute` raises `NotCached`."""
    token = _CACHED_ONLY.set(True)
    try:
        yield
    finally:
        _CACHED_ONLY.reset(token)


@contextmanager
def watched(wanted: Callable[[], bool], give_way: Callable[[], None] | None = None) -> Iterator[None]:
    """Within: `checkpoint` asks `wanted` whether to go on, `pause` calls `give_way`."""
    tokens = _WANTED.set(wanted), _GIVE_WAY.set(give_way)
    try:
        yield
    finally:
        _WANTED.reset(tokens[0])
        _GIVE_WAY.reset(tokens[1])


@contextmanager
def reported(report: Callable[[float], None] | None) -> Iterator[None]:
    """Within: `reached` gives the share that is done, 0-1, to `report`."""
    token = _REPORT.set(report)
    try:
        yield
    finally:
        _REPORT.reset(token)


def reached(done: int, total: int) -> None:
    """A checkpoint that also says how far it is: `done` of `total` like steps."""
    checkpoint()
    report = _REPORT.get()
    if report is not None and total:
        report(done / total)


def share_reporter() -> Callable[[float], None] | None:
    """Where `reached` reports to; None where nobody listens."""
    return _REPORT.get()


@contextmanager
def part_of(first: float, last: float) -> Iterator[None]:
    """Within: what is reported is that part of the whole, from the share `first` to the share `last`."""
    whole = _REPORT.get()
    with reported(None if whole is None else lambda share: whole(first + share * (last - first))):
        yield


def about_to_compute() -> None:
    """Called before anything that may take long and is not cached.

    Raises:
        NotCached: only what is cached was asked for. NobodyWaits: whoever asked has gone.
    """
    if _CACHED_ONLY.get():
        raise NotCached
    checkpoint()


def checkpoint() -> None:
    """Called between the steps of a long computation. Raises `NobodyWaits` where whoever asked has gone."""
    wanted = _WANTED.get()
    if wanted is not None and not wanted():
        raise NobodyWaits


def pause() -> None:
    """A checkpoint at which other computations may go first.

    They run in this thread, inside the call: so call it only where no lock is held that one of them could wait for.
    """
    checkpoint()
    give_way = _GIVE_WAY.get()
    if give_way is not None:
        give_way()
