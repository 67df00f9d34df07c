"""Claims and exhibits, judged by core; specification curves are computed in the background."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from core.exhibits import EXHIBITS, FILES, Exhibit, Shown, Value, Verdict, show_exhibit
from core.exhibits import claims as study_claims
from core.exhibits.claims import Claim, Question
from core.exhibits.shared import present
from core.exhibits.shared.records import Setting
from dashboard.data.runs import root, run
from dashboard.data.turns import Job, take, turns

MOST = 64
"""Answers of each kind in memory: tables of tens of rows."""


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

    Curves that are not cached are computed in the background: a claim then says that it is not settled yet, and the
    page looks again.
    """
    where, opened = root(), [run(key) for key in keys]

    def judge() -> tuple[Claim, ...]:
        return study_claims.claims(opened, metric, curves="cached")

    def judged() -> Judged:
        claims = take(("claims", where, keys, metric), lambda make: _claims(where, keys, metric, make), judge, "claims")
        return Judged(claims, any(_is_open(EXHIBITS[claim.exhibit], claim) for claim in claims))

    first = judged()
    names = {claim.exhibit for claim in first.claims if _is_open(EXHIBITS[claim.exhibit], claim)}
    if not names or not _are_computed(names, keys):
        return first
    _claims.clear(where, keys, metric)  # verdicts are others now that the curves are there
    return judged()


@st.cache_resource(max_entries=MOST, show_spinner=False)
def _claims(root: str, keys: tuple[str, ...], metric: str, _make: Callable[[], tuple[Claim, ...]]) -> tuple[Claim, ...]:
    return _make()


def claim_settings(claim: Claim, keys: tuple[str, ...], metric: str) -> tuple[Setting, ...]:
    """The specification curve of a claim on some of these runs; empty as long as it is not computed."""
    by_name = {run(key).name: run(key) for key in keys}
    on = [by_name[name] for name in claim.on.split(", ") if name in by_name]
    if not on or claim.outcome == "cannot be said" or claim.settings is None:
        return ()
    settings = _settings(root(), claim.claim, tuple(one.key for one in on), metric)
    if not settings:
        _settings.clear(root(), claim.claim, tuple(one.key for one in on), metric)
    return settings


@st.cache_resource(max_entries=4 * MOST, show_spinner=False)
def _settings(root: str, claim: int, keys: tuple[str, ...], metric: str) -> tuple[Setting, ...]:
    return study_claims.specification_curve(claim, [run(key) for key in keys], metric, curves="cached")


def _is_open(exhibit: Exhibit, judged: Claim | Verdict) -> bool:
    """Whether what is left of a verdict under all settings is not known yet."""
    return exhibit.grid is not None and judged.settings is None and judged.outcome != "cannot be said"


def _are_computed(names: Collection[str], keys: tuple[str, ...]) -> bool:
    """Whether the curves of these exhibits are there now; those that are not begun are computed in the background.

    Raises what went wrong there: a page must not wait for ever.
    """
    jobs = [_curves(root(), name, keys) for name in names]
    return all(job.done.is_set() and job.outcome() is not None for job in jobs)


@st.cache_resource(max_entries=256, show_spinner=False)
def _curves(root: str, name: str, keys: tuple[str, ...]) -> Job:
    """Compute an exhibit's curves while no visitor waits; once per exhibit and runs, however many sessions ask."""
    opened = [run(key) for key in keys]
    return turns().in_background(lambda: show_exhibit(name, opened, curves="computed"))


def exhibits() -> list[Exhibit]:
    """Every exhibit, the study's first."""
    return list(EXHIBITS.values())


def exhibit_file(name: str) -> str:
    """The name that an exhibit's file has in core, and its drawings here."""
    return FILES[name]


def exhibit(name: str, keys: tuple[str, ...], options: tuple[tuple[str, Value], ...] = ()) -> Shown:
    """An exhibit on these runs: what `retrieval-lens exhibit` prints. Shared by all sessions: not to be changed.

    Curves that are not cached are computed in the background (`is_pending`).
    """
    where, opened = root(), [run(key) for key in keys]

    def show() -> Shown:
        return show_exhibit(name, opened, curves="cached", **dict(options))

    known_as = ("exhibit", where, name, keys, options)
    result = take(known_as, lambda make: _exhibit(where, name, keys, options, make), show, EXHIBITS[name].title)
    if not is_pending(result) or not _are_computed([name], keys):
        return result
    _exhibit.clear(where, name, keys, options)  # its verdicts are others now that the curves are there
    return take(known_as, lambda make: _exhibit(where, name, keys, options, make), show, EXHIBITS[name].title)


@st.cache_resource(max_entries=MOST, show_spinner=False)
def _exhibit(
    root: str,
    name: str,
    keys: tuple[str, ...],
    options: tuple[tuple[str, Value], ...],
    _make: Callable[[], Shown],
) -> Shown:
    return _make()


def is_pending(result: Shown) -> bool:
    """Whether some specification curve of an exhibit's verdicts is still being computed."""
    return any(_is_open(result.exhibit, verdict) for verdict in result.verdicts if verdict.about == "claim")


def sheets(result: Shown, write: Callable[[str, Any], str]) -> list[tuple[str, pd.DataFrame, present.Readable]]:
    """(title, table, readable) of an exhibit's tables: rows of unlike parts apart, intervals in the cells, shared
    columns said once."""
    return [(title, table, present.readable(table, write)) for title, table in present.sheets(result.table)]


def readable(table: pd.DataFrame, write: Callable[[str, Any], str]) -> present.Readable:
    """A table with its intervals in the cells, and what all its rows share."""
    return present.readable(table, write)


def verdicts(result: Shown, about: str) -> dict[str, list[tuple[str, Verdict]]]:
    """run or runs -> (outcome as one says it, verdict), of those about the claim, what stands beside it, or printed
    numbers."""
    by_run = present.by_run([verdict for verdict in result.verdicts if verdict.about == about])
    return {
        run: [(present.spoken(result.exhibit, verdict), verdict) for verdict in verdicts]
        for run, verdicts in by_run.items()
    }
