"""Several like computations at once, on the cores there are.

For many small computations of numpy, which lets other threads go on during its loops. One large computation needs no
help: its matrix products use every core by themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TypeVar

from core.machine import free_memory
from core.waiting import part_of, reached, reported, share_reporter

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 8
"""Threads at most: beyond that, they wait for each other's Python."""
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)


def threads(bytes_each: int = 0) -> int:
    """How many computations run at once: as many as there are cores, and as fit into half of the free memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fitting = int(free_memory() / 2 // bytes_each) if bytes_each else MOST
    return max(1, min(cores, MOST, fitting))


def at_once(work: Callable[[Item], Result], items: Sequence[Item], bytes_each: int = 0) -> list[Result]:
    """[work(item) for item in items], several at a time; within one of them, further ones come one after the other.

    Whoever waits is asked at every checkpoint, as without threads, and how far all are together is reported. The first
    error ends it: what has not begun is left out. `work` must not need a lock that its caller holds.

    Args:
        bytes_each: memory that one of them takes; 0: little.
    """
    number = 1 if _INSIDE.get() else min(threads(bytes_each), len(items))
    if number <= 1:
        results = []
        for i, item in enumerate(items):
            with part_of(i / len(items), (i + 1) / len(items)):
                results.append(work(item))
            reached(i + 1, len(items))
        return results
    shares, report = [0.0] * len(items), share_reporter()

    def one(at: int) -> Result:
        def note(share: float) -> None:
            shares[at] = share
            if report is not None:
                report(sum(shares) / len(shares))

        _INSIDE.set(True)  # in a context of its own
        with reported(note):
            reached(0, 1)
            result = work(items[at])
            reached(1, 1)
        return result

    with ThreadPoolExecutor(number, thread_name_prefix="at-once") as pool:
        jobs = [pool.submit(copy_context().run, one, at) for at in range(len(items))]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
