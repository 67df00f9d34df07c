"""The only bridge from the pages to `core`, and the only user of `st.cache_*`.

Pages ask questions by name, `ask("retrieval.gain_split", run)`: the name is a module and function of `core.questions`,
the run is given by its key, arguments are scalars. Nothing large is hashed or pickled: arrays stay in the opened run,
which all sessions share. Users' errors (`core.errors.UserError`) pass through; `widgets.guard` shows them.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import streamlit as st

from core.errors import UserError
from core.run import Run, list_runs, open_run
from core.store import Store, cache_root

UPLOADS = 64
"""Uploaded pictures kept in memory."""
ITEM_QUESTIONS = {"live.say", "live.heat"}
"""Questions about the item of a live query; the others are about its embedding."""


@dataclass(frozen=True)
class RunChoice:
    """A run as the picker shows it; `name` is unique among the choices. `corpus` says what it retrieves: source, path
    and task."""

    name: str
    key: str
    model: str
    corpus: tuple[str, str, int]


@dataclass(frozen=True)
class RunFacts:
    """What pages say about a run. `contrastive`: the model was trained to match, its embeddings are projected ones."""

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
    """An item ready to be shown; `image` is a data URI of its thumbnail."""

    part: str
    row: int
    id: str
    modality: str
    text: str
    image: str | None
    truth: dict[str, Any] | None


@dataclass(frozen=True)
class Asked:
    """A live query: a text, and where its picture is: "" (none), "queries:12" (an item of the run) or "upload:" with
    its hash."""

    text: str
    picture: str = ""


def root() -> str:
    """The cache folder in use."""
    return str(cache_root())


def runs() -> list[RunChoice]:
    """The runs of the cache, the demo's own first; where a name is used twice, older ones go by their key."""
    return _runs(root())


def run(key: str) -> Run:
    """An opened run; shared by all sessions."""
    return _open(root(), key)


def counterpart(name: str) -> str | None:
    """The run to compare with where none was chosen: the same corpus and task by another model."""
    by_name = {choice.name: choice for choice in runs()}
    mine = by_name[name]
    return next((c.name for c in by_name.values() if c.corpus == mine.corpus and c.model != mine.model), None)


def ask(question: str, key: str, /, *arguments: Any, **named: Any) -> Any:
    """The answer of `core.questions.<module>.<function>(run, ...)`; scalars only."""
    assert all(isinstance(a, (str, int, float, bool, type(None))) for a in (*arguments, *named.values()))
    return _ask(root(), key, question, arguments, tuple(sorted(named.items())))


def fresh(question: str, key: str, /, *arguments: Any) -> Any:
    """Like `ask`, computed anew each time: for questions about the state of the cache."""
    return _call(question, run(key), arguments, {})


def ask_two(question: str, first: str, second: str, /, *arguments: Any, **named: Any) -> Any:
    """The answer of `core.questions.<module>.<function>(first run, second run, ...)`; scalars only."""
    return _ask_two(root(), first, second, question, arguments, tuple(sorted(named.items())))


def ask_live(question: str, key: str, asked: Asked, /, *arguments: Any) -> Any:
    """The answer of `core.questions.live.<function>` about a live query, which the run's own model embeds once."""
    return _ask_live(root(), key, question, asked, arguments)


def live_picture(key: str, asked: Asked) -> Any:
    """The picture of a live query, or None.

    Raises:
        UserError: it was uploaded into another process.
    """
    from core.questions import live

    kind, _, name = asked.picture.partition(":")
    if kind == "upload" and name not in _uploads():
        raise UserError(
            "the uploaded picture of this view is no longer here",
            todo="upload it again, or start from an item of the run",
        )
    if kind in ("queries", "candidates"):
        return live.stored_item(run(key), kind, int(name)).image  # type: ignore[arg-type]
    return _uploads()[name] if kind == "upload" else None


def examples(key: str, other: str | None) -> list[int]:
    """Queries that show most, those first whose picture the model describes wholly."""
    return _examples(root(), key, other)


def named(said: str, things: list[str]) -> list[str]:
    """Those of `things` that a sentence names."""
    from core.questions import live

    return live.named(said, things)


def keep_upload(content: bytes) -> str:
    """Decode an uploaded picture and keep it while this process lives; returns its name, for `Asked.picture`.

    Raises:
        UserError: it is no picture.
    """
    from core.questions.live import picture

    name, kept = hashlib.sha256(content).hexdigest()[:16], _uploads()
    kept[name] = picture(content)
    while len(kept) > UPLOADS:
        kept.pop(next(iter(kept)))
    return f"upload:{name}"


def has_upload(name: str) -> bool:
    """Whether that uploaded picture is still kept."""
    return name.removeprefix("upload:") in _uploads()


def facts(key: str) -> RunFacts:
    """What a run is."""
    return _facts(root(), key)


def name(key: str) -> str:
    """A run's name in the picker and in links."""
    return next((choice.name for choice in runs() if choice.key == key), key)


def partners(key: str, part: str, row: int) -> list[tuple[str, int]]:
    """The items that match one item of "queries" or "candidates", as (part, row)."""
    pairs = run(key).qrels("test").pairs
    side, other = (0, "candidates") if part == "queries" else (1, "queries")
    return [(other, int(pair[1 - side])) for pair in pairs[pairs[:, side] == row]]


def table() -> Any:
    """All runs with sizes and settings."""
    return import_module("core.inventory").runs(Store.default())


def items(key: str, part: str, rows: list[int]) -> list[ItemView]:
    """Items of one part, with thumbnails."""
    return [item(key, part, int(row)) for row in rows]


def item(key: str, part: str, row: int) -> ItemView:
    """One item, with its thumbnail."""
    return _item(root(), key, part, row)


def size(key: str, part: str) -> int:
    """Number of items of a part."""
    return len(run(key).corpus.items(part))


def thumbnail(key: str, part: str, row: int) -> Any:
    """The item's thumbnail as a picture, or None."""
    return run(key).corpus.items(part).thumbnail(row)


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


def exhibits() -> list[Any]:
    """Every exhibit, the study's first: name, title, group, claim, options, ..."""
    from core.exhibits import EXHIBITS

    return list(EXHIBITS.values())


def exhibit(name: str, keys: tuple[str, ...], options: tuple[tuple[str, Any], ...] = ()) -> Any:
    """An exhibit on these runs: what `retrieval-lens exhibit` prints. Shared by all sessions: not to be changed."""
    return _exhibit(root(), name, keys, options)


def sheets(shown: Any, write: Callable[[str, Any], str]) -> list[tuple[str, Any, Any]]:
    """(title, table, readable) of an exhibit's tables: rows of unlike parts apart, intervals in the cells, shared
    columns said once."""
    from core.exhibits.shared.present import readable as present
    from core.exhibits.shared.present import sheets as apart

    return [(title, table, present(table, write)) for title, table in apart(shown.table)]


def readable(table: Any, write: Callable[[str, Any], str]) -> Any:
    """A table with its intervals in the cells, and what all its rows share."""
    from core.exhibits.shared.present import readable as present

    return present(table, write)


def judged(shown: Any, about: str) -> dict[str, list[tuple[str, Any]]]:
    """run or runs -> (outcome as one says it, verdict), of those about the claim, what stands beside it, or printed
    numbers."""
    from core.exhibits.shared.present import by_run, spoken

    found = by_run([verdict for verdict in shown.verdicts if verdict.about == about])
    return {run: [(spoken(shown.exhibit, verdict), verdict) for verdict in verdicts] for run, verdicts in found.items()}


@st.cache_resource(max_entries=64, show_spinner=False)
def _exhibit(root: str, name: str, keys: tuple[str, ...], options: tuple[tuple[str, Any], ...]) -> Any:
    from core.exhibits import show_exhibit

    return show_exhibit(name, [_open(root, key) for key in keys], **dict(options))


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _runs(root: str) -> list[RunChoice]:
    found, names = [], set()
    for opened in list_runs(Store.default()):
        corpus = opened.spec.corpus
        name = opened.key if opened.name in names else opened.name
        found.append(RunChoice(name, opened.key, opened.model_name, (corpus.source, corpus.path or "", corpus.task)))
        names.add(opened.name)
    return sorted(found, key=lambda choice: (not choice.name.startswith("demo"), choice.name))


@st.cache_resource(max_entries=32, show_spinner=False)
def _open(root: str, key: str) -> Run:
    return open_run(key, Store.default())


@st.cache_data(max_entries=512, show_spinner="Computing; the answer is kept …")
def _ask(root: str, key: str, question: str, arguments: tuple[Any, ...], named: tuple[tuple[str, Any], ...]) -> Any:
    return _call(question, _open(root, key), arguments, dict(named))


def _call(question: str, opened: Run, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    module, function = question.split(".")
    return getattr(import_module(f"core.questions.{module}"), function)(opened, *arguments, **named)


@st.cache_data(max_entries=256, show_spinner="Computing; the answer is kept …")
def _ask_two(
    root: str, first: str, second: str, question: str, arguments: tuple[Any, ...], named: tuple[tuple[str, Any], ...]
) -> Any:
    return _call(question, _open(root, first), (_open(root, second), *arguments), dict(named))


@st.cache_data(max_entries=64, show_spinner="Looking for a query that shows most; the first time the model is loaded …")
def _examples(root: str, key: str, other: str | None) -> list[int]:
    from core.questions import compare, live

    run = _open(root, key)
    rows = compare.teaching_queries(run, _open(root, other) if other else None, limit=live.EXAMPLES)
    return live.well_described_first(run, rows)


@st.cache_data(max_entries=256, show_spinner=False)
def _ask_live(root: str, key: str, question: str, asked: Asked, arguments: tuple[Any, ...]) -> Any:
    given = _live_item(root, key, asked) if question in ITEM_QUESTIONS else _live_row(root, key, asked)
    return _call(question, _open(root, key), (given, *arguments), {})


@st.cache_data(
    max_entries=256,
    show_spinner="The run's own model reads the query; the first time it is loaded, which takes a while …",
)
def _live_row(root: str, key: str, asked: Asked) -> Any:
    from core.questions import live

    return live.embed(_open(root, key), _live_item(root, key, asked))


def _live_item(root: str, key: str, asked: Asked) -> Any:
    from core.questions import live

    return live.item(_open(root, key), asked.text, live_picture(key, asked))


@st.cache_resource(show_spinner=False)
def _uploads() -> dict[str, Any]:
    return {}


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
        contrastive=opened.view.pooling == "projected",
        concepts=opened.sae.width if opened.sae else None,
        k=opened.sae.k if opened.sae else None,
        trained_on=opened.sae.trained_on if opened.sae else "",
    )


@st.cache_data(max_entries=8192, show_spinner=False)
def _item(root: str, key: str, part: str, row: int) -> ItemView:
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


def data_uri(picture: Any) -> str | None:
    """A picture as a PNG (small) or JPEG data URI."""
    if picture is None:
        return None
    buffer = io.BytesIO()
    kind = "PNG" if max(picture.size) <= 96 else "JPEG"
    picture.convert("RGB").save(buffer, kind, **({} if kind == "PNG" else {"quality": 85}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
