"""Like computations at once: results in order, one report for all, and an end when nobody waits."""

from __future__ import annotations

import threading
import time

import pytest

from core import threads
from core.waiting import (
    NobodyWaits,
    NotCached,
    about_to_compute,
    cached_only,
    checkpoint,
    part_of,
    reached,
    reported,
    watched,
)


@pytest.fixture(autouse=True)
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "threads", lambda bytes_each=0: 3)


def test_results_come_in_order_from_several_threads() -> None:
    together = threading.Barrier(3, timeout=20)

    def square(n: int) -> int:
        if n < 3:
            together.wait()  # passes only where three run at once
        return n * n

    assert threads.at_once(square, range(10)) == [n * n for n in range(10)]


def test_within_one_of_them_further_ones_come_one_after_the_other() -> None:
    def inner(_: int) -> str:
        return threading.current_thread().name

    names = threads.at_once(lambda n: set(threads.at_once(inner, range(4))), range(3))
    assert all(len(mine) == 1 for mine in names)


def test_what_is_done_is_reported_once_for_all() -> None:
    shares: list[float] = []

    def half_and_whole(_: int) -> None:
        reached(1, 2)

    with reported(shares.append):
        threads.at_once(half_and_whole, range(4))
    assert max(shares) == shares[-1] == 1.0
    assert {round(8 * share) for share in shares} == set(range(9))


def test_the_same_is_reported_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "threads", lambda bytes_each=0: 1)
    shares: list[float] = []
    with reported(shares.append):
        threads.at_once(lambda _: reached(1, 2), range(2))
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_a_part_counts_within_the_whole() -> None:
    shares: list[float] = []
    with reported(shares.append), part_of(0.5, 0.75), part_of(0.5, 1.0):
        reached(1, 2)
    assert shares == [0.6875]


def test_it_stops_when_nobody_waits_and_what_has_not_begun_is_left_out() -> None:
    wanted, begun = threading.Event(), []
    wanted.set()

    def endless(n: int) -> None:
        begun.append(n)
        if len(begun) == 3:
            wanted.clear()
        while True:
            checkpoint()
            time.sleep(0.005)

    with watched(wanted.is_set), pytest.raises(NobodyWaits):
        threads.at_once(endless, range(50))
    assert len(begun) == 3


def test_only_what_is_cached_is_asked_of_every_thread() -> None:
    with cached_only(), pytest.raises(NotCached):
        threads.at_once(lambda _: about_to_compute(), range(3))
