"""Memo: each value is made once however many threads ask, other keys do not wait, the oldest go first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.memo import Memo

PATIENCE = 20
"""Seconds after which a thread counts as stuck."""


def test_threads_that_ask_for_one_key_make_it_once() -> None:
    memo, made, begun = Memo(), [], threading.Barrier(8)

    def make() -> object:
        made.append(threading.get_ident())
        threading.Event().wait(0.05)  # long enough that the other threads ask meanwhile
        return object()

    def ask(_: int) -> object:
        begun.wait(PATIENCE)
        return memo.get("key", make)

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(ask, range(8)))
    assert len(made) == 1 and all(value is values[0] for value in values)


def test_another_key_does_not_wait() -> None:
    """The slow key is made only after the quick one was answered: with one lock for all, this would never end."""
    memo, answered = Memo(), threading.Event()

    def slow() -> bool:
        return answered.wait(PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(memo.get, "slow", slow)
        assert memo.get("quick", lambda: 1) == 1
        answered.set()
        assert waiting.result(PATIENCE) is True


def test_making_one_value_may_ask_for_another() -> None:
    memo = Memo()
    assert memo.get("fit", lambda: memo.get("rows", lambda: 2) + 1) == 3
    assert len(memo) == 2


def test_a_failure_is_not_remembered() -> None:
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo.get("key", lambda: 1 // 0)
    assert len(memo) == 0
    assert memo.get("key", lambda: 5) == 5


def test_a_thread_that_waited_for_a_failure_makes_the_value_itself() -> None:
    memo, begun, go = Memo(), threading.Event(), threading.Event()

    def fail() -> int:
        begun.set()
        go.wait(PATIENCE)
        raise ValueError

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, "key", fail)
        assert begun.wait(PATIENCE)
        second = pool.submit(memo.get, "key", lambda: 7)
        go.set()
        with pytest.raises(ValueError):
            first.result(PATIENCE)
        assert second.result(PATIENCE) == 7


def test_the_least_recently_used_go_first() -> None:
    memo, made = Memo(limit=2), []

    def ask(key: str) -> str:
        return memo.get(key, lambda: made.append(key) or key)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert ask(key) == key
    assert made == ["a", "b", "c", "b"] and len(memo) == 2


def test_none_is_a_value() -> None:
    memo, made = Memo(), []
    for _ in range(3):
        assert memo.get("key", lambda: made.append(1)) is None
    assert made == [1]
