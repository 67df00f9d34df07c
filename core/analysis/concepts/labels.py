"""What a concept stands for: how well its firing agrees with known attributes of the items.

In: codes (n, c) and a 0/1 table of attributes (n, a): things of the demo world, or words of the captions.
Out: for every concept the attribute with the best F1, or all attributes of one concept. Counts only; nothing dense of
size n x c.

    together_ka = #items where k fires and a holds;  precision = together / #fires;  recall = together / #holds
    F1 = 2 precision recall / (precision + recall)                                   0 where nothing comes together
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from core.analysis.arrays import Codes

WORD = re.compile(r"[^\W\d_]{3,}")
STOP_WORDS = frozenset(
    [
        "the",
        "and",
        "with",
        "are",
        "has",
        "have",
        "from",
        "that",
        "this",
        "there",
        "its",
        "near",
        "into",
        "onto",
        "over",
        "under",
        "for",
        "not",
        "but",
        "some",
        "one",
        "two",
        "three",
        "his",
        "her",
    ]
)


@dataclass(frozen=True, eq=False)
class Attributes:
    """Named 0/1 attributes of items: `names` (a,), `table` (n, a) sparse float32."""

    names: tuple[str, ...]
    table: sp.csr_array


@dataclass(frozen=True, eq=False)
class Match:
    """Agreement of firing with attributes: arrays of one shape, ratios 0-1."""

    precision: Float[np.ndarray, "..."]
    recall: Float[np.ndarray, "..."]
    f1: Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """How well one chosen attribute per concept holds on items it was not chosen on; NaN where none was chosen."""

    f1: Float[np.ndarray, " c"]
    chance: Float[np.ndarray, " c"]
    """F1 of a concept that fires on as many of these items, whatever they show."""
    fires: Int[np.ndarray, " c"]
    """Items that the concept fires on."""


def attribute_table(sets: Iterable[Iterable[str]], least: int = 1, most_share: float = 1.0) -> Attributes:
    """One row per set of names; names held by fewer than `least` items or more than `most_share` of them are
    dropped."""
    rows = [frozenset(s) for s in sets]
    counts = Counter(name for row in rows for name in row)
    names = sorted(n for n, count in counts.items() if least <= count <= most_share * max(1, len(rows)))
    return with_names(rows, names)


def with_names(sets: Iterable[Iterable[str]], names: Sequence[str]) -> Attributes:
    """One row per set, with exactly these names: other items seen through attributes that were chosen before."""
    index = {name: i for i, name in enumerate(names)}
    columns = [sorted(index[n] for n in frozenset(s) if n in index) for s in sets]
    pointers = np.cumsum([0, *map(len, columns)])
    flat = np.fromiter((i for column in columns for i in column), dtype=np.int32, count=int(pointers[-1]))
    table = sp.csr_array((np.ones(len(flat), np.float32), flat, pointers), shape=(len(columns), len(names)))
    return Attributes(tuple(names), table)


def words(text: str) -> frozenset[str]:
    """Lower-case words of three letters or more, without the commonest function words."""
    return frozenset(WORD.findall(text.lower())) - STOP_WORDS


def agreement(codes: Codes, attributes: Attributes) -> Match:
    """(c, a) precision, recall and F1 of "concept k fires" for "attribute a holds"."""
    fires = sp.csr_array(codes > 0, dtype=np.float32)
    together = np.asarray((fires.T @ attributes.table).todense(), dtype=np.float64)
    n_fires = np.asarray(fires.sum(axis=0), dtype=np.float64).reshape(-1, 1)
    n_holds = np.asarray(attributes.table.sum(axis=0), dtype=np.float64).reshape(1, -1)
    zeros = np.zeros_like(together)
    precision = np.divide(together, n_fires, out=zeros.copy(), where=n_fires > 0)
    recall = np.divide(together, n_holds, out=zeros.copy(), where=n_holds > 0)
    f1 = np.divide(2 * together, n_fires + n_holds, out=zeros, where=(n_fires + n_holds) > 0)
    return Match(precision, recall, f1)


def best_attribute(match: Match) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Per concept the column of the best F1 and that F1; ties by column; (0, 0.0) where no attribute ever comes
    together."""
    if not match.f1.shape[1]:
        return np.zeros(len(match.f1), dtype=np.int64), np.zeros(len(match.f1))
    best = match.f1.argmax(axis=1)
    return best, match.f1[np.arange(len(best)), best]


def held_out(codes: Codes, attributes: Attributes, chosen: Int[np.ndarray, " c"]) -> HeldOut:
    """F1 of concept k with attribute `chosen[k]` (-1: none) on these items, beside what chance gives.

    By chance fires * holds / n items have both, so that F1 = 2 fires holds / (n (fires + holds)).
    """
    fires = sp.csc_array(codes > 0, dtype=np.float64)
    n_fires, n = np.asarray(fires.sum(axis=0)).ravel(), fires.shape[0]
    known = np.flatnonzero(chosen >= 0)
    f1, chance = np.full(len(chosen), np.nan), np.full(len(chosen), np.nan)
    if len(known):
        holds = sp.csc_array(attributes.table, dtype=np.float64)[:, chosen[known]]
        together = np.asarray(fires[:, known].multiply(holds).sum(axis=0)).ravel()
        n_holds = np.asarray(holds.sum(axis=0)).ravel()
        both = n_fires[known] + n_holds
        zeros = np.zeros(len(known))
        f1[known] = np.divide(2 * together, both, out=zeros.copy(), where=both > 0)
        chance[known] = np.divide(2 * n_fires[known] * n_holds, n * both, out=zeros, where=both > 0)
    return HeldOut(f1, chance, n_fires.astype(np.int64))


def share_with_pairs(
    sets: Sequence[frozenset[str]], pairs: Int[np.ndarray, "p 2"], others: Sequence[frozenset[str]]
) -> list[frozenset[str]]:
    """Each empty set filled with the names of its partners: an image without words borrows those of its captions."""
    filled = list(sets)
    empty = {i for i, s in enumerate(sets) if not s}
    for mine, partner in pairs:
        if int(mine) in empty:
            filled[int(mine)] = filled[int(mine)] | others[int(partner)]
    return filled
