"""Questions of the pages, put to core, and their answers in memory.

A page passes the question itself, the run's key and the other arguments: `ask(retrieval.gain_split, run)`. The type
checker sees the question's own signature, so the answer has its type and a wrong argument is an error. Only keys and
small values are hashed: arrays stay in the opened run, which all sessions share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import streamlit as st

from core.questions import live
from core.records import Item
from core.run import Run
from core.waiting import NotCached, cached_only
from dashboard.data.live import LiveQuery, live_picture
from dashboard.data.runs import root, run
from dashboard.data.turns import Job, take, turns, wait

Rest = ParamSpec("Rest")
"""What a question takes after the run."""
Answer = TypeVar("Answer")


def ask(
    question: Callable[Concatenate[Run, Rest], Answer], key: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer:
    """The answer of `question(run, ...)`: from memory, from the cache, or computed in its turn."""
    return cast("Answer", _asked(question, (key,), tuple, (), arguments, named))


def ask_two(
    question: Callable[Concatenate[Run, Run, Rest], Answer],
    first: str,
    second: str,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(first run, second run, ...)`."""
    return cast("Answer", _asked(question, (first, second), tuple, (), arguments, named))


def ask_live(
    question: Callable[Concatenate[Run, np.ndarray, Rest], Answer],
    key: str,
    query: LiveQuery,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(run, embedding, ...)` about a live query, which the run's own model embeds once."""
    embedding = ask_item(live.embed, key, query, query.inside)
    return cast("Answer", _asked(question, (key,), lambda: (embedding,), ("embedded", query), arguments, named))


def ask_item(
    question: Callable[Concatenate[Run, Item, Rest], Answer],
    key: str,
    query: LiveQuery,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(run, item, ...)` about a live query as an item: for questions put to the model."""

    def item() -> tuple[Item]:
        return (live.item(run(key), query.text, live_picture(key, query)),)

    return cast("Answer", _asked(question, (key,), item, (query,), arguments, named))


def fresh(
    question: Callable[Concatenate[Run, Rest], Answer], key: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer:
    """Like `ask`, computed anew each time: for quick questions about the state of the cache."""
    return question(run(key), *arguments, **named)


def recent(question: Callable[[Run], Answer], key: str) -> Answer:
    """Like `fresh`, but at most some seconds old: for questions that read much of the cache."""
    return cast("Answer", _recent(root(), key, _name(question), question))


def in_turn(
    question: Callable[Concatenate[Run, Rest], Answer], key: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer:
    """Like `fresh`, for long questions: computed in their turn."""
    opened = run(key)
    return wait((root(), key, _name(question)), lambda: question(opened, *arguments, **named), question.__name__)


def ask_later(
    question: Callable[Concatenate[Run, Rest], Answer], key: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer | None:
    """The answer of `question(run, ...)` where it is cached or quick; else None, and it is computed in the background.

    For what a page shows beside something else: the page does not wait for it.
    """
    opened = run(key)
    known_as = (root(), key, _name(question), arguments, tuple(sorted(named.items())))

    def make() -> Answer:
        return question(opened, *arguments, **named)

    try:
        with cached_only():
            return cast("Answer", _answer(known_as, make))
    except NotCached:
        job = _in_background(root(), key, repr(known_as[2:]), make)
        return cast("Answer", job.outcome()) if job.done.is_set() else None


@st.cache_resource(max_entries=256, show_spinner=False)
def _in_background(root: str, key: str, name: str, _make: Callable[[], object]) -> Job:
    """Once per question, its arguments and run, however many sessions ask."""
    return turns().in_background(_make)


def _asked(
    question: Callable[..., object],
    keys: tuple[str, ...],
    given: Callable[[], tuple[object, ...]],
    given_as: tuple[object, ...],
    arguments: tuple[object, ...],
    named: Mapping[str, object],
) -> object:
    """The answer of `question(*runs, *given(), ...)`. Memory knows what is given by `given_as`, everything else by
    itself."""
    runs = [run(key) for key in keys]
    known_as = (root(), keys, _name(question), given_as, arguments, tuple(sorted(named.items())))
    return take(
        repr(known_as),
        lambda make: _answer(known_as, make),
        lambda: question(*runs, *given(), *arguments, **named),
        question.__name__,
    )


# Streamlit hashes every argument but those whose name starts with an underscore.
@st.cache_data(max_size="256MB", show_spinner=False)
def _answer(known_as: tuple[Any, ...], _make: Callable[[], object]) -> object:
    return _make()


@st.cache_data(ttl=5, max_entries=32, show_spinner=False)
def _recent(root: str, key: str, name: str, _question: Callable[[Run], object]) -> object:
    return _question(run(key))


def _name(question: Callable[..., object]) -> str:
    """What the cache knows a question by. A lambda or a partial has no name of its own: answers would mix."""
    assert question.__name__ == question.__qualname__ != "<lambda>", question
    return f"{question.__module__}.{question.__qualname__}"
