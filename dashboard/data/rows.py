"""Rows of core's tables as records: what a page reads by name is an attribute here, known to the type checker.

A table stays a table where it is drawn, listed or downloaded as a whole. A field is the column of its name; `recall_1`
is the column `recall@1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import pandas as pd

from core.records import Part

Row = TypeVar("Row")


@dataclass(frozen=True)
class Change:
    """One metric before and after, with 95% intervals, and the paired difference with its test; ratios 0-1."""

    metric: str
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    n: int
    """Queries."""


@dataclass(frozen=True)
class Pairing:
    """One metric of two sides with 95% intervals; the difference is NaN where they do not pair."""

    metric: str
    first: float
    first_low: float
    first_high: float
    first_n: int
    second: float
    second_low: float
    second_high: float
    second_n: int
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    n: int


@dataclass(frozen=True)
class GainStep:
    """One ingredient of a whitening: what it adds to Recall@1 of the one before, paired; NaN in the first."""

    variant: str
    label: str
    recall_1: float
    gain: float
    gain_low: float
    gain_high: float
    gain_p: float
    queries: int


@dataclass(frozen=True)
class SweepPoint:
    """Recall at one shrinkage."""

    beta: float
    recall_1: float
    recall_1_low: float
    recall_1_high: float
    recall_5: float
    recall_10: float


@dataclass(frozen=True)
class Concept:
    """One concept of the table of all, with its measures."""

    concept: int
    label: str
    energy: float
    modality_score: float
    """NaN where it has none."""
    bridge: float
    attribution: float
    frequency: float


@dataclass(frozen=True)
class Fellow:
    """A concept that fires together with another."""

    concept: int
    label: str
    together: int
    """Items on which both fire."""
    jaccard: float


@dataclass(frozen=True)
class Firing:
    """An item on which a concept fires, and how strongly (in embedding units)."""

    part: Part
    row: int
    activation: float


@dataclass(frozen=True)
class Carrier:
    """A concept and its mean term in the preference for an unwanted modality."""

    concept: int
    label: str
    term_mean: float


@dataclass(frozen=True)
class PoolSetting:
    """A pool of several modalities under one setting; ratios 0-1."""

    label: str
    recall_1: float
    missed: float


@dataclass(frozen=True)
class Strong:
    """A concept that is active on a live query."""

    concept: int
    label: str
    activation: float
    frequency: float


@dataclass(frozen=True)
class Candidate:
    """A candidate in a ranking; `rank_other`: its rank on the other side."""

    rank: int
    row: int
    similarity: float
    relevant: bool
    rank_other: int


@dataclass(frozen=True)
class Contribution:
    """What one concept contributes to a similarity or to a margin."""

    concept: int
    label: str
    contribution: float
    query_activation: float
    candidate_activation: float
    modality_score: float


@dataclass(frozen=True)
class RemovalPoint:
    """Recall without some concepts; one row per draw."""

    share: float
    """Of all concepts, 0-1."""
    concepts: int
    kind: str
    rank: int
    """Directions that were removed."""
    recall_1: float


@dataclass(frozen=True)
class MapPoint:
    """Where an item lies on the map."""

    part: Part
    row: int


@dataclass(frozen=True)
class Slow:
    """A query whose first candidate is irrelevant, and the rank of its first relevant one."""

    row: int
    rank: int


@dataclass(frozen=True)
class Overfiring:
    """A concept that fires on more of some items than expected; shares 0-1."""

    concept: int
    label: str
    fires: int
    share: float
    expected: float
    times: float
    """share / expected"""
    p_corrected: float


@dataclass(frozen=True)
class RunRow:
    """A run of the cache, as the list of all shows it."""

    name: str
    task: int
    created: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class FolderRow:
    """A folder that a run was made from."""

    stage: str
    folder: str
    bytes: int
    seconds: float


def rows(kind: Callable[..., Row], table: pd.DataFrame) -> list[Row]:
    """Every row of a table as a record of that kind.

    Raises:
        KeyError: the table lacks a column that the record names.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    columns = [table[_column(name)].tolist() for name in names]
    return [kind(*values) for values in zip(*columns, strict=True)]


def row(kind: Callable[..., Row], table: pd.DataFrame, **wanted: Any) -> Row:
    """The first row with these values: `row(Change, table, metric="recall@1")`.

    Raises:
        LookupError: there is none.
    """
    chosen = table
    for name, value in wanted.items():
        chosen = chosen[chosen[_column(name)] == value]
    if chosen.empty:
        raise LookupError(f"no row with {wanted}")
    return rows(kind, chosen.head(1))[0]


def _column(name: str) -> str:
    return re.sub(r"^recall_(\d+)", r"recall@\1", name)
