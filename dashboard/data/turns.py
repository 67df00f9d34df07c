"""Long computations take turns, beside the quick answers of the pages.

1. A question is asked for what is cached or quick (`core.waiting.cached_only`). If that answers it, the page has it at
   once.
2. Otherwise it becomes a job of the one worker. The same question of several visitors is one job.
3. The visitor's thread looks twice a second whether the visitor is still there. A job that nobody waits for is dropped;
   one under way stops at its next checkpoint.
4. Work in the background goes last, and lets questions of visitors go first at each of its pauses.
5. Meanwhile the page says what is computed, for how long, and how long it will take: from the share that is done
   (`core.waiting.reached`), else from the last time that the same was computed in this process. A visitor may cancel
   it; then the page says so until the visitor wants it after all, or goes to another page.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import streamlit as st

from core.errors import NotAvailable
from core.waiting import NobodyWaits, NotCached, cached_only, checkpoint, reported, watched
from dashboard import state, words

Answer = TypeVar("Answer")

LOOK = 0.5
"""Seconds between two looks whether the visitor is still there."""
LEAST_SHARE = 0.02
"""Share from which on it says how long the rest will take."""


@dataclass
class Job:
    """One computation that waits for its turn, or has it."""

    make: Callable[[], Any]
    in_background: bool
    waiting: int = 0
    """Visitors who wait for it."""
    began: float | None = None
    """When its computation began, by `time.monotonic`; None: others are before it."""
    share: float = 0.0
    """What is done of it, 0-1; 0 where it does not say."""
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None

    def is_wanted(self) -> bool:
        return self.in_background or self.waiting > 0

    def run(self, give_way: Callable[[], None] | None) -> None:
        """Compute it in this thread; whoever waits gets the result or the error."""
        try:
            self.began = time.monotonic()
            with watched(self.is_wanted, give_way), reported(self._reached):
                checkpoint()
                self.result = self.make()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def seconds_left(self) -> float | None:
        """Seconds until it is done, from the share that is; None as long as that says little."""
        if self.began is None or self.share < LEAST_SHARE:
            return None
        return (time.monotonic() - self.began) * (1 - self.share) / self.share

    def _reached(self, share: float) -> None:
        self.share = max(self.share, share)  # one computation may rank several times

    def outcome(self) -> Any:
        """The result, or what went wrong."""
        if self.error is not None:
            raise self.error
        return self.result


class Turns:
    """The queue of jobs and the thread that works through it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[bool, int, Job]] = []
        """In the background, number, job: visitors first, then by number."""
        self._by_key: dict[Hashable, Job] = {}
        """Jobs of visitors that are not done."""
        self._took: dict[str, float] = {}
        """Seconds that each kind of question took the last time."""
        self._numbers = itertools.count()
        self._worker: threading.Thread | None = None

    def wait(self, key: Hashable, make: Callable[[], Answer], look: Callable[[float], None]) -> Answer:
        """The answer of `make`, computed in its turn; `look(seconds waited)` raises where the visitor has gone."""
        while True:
            job, waited = self._join(key, make), 0.0
            try:
                while not job.done.wait(LOOK):
                    waited += LOOK
                    look(waited)
            finally:
                with self._changed:
                    job.waiting -= 1
            # Else it stopped because its last visitor had gone, just before this one came.
            if not isinstance(job.error, NobodyWaits):
                return cast("Answer", job.outcome())

    def job(self, key: Hashable) -> Job | None:
        """The job of that key, as long as it is not done."""
        return self._by_key.get(key)

    def took(self, kind: str) -> float | None:
        """Seconds that a question of that kind took the last time in this process; None where it never was asked."""
        return self._took.get(kind)

    def note(self, kind: str, seconds: float) -> None:
        """Remember how long a question of that kind took."""
        self._took[kind] = seconds

    def in_background(self, make: Callable[[], Any]) -> Job:
        """Compute it while no visitor waits for anything; the job says when it is done."""
        with self._changed:
            return self._add(Job(make, in_background=True))

    def _join(self, key: Hashable, make: Callable[[], Any]) -> Job:
        """The job of that key, with one more visitor who waits for it."""
        with self._changed:
            job = self._by_key.get(key)
            if job is None or not job.waiting:  # one without visitors is about to stop
                job = self._by_key[key] = self._add(Job(make, in_background=False))
            job.waiting += 1
            return job

    def _add(self, job: Job) -> Job:
        heapq.heappush(self._queue, (job.in_background, next(self._numbers), job))
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="turns", daemon=True)
            self._worker.start()
        self._changed.notify()
        return job

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._queue))
                _, _, job = heapq.heappop(self._queue)
            self._run(job)

    def _let_visitors_go_first(self) -> None:
        """Run the jobs of visitors that wait; called from within a job of the background."""
        while True:
            with self._changed:
                if not self._queue or self._queue[0][0]:
                    return
                _, _, job = heapq.heappop(self._queue)
            self._run(job)

    def _run(self, job: Job) -> None:
        job.run(self._let_visitors_go_first if job.in_background else None)
        with self._changed:
            self._by_key = {key: other for key, other in self._by_key.items() if other is not job}


@st.cache_resource(show_spinner=False)
def turns() -> Turns:
    """The one queue of this process."""
    return Turns()


def take(
    key: Hashable, cached: Callable[[Callable[[], Answer]], Answer], make: Callable[[], Answer], kind: str = ""
) -> Answer:
    """The answer of `make`: at once where it is quick, else in its turn. `cached(make)` keeps what it makes.

    Args:
        kind: what is computed; questions of one kind take about as long.

    Raises:
        NotAvailable: this visitor has cancelled it.
    """

    def quickly() -> Answer:
        with cached_only():
            return make()

    try:
        return cached(quickly)
    except NotCached:
        pass
    answer = wait(key, make, kind)
    return cached(lambda: answer)


def wait(key: Hashable, make: Callable[[], Answer], kind: str = "") -> Answer:
    """The answer of `make`, computed in its turn while the page says so.

    Raises:
        NotAvailable: this visitor has cancelled it.
    """
    name = repr(key)
    if state.is_cancelled(name):
        st.button(words.RESUME, key=state.fresh_key("resume"), on_click=state.resume, args=(name,))
        raise NotAvailable(words.CANCELLED, todo=words.CANCELLED_TODO)
    with _waiting_note(key, name, kind) as look:
        started = time.monotonic()
        answer = turns().wait(key, make, look)
        turns().note(kind, time.monotonic() - started)
    return answer


@contextmanager
def _waiting_note(key: Hashable, name: str, kind: str) -> Iterator[Callable[[float], None]]:
    """Where the page says that it waits, and for how long, with a way to cancel.

    Each look raises Streamlit's own signal where the visitor has gone.
    """
    place = st.empty()
    line: list[Any] = []

    def look(seconds: float) -> None:
        state.touch()
        if not line:  # a button is made once: its key must not come twice
            with place.container(horizontal=True, vertical_alignment="center", gap="small"):
                line.append(st.empty())
                st.button(
                    words.CANCEL, key=state.fresh_key("cancel"), on_click=state.cancel, args=(name,), type="tertiary",
                    icon=":material/cancel:", help=words.CANCEL_HELP,
                )  # fmt: skip
        job = turns().job(key)
        left = None if job is None else job.seconds_left()
        begun = job is None or job.began is not None
        line[0].caption(f":material/hourglass_top: {words.waiting(kind, seconds, left, turns().took(kind), begun)}")

    yield look
    place.empty()
