"""Pieces of work for any worker: a function, called for one piece after the other, never more than a few on their way.

What a function is given travels to the worker as a block of Ray's object store; what many pieces share is put there
once (`sent`). The order of the results is that of the pieces, so that sums and streams are those of one process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from typing import Any, TypeVar

from core.engine.cluster import Session
from core.engine.flow import lost
from core.errors import UserError

T = TypeVar("T")
AHEAD = 2
"""Pieces per worker that are on their way at a time."""


def computed(session: Session, function: Callable[..., T], pieces: Iterable[tuple[Any, ...]]) -> Iterator[T]:
    """`function(*piece)` of every piece, in their order. Pieces are made as they are needed; a lost one is done again.

    Raises:
        UserError: raised by the function. EngineError: the workers are lost.
    """
    import ray

    task = ray.remote(function).options(num_cpus=1, num_gpus=session.gpus, max_retries=3)
    return _in_order((task.remote(*piece) for piece in pieces), AHEAD * session.workers)


def by_actors(actors: Sequence[Any], method: str, pieces: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """The same by a method of some actors, in turn."""
    sent_off = (getattr(actor, method).remote(*piece) for actor, piece in zip(cycle(actors), pieces, strict=False))
    return _in_order(sent_off, AHEAD * len(actors))


def _in_order(begun: Iterator[Any], most: int) -> Iterator[Any]:
    """Results of calls, begun as they are needed, at most so many on their way."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    waiting: deque[Any] = deque()
    try:
        for reference in begun:
            waiting.append(reference)
            if len(waiting) >= most:
                yield ray.get(waiting.popleft())
        while waiting:
            yield ray.get(waiting.popleft())
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from error
        raise lost(error) from error
    except RayError as error:
        raise lost(error) from error
    finally:
        for reference in waiting:
            with suppress(Exception):  # nobody wants it any more, and Ray may have ended
                ray.cancel(reference)


def sent(value: Any) -> Any:
    """A value in the object store, to be part of several pieces; it goes when nobody refers to it."""
    import ray

    return ray.put(value)
