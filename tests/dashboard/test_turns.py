"""Long computations: one at a time, stopped when nobody waits, and never in the way of what is cached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import UserError
from core.questions import retrieval
from core.run import Run
from core.waiting import NobodyWaits, NotCached, about_to_compute, cached_only, checkpoint, pause, reached, watched
from dashboard import words
from dashboard.data.turns import Turns


class Gone(Exception):
    """What `look` raises where the visitor has left."""


def stay(seconds: float) -> None:
    """A visitor who waits."""


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start `work`; its result or its error comes into the list."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited too long")


def test_jobs_run_one_at_a_time_and_the_same_question_is_one_job() -> None:
    turns, running, most, made = Turns(), [0], [0], []

    def slow(name: str) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.05)
        running[0] -= 1
        made.append(name)
        return name

    threads = [in_thread(lambda name=name: turns.wait(name, lambda: slow(name), stay)) for name in "aaabbc"]
    for thread, _ in threads:
        thread.join(20)
    assert [results for _, results in threads] == [[name] for name in "aaabbc"]
    assert most == [1]
    assert sorted(made) == ["a", "b", "c"]


def test_an_error_reaches_everybody_who_waits_and_is_not_kept() -> None:
    turns = Turns()

    def fail() -> None:
        raise UserError("no")

    for _ in range(2):
        with pytest.raises(UserError, match="no"):
            turns.wait("key", fail, stay)
    assert turns.wait("key", lambda: 1, stay) == 1


def test_a_computation_stops_when_its_last_visitor_has_gone() -> None:
    turns, steps, ended = Turns(), [0], threading.Event()
    leave = {"a": threading.Event(), "b": threading.Event()}

    def endless() -> None:
        try:
            while True:
                checkpoint()
                steps[0] += 1
                time.sleep(0.01)
        finally:
            ended.set()

    def look(name: str) -> Callable[[float], None]:
        def check(seconds: float) -> None:
            if leave[name].is_set():
                raise Gone

        return check

    first, second = (in_thread(lambda name=name: turns.wait("key", endless, look(name))) for name in "ab")
    until(lambda: steps[0] > 3)
    leave["a"].set()
    first[0].join(20)
    assert isinstance(first[1][0], Gone)
    assert not ended.is_set()  # the other still waits
    leave["b"].set()
    second[0].join(20)
    assert ended.wait(20)
    assert turns.wait("key", lambda: "again", stay) == "again"


def test_a_job_that_nobody_waits_for_is_never_begun() -> None:
    turns, hold, begun = Turns(), threading.Event(), []
    first, _ = in_thread(lambda: turns.wait("first", lambda: hold.wait(20), stay))

    def leave(seconds: float) -> None:
        raise Gone

    with pytest.raises(Gone):
        turns.wait("second", lambda: begun.append(1), leave)
    hold.set()
    first.join(20)
    assert turns.wait("third", lambda: 3, stay) == 3
    assert begun == []


def test_work_in_the_background_lets_visitors_go_first() -> None:
    turns, order, hold = Turns(), [], threading.Event()

    def background() -> str:
        for step in range(3):
            order.append(f"step {step}")
            if step == 0:
                hold.wait(20)
                until(lambda: bool(turns._queue))
            pause()
        return "done"

    job = turns.in_background(background)
    until(lambda: order == ["step 0"])
    visitor, results = in_thread(lambda: turns.wait("question", lambda: order.append("question") or "answer", stay))
    hold.set()
    visitor.join(20)
    assert results == ["answer"]
    assert job.done.wait(20)
    assert job.outcome() == "done"
    assert order == ["step 0", "question", "step 1", "step 2"]


def test_without_anybody_watching_nothing_stops() -> None:
    about_to_compute()
    checkpoint()
    pause()
    with watched(lambda: False), pytest.raises(NobodyWaits):
        checkpoint()
    checkpoint()


def test_asked_for_what_is_cached_a_question_never_computes(run: Run) -> None:
    variant = f"realign(beta=0.{time.time_ns()})"  # nobody asked for it before, in a cache that is kept
    with cached_only(), pytest.raises(NotCached):
        retrieval.evaluate(run, variant)
    computed = retrieval.evaluate(run, variant)
    with cached_only():
        assert retrieval.evaluate(run, variant) is computed


def test_a_job_says_how_long_the_rest_will_take() -> None:
    turns, go_on, left, began = Turns(), threading.Event(), [], []

    def work() -> str:
        time.sleep(0.6)
        reached(3, 4)
        go_on.wait(20)
        return "done"

    def look(seconds: float) -> None:
        job = turns.job("key")
        assert job is not None
        began.append(job.began)
        if (rest := job.seconds_left()) is not None:
            left.append(rest)
            go_on.set()

    assert turns.wait("key", work, look) == "done"
    assert all(moment is not None for moment in began)
    assert 0.15 < left[0] < 2  # a quarter is left of what took 0.6 s and some more
    assert turns.job("key") is None


def test_the_line_says_what_and_how_long() -> None:
    assert words.waiting("evaluate", 3.2, 12.4, None, True) == (
        "Computing: the ranking of all queries, 3 s so far, about 12 s left, at the rate so far. The answer is kept."
    )
    assert words.waiting("Table 1", 3, None, 40.0, True).startswith(
        "Computing: Table 1, 3 s so far, about 40 s the last"
    )
    assert words.waiting("some_question", 3, None, None, True) == "Computing, 3 s so far. The answer is kept."
    assert words.waiting("evaluate", 3, None, None, False) == "Another computation comes first, 3 s so far."


def test_what_a_visitor_cancelled_is_computed_only_when_wanted_again() -> None:
    def page() -> None:
        import streamlit as st

        from core.errors import NotAvailable
        from dashboard import state
        from dashboard.data.turns import wait

        state.begin("overview")
        if st.session_state.setdefault("first", True):
            st.session_state["first"] = False
            state.cancel(repr("a long one"))
        try:
            st.text(wait("a long one", lambda: "the answer"))
        except NotAvailable as error:
            st.info(error.what)

    app = AppTest.from_function(page, default_timeout=60).run()
    assert [note.value for note in app.info] == [words.CANCELLED]
    assert not app.text
    app.button[0].click().run()
    assert [line.value for line in app.text] == ["the answer"]
    assert not app.info
