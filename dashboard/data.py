"""The only bridge from the pages to `core`, and the only user of `st.cache_*`.

A page passes the question itself, the run's key and the other arguments: `ask(retrieval.gain_split, run)`. The type
checker sees the question's own signature, so the answer has its type and a wrong argument is an error. Only keys and
small values are hashed: arrays stay in the opened run, which all sessions share. Users' errors
(`core.errors.UserError`) pass through; `widgets.guard` shows them.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import pandas as pd
import streamlit as st

from core import inventory
from core.errors import UserError
from core.exhibits import EXHIBITS, Exhibit, Shown, Value, Verdict, show_exhibit
from core.exhibits import claims as study_claims
from core.exhibits.claims import Claim, Question
from core.exhibits.shared import agreement
from core.exhibits.shared import present as exhibit_present
from core.exhibits.shared.records import Setting
from core.questions import compare, live
from core.records import Item, Part
from core.run import Run, list_runs, open_run
from core.store import Store, cache_root

if TYPE_CHECKING:
    from PIL.Image import Image

Rest = ParamSpec("Rest")
"""What a question takes after the run."""
Answer = TypeVar("Answer")

UPLOADS = 64
"""Uploaded pictures that stay in memory."""


@dataclass(frozen=True)
class RunChoice:
    """A run as the picker lists it. `name` is unique among the choices; `corpus` is source, path and task."""

    name: str
    key: str
    model: str
    corpus: tuple[str, str, int]


@dataclass(frozen=True)
class RunFacts:
    """What pages say about a run. `contrastive`: the model was trained to match pictures and words."""

    name: str
    key: str
    model: str
    corpus: str
    task: int
    queries: int
    candidates: int
    view: str
    contrastive: bool
    concepts: int | None
    k: int | None
    trained_on: str


@dataclass(frozen=True)
class ItemView:
    """An item ready to be drawn; `image` is a data URI of its thumbnail."""

    part: Part
    row: int
    id: str
    modality: str
    text: str
    image: str | None
    truth: Mapping[str, Any] | None


@dataclass(frozen=True)
class LiveQuery:
    """A query made in the browser: a text, and where its picture is: "" (none), "queries:12" (an item of the run) or
    "upload:" with its hash."""

    text: str
    picture: str = ""


# -- questions -------------------------------------------------------------------------------------------------------


def ask(
    question: Callable[Concatenate[Run, Rest], Answer], run: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer:
    """The answer of `question(run, ...)`, cached."""
    return cast("Answer", _answer(root(), (run,), _name(question), arguments, _sorted(named), question))


def ask_two(
    question: Callable[Concatenate[Run, Run, Rest], Answer],
    first: str,
    second: str,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(first run, second run, ...)`."""
    return cast("Answer", _answer(root(), (first, second), _name(question), arguments, _sorted(named), question))


def fresh(
    question: Callable[Concatenate[Run, Rest], Answer], key: str, /, *arguments: Rest.args, **named: Rest.kwargs
) -> Answer:
    """Like `ask`, computed anew each time: for questions about the state of the cache."""
    return question(run(key), *arguments, **named)


def ask_live(
    question: Callable[Concatenate[Run, np.ndarray, Rest], Answer],
    run: str,
    query: LiveQuery,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(run, embedding, ...)` about a live query, which the run's own model embeds once."""
    return cast(
        "Answer", _live_answer(root(), run, query, "embedding", _name(question), arguments, _sorted(named), question)
    )


def ask_item(
    question: Callable[Concatenate[Run, Item, Rest], Answer],
    run: str,
    query: LiveQuery,
    /,
    *arguments: Rest.args,
    **named: Rest.kwargs,
) -> Answer:
    """The answer of `question(run, item, ...)` about a live query as an item: for questions put to the model."""
    return cast(
        "Answer", _live_answer(root(), run, query, "item", _name(question), arguments, _sorted(named), question)
    )


def _name(question: Callable[..., object]) -> str:
    """What the cache knows a question by. A lambda or a partial has no name of its own: answers would mix."""
    assert question.__name__ == question.__qualname__ != "<lambda>", question
    return f"{question.__module__}.{question.__qualname__}"


def _sorted(named: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(named.items()))


# Streamlit hashes every argument but those whose name starts with an underscore: the question goes by its name.
@st.cache_data(max_entries=768, show_spinner="Computing; the answer is cached …")
def _answer(
    root: str,
    keys: tuple[str, ...],
    name: str,
    arguments: tuple[object, ...],
    named: tuple[tuple[str, object], ...],
    _question: Callable[..., object],
) -> object:
    return _question(*(_open(root, key) for key in keys), *arguments, **dict(named))


@st.cache_data(max_entries=256, show_spinner=False)
def _live_answer(
    root: str,
    key: str,
    query: LiveQuery,
    form: str,
    name: str,
    arguments: tuple[object, ...],
    named: tuple[tuple[str, object], ...],
    _question: Callable[..., object],
) -> object:
    given = _live_item(root, key, query) if form == "item" else _live_embedding(root, key, query)
    return _question(_open(root, key), given, *arguments, **dict(named))


@st.cache_data(
    max_entries=256,
    show_spinner="The run's own model reads the query; the first time it is loaded, which takes a while …",
)
def _live_embedding(root: str, key: str, query: LiveQuery) -> np.ndarray:
    return live.embed(_open(root, key), _live_item(root, key, query))


def _live_item(root: str, key: str, query: LiveQuery) -> Item:
    return live.item(_open(root, key), query.text, live_picture(key, query))


# -- pictures of live queries ----------------------------------------------------------------------------------------


def live_picture(key: str, query: LiveQuery) -> Image | None:
    """The picture of a live query, or None.

    Raises:
        UserError: it was uploaded into another process.
    """
    if place := item_place(key, query.picture):
        return live.stored_item(run(key), *place).image
    if not query.picture:
        return None
    name = query.picture.removeprefix("upload:")
    if name not in _uploads():
        raise UserError(
            "the uploaded picture of this view is no longer here",
            todo="upload it again, or start from an item of the run",
        )
    return _uploads()[name]


def keep_upload(content: bytes) -> str:
    """Decode an uploaded picture; it stays in memory while this process lives. Returns its name, for
    `LiveQuery.picture`.

    Raises:
        UserError: it is no picture.
    """
    name, uploads = hashlib.sha256(content).hexdigest()[:16], _uploads()
    uploads[name] = live.picture(content)
    while len(uploads) > UPLOADS:
        uploads.pop(next(iter(uploads)))
    return f"upload:{name}"


def has_upload(name: str) -> bool:
    """Whether that uploaded picture is still in memory."""
    return name.removeprefix("upload:") in _uploads()


def examples(key: str, other: str | None) -> list[int]:
    """Queries that teach most, those first whose picture the model describes wholly."""
    return _examples(root(), key, other)


def named(sentence: str, things: list[str]) -> list[str]:
    """Those of `things` that a sentence names."""
    return live.named(sentence, things)


@st.cache_data(max_entries=64, show_spinner="Looking for a query that shows most; the first time the model is loaded …")
def _examples(root: str, key: str, other: str | None) -> list[int]:
    opened = _open(root, key)
    rows = compare.teaching_queries(opened, _open(root, other) if other else None, "realign", limit=live.EXAMPLES)
    return live.well_described_first(opened, rows)


@st.cache_resource(show_spinner=False)
def _uploads() -> dict[str, Image]:
    return {}


# -- runs ------------------------------------------------------------------------------------------------------------


def root() -> str:
    """The cache folder in use."""
    return str(cache_root())


def runs() -> list[RunChoice]:
    """The runs of the cache, the demo's own first; where a name is used twice, older ones go by their key."""
    return _runs(root())


def run(key: str) -> Run:
    """An opened run; shared by all sessions."""
    return _open(root(), key)


def facts(key: str) -> RunFacts:
    """What a run is."""
    return _facts(root(), key)


def name(key: str) -> str:
    """A run's name in the picker and in links."""
    return next((choice.name for choice in runs() if choice.key == key), key)


def counterpart(name: str) -> str | None:
    """The run to compare with where none was chosen: the same corpus and task by another model."""
    by_name = {choice.name: choice for choice in runs()}
    mine = by_name[name]
    return next((c.name for c in by_name.values() if c.corpus == mine.corpus and c.model != mine.model), None)


def siblings(key: str) -> list[str]:
    """Keys of the other runs of the same corpus and task by other models, as they stand in the picker."""
    mine = next(choice for choice in runs() if choice.key == key)
    return [c.key for c in runs() if c.corpus == mine.corpus and c.model != mine.model]


def run_table() -> pd.DataFrame:
    """All runs with sizes and settings: columns as `inventory.RUN_COLUMNS`."""
    return inventory.runs(Store.default())


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _runs(root: str) -> list[RunChoice]:
    choices, names = [], set()
    for opened in list_runs(Store.default()):
        corpus = opened.spec.corpus
        name = opened.key if opened.name in names else opened.name
        choices.append(RunChoice(name, opened.key, opened.model_name, (corpus.source, corpus.path or "", corpus.task)))
        names.add(opened.name)
    return sorted(choices, key=lambda choice: (not choice.name.startswith("demo"), choice.name))


@st.cache_resource(max_entries=32, show_spinner=False)
def _open(root: str, key: str) -> Run:
    return open_run(key, Store.default())


@st.cache_data(max_entries=64, show_spinner=False)
def _facts(root: str, key: str) -> RunFacts:
    opened = _open(root, key)
    return RunFacts(
        name=opened.name,
        key=key,
        model=opened.model_name,
        corpus=opened.spec.corpus.source,
        task=opened.spec.corpus.task,
        queries=len(opened.corpus.items("queries")),
        candidates=len(opened.corpus.items("candidates")),
        view=opened.view.words,
        contrastive=opened.family == "contrastive",
        concepts=opened.sae.width if opened.sae else None,
        k=opened.sae.k if opened.sae else None,
        trained_on=opened.sae.trained_on if opened.sae else "",
    )


# -- items -----------------------------------------------------------------------------------------------------------


def items(key: str, part: Part, rows: list[int]) -> list[ItemView]:
    """Items of one part, with thumbnails."""
    return [item(key, part, int(row)) for row in rows]


def item(key: str, part: Part, row: int) -> ItemView:
    """One item, with its thumbnail."""
    return _item(root(), key, part, row)


def item_place(key: str, text: str) -> tuple[Part, int] | None:
    """The part and row that a text like "queries:12" names; None where the run has no such item."""
    name, _, row = text.partition(":")
    parts: dict[str, Part] = {"queries": "queries", "candidates": "candidates"}
    part = parts.get(name)
    return (part, int(row)) if part and row.isdigit() and int(row) < size(key, part) else None


def partners(key: str, part: Part, row: int) -> list[tuple[Part, int]]:
    """The items that match one item of "queries" or "candidates", as (part, row)."""
    pairs = run(key).qrels("test").pairs
    side = 0 if part == "queries" else 1
    other: Part = "candidates" if part == "queries" else "queries"
    return [(other, int(pair[1 - side])) for pair in pairs[pairs[:, side] == row]]


def size(key: str, part: Part) -> int:
    """Number of items of a part."""
    return len(run(key).corpus.items(part))


def thumbnail(key: str, part: Part, row: int) -> Image | None:
    """The item's thumbnail as a picture, or None."""
    return run(key).corpus.items(part).thumbnail(row)


@st.cache_data(max_entries=8192, show_spinner=False)
def _item(root: str, key: str, part: Part, row: int) -> ItemView:
    table = _open(root, key).corpus.items(part)
    picture = table.thumbnail(row) if "image" in table.modality[row] else None
    return ItemView(
        part,
        row,
        str(table.ids[row]),
        str(table.modality[row]),
        table.texts[row] or "",
        data_uri(picture),
        table.truth(row),
    )


def data_uri(picture: Image | None) -> str | None:
    """A picture as a PNG (small) or JPEG data URI."""
    if picture is None:
        return None
    buffer = io.BytesIO()
    small = max(picture.size) <= 96
    picture.convert("RGB").save(buffer, "PNG" if small else "JPEG", **({} if small else {"quality": 85}))
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


# -- variants --------------------------------------------------------------------------------------------------------


def variant_error(expression: str) -> UserError | None:
    """Why the expression is no variant; None when it is one."""
    from core.analysis.variants import parse_variant

    try:
        parse_variant(expression)
    except UserError as error:
        return error
    return None


def canonical(expression: str) -> str:
    """The expression as core writes it."""
    from core.analysis.variants import parse_variant

    return str(parse_variant(expression))


def direction(low: float, high: float, p: float) -> int:
    """What a paired difference shows: +1 a clear gain, -1 a clear loss, 0 neither. The exhibits' own rule."""
    outcome = agreement.direction(low, high, +1, p)
    return {"agrees": 1, "disagrees": -1}.get(outcome, 0)


# -- claims and exhibits ---------------------------------------------------------------------------------------------


def claim_questions() -> tuple[Question, ...]:
    """The study's claims in its order, and where each is judged."""
    return study_claims.QUESTIONS


@dataclass(frozen=True)
class Judged:
    """The study's claims on some runs; `pending`: some of their specification curves are still being computed."""

    claims: tuple[Claim, ...]
    pending: bool


def claims(keys: tuple[str, ...], metric: str) -> Judged:
    """The study's claims on these runs: what `retrieval-lens claims` prints.

    Curves that are not cached are computed in the background: a claim then says that it is not clear yet, and the page
    looks again.
    """
    judged = _claims(root(), keys, metric)
    pending = {claim.exhibit for claim in judged if _open_curve(EXHIBITS[claim.exhibit], claim)}
    for name in pending:
        _compute_curves(name, keys)
    if pending:
        _claims.clear(root(), keys, metric)  # verdicts will be others once the curves are there
    return Judged(judged, bool(pending))


@st.cache_resource(max_entries=64, show_spinner="Judging the study's claims …")
def _claims(root: str, keys: tuple[str, ...], metric: str) -> tuple[Claim, ...]:
    return study_claims.claims([_open(root, key) for key in keys], metric, curves="cached")


def claim_settings(claim: Claim, keys: tuple[str, ...], metric: str) -> tuple[Setting, ...]:
    """The specification curve of a claim on some of these runs; empty as long as it is not computed."""
    by_name = {run(key).name: run(key) for key in keys}
    on = [by_name[name] for name in claim.on.split(", ") if name in by_name]
    if not on or claim.outcome == "cannot be said":
        return ()
    return study_claims.specification_curve(claim.claim, on, metric, curves="cached")


def _open_curve(exhibit: Exhibit, judged: Claim | Verdict) -> bool:
    """Whether what is left of a verdict under all settings is not known yet."""
    return exhibit.grid is not None and judged.settings is None and judged.outcome != "cannot be said"


def _compute_curves(name: str, keys: tuple[str, ...]) -> None:
    """Start an exhibit's curves in the background, or raise what went wrong there: a page must not wait for ever."""
    curves = _curves(root(), name, keys)
    if curves.done():
        curves.result()


@st.cache_resource(max_entries=256, show_spinner=False)
def _curves(root: str, name: str, keys: tuple[str, ...]) -> Future[Shown]:
    """Compute an exhibit's curves in a thread of its own; once per exhibit and runs, however many sessions ask."""
    opened = [_open(root, key) for key in keys]
    return _workers().submit(lambda: show_exhibit(name, opened, curves="computed"))


@st.cache_resource(show_spinner=False)
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="curves")


def exhibits() -> list[Exhibit]:
    """Every exhibit, the study's first."""
    return list(EXHIBITS.values())


def exhibit(name: str, keys: tuple[str, ...], options: tuple[tuple[str, Value], ...] = ()) -> Shown:
    """An exhibit on these runs: what `retrieval-lens exhibit` prints. Shared by all sessions: not to be changed.

    Curves that are not cached are computed in the background (`is_pending`).
    """
    shown = _exhibit(root(), name, keys, options)
    if is_pending(shown):
        _exhibit.clear(root(), name, keys, options)  # its verdicts will be others once the curves are there
        _compute_curves(name, keys)
    return shown


def is_pending(shown: Shown) -> bool:
    """Whether some specification curve of an exhibit's verdicts is still being computed."""
    return any(_open_curve(shown.exhibit, verdict) for verdict in shown.verdicts if verdict.about == "claim")


def sheets(shown: Shown, write: Callable[[str, Any], str]) -> list[tuple[str, pd.DataFrame, exhibit_present.Readable]]:
    """(title, table, readable) of an exhibit's tables: rows of unlike parts apart, intervals in the cells, shared
    columns said once."""
    return [
        (title, table, exhibit_present.readable(table, write)) for title, table in exhibit_present.sheets(shown.table)
    ]


def readable(table: pd.DataFrame, write: Callable[[str, Any], str]) -> exhibit_present.Readable:
    """A table with its intervals in the cells, and what all its rows share."""
    return exhibit_present.readable(table, write)


def verdicts(shown: Shown, about: str) -> dict[str, list[tuple[str, Verdict]]]:
    """run or runs -> (outcome as one says it, verdict), of those about the claim, what stands beside it, or printed
    numbers."""
    by_run = exhibit_present.by_run([verdict for verdict in shown.verdicts if verdict.about == about])
    return {
        run: [(exhibit_present.spoken(shown.exhibit, verdict), verdict) for verdict in verdicts]
        for run, verdicts in by_run.items()
    }


@st.cache_resource(max_entries=64, show_spinner=False)
def _exhibit(root: str, name: str, keys: tuple[str, ...], options: tuple[tuple[str, Value], ...]) -> Shown:
    return show_exhibit(name, [_open(root, key) for key in keys], curves="cached", **dict(options))
