"""Runs: the list of them, what each is, and the opened run that all sessions share."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from core import inventory
from core.memo import Memo
from core.run import Run, list_runs, open_run
from core.store import Store, cache_root


@dataclass(frozen=True)
class RunChoice:
    """A run as the picker lists it. `name` is unique among the choices; `corpus` is source, path (with split and
    language) and task."""

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


_RUNS = Memo(limit=32)
"""Opened runs, by cache and key."""
_FACTS = Memo(limit=64)


def root() -> str:
    """The cache folder in use."""
    return str(cache_root())


def runs() -> list[RunChoice]:
    """The runs of the cache, the demo's own first; where a name is used twice, older ones go by their key."""
    return _runs(root())


def run(key: str) -> Run:
    """An opened run; shared by all sessions."""
    where = root()
    return _RUNS.get((where, key), lambda: open_run(key, Store.default()))


def facts(key: str) -> RunFacts:
    """What a run is."""
    return _FACTS.get((root(), key), lambda: _facts(key))


def name(key: str) -> str:
    """A run's name in the picker and in links."""
    return next((choice.name for choice in runs() if choice.key == key), key)


def counterpart(name: str) -> str | None:
    """The run to compare with where none was chosen: the same corpus and task by another model, if there is one of
    another family (contrastive beside generative)."""
    mine = next(choice for choice in runs() if choice.name == name)
    keys = siblings(mine.key)
    others = [choice for choice in runs() if choice.key in keys]
    family = run(mine.key).family
    return next((c.name for c in sorted(others, key=lambda c: run(c.key).family == family)), None)


def siblings(key: str) -> list[str]:
    """Keys of the other runs of the same corpus and task by other models, as they stand in the picker."""
    mine = next(choice for choice in runs() if choice.key == key)
    return [c.key for c in runs() if c.corpus == mine.corpus and c.model != mine.model]


def run_table() -> pd.DataFrame:
    """All runs with sizes and settings: columns as `inventory.RUN_COLUMNS`; at most some seconds old."""
    return _listing(root())[0]


def broken_runs() -> pd.DataFrame:
    """DataFrame[name, key, why, next]: runs that are left out of `run_table` because they are broken."""
    return _listing(root())[1]


def forget_list() -> None:
    """Read the list of runs anew at the next question: one has just been made."""
    _runs.clear()
    _listing.clear()


# It reads the manifest of every folder: too much for each visitor of the page.
@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _listing(root: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    return inventory.listing(Store.default())


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _runs(root: str) -> list[RunChoice]:
    choices, names = [], set()
    for opened in list_runs(Store.default()):
        corpus = opened.spec.corpus
        name = opened.key if opened.name in names else opened.name
        place = "|".join(filter(None, (corpus.path, corpus.split, corpus.language)))
        choices.append(RunChoice(name, opened.key, opened.model_name, (corpus.source, place, corpus.task)))
        names.add(opened.name)
    return sorted(choices, key=lambda choice: (not choice.name.startswith("demo"), choice.name))


def _facts(key: str) -> RunFacts:
    opened = run(key)
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
