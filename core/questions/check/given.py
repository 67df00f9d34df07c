"""Vectors from elsewhere for the items of a run, and the sample of items that is compared.

`Given` holds all rows that came (a memmap where they lie in a `.npy`); `Sample` says which of them are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from core.errors import CorpusError, ShapeMismatch
from core.records import Part
from core.run import Run

CHECKED_PARTS: tuple[Part, Part] = ("queries", "candidates")
OTHER: dict[Part, Part] = {"queries": "candidates", "candidates": "queries"}
LEAST_ROWS = 2
LONGEST = 2
"""Items of each part that are in a sample for the length of their text: only these show a token limit."""


@dataclass(frozen=True, eq=False)
class GivenPart:
    """The rows that came for one part.

    Attributes:
        rows: (m,) int64, the run's row that each stands for.
        vectors: (m, d) numbers, in the order they came.
        by_order: whether rows were told by their order only, without ids.
    """

    part: Part
    rows: np.ndarray
    vectors: np.ndarray
    by_order: bool

    @property
    def width(self) -> int:
        return int(self.vectors.shape[1])

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(n, d) float64 of some positions."""
        return np.asarray(self.vectors[positions], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Given:
    """All that came, and from where.

    Attributes:
        where: the folder or the address, fit to be shown: no key, no password.
        stored: numpy name of the coarsest type the numbers came in; "float64" for JSON.
        strings: name -> (part, row) -> what a server could have embedded as text in place of that item's image.
        notes: what was left out, in sentences.
    """

    parts: Mapping[Part, GivenPart]
    where: str
    kind: str
    stored: str
    strings: Mapping[str, Mapping[tuple[Part, int], str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return next(iter(self.parts.values())).width


@dataclass(frozen=True, eq=False)
class Sample:
    """Items that are compared, one entry per item.

    Attributes:
        parts: (n,) of the part each belongs to.
        rows: (n,) int64 rows of the run.
        positions: (n,) int64 where their vectors lie in `GivenPart.vectors`.
    """

    parts: tuple[Part, ...]
    rows: np.ndarray
    positions: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def places(self) -> list[tuple[Part, int]]:
        """Part and row of each item."""
        return list(zip(self.parts, self.rows.tolist(), strict=True))

    def of(self, part: Part) -> np.ndarray:
        """Entries of one part."""
        return np.flatnonzero([one == part for one in self.parts])

    def some(self, entries: np.ndarray) -> Sample:
        """The sample of these entries."""
        return Sample(tuple(self.parts[i] for i in entries), self.rows[entries], self.positions[entries])


def check_given(run: Run, given: Given) -> None:
    """Refuse vectors that cannot be compared, in one line.

    Raises:
        ShapeMismatch: more dimensions than the run's, or two widths. CorpusError: too few rows, rows that are not
            finite, or all zero.
    """
    widths = {part: one.width for part, one in given.parts.items()}
    if len(set(widths.values())) > 1:
        raise ShapeMismatch("queries and candidates differ in width", got=widths, allowed="one width")
    d = run.embeddings(next(iter(widths))).shape[1]
    if given.width > d:
        raise ShapeMismatch(
            "the vectors are wider than the run's",
            got=f"d = {given.width}",
            allowed=f"d = {d}, or fewer where dimensions were cut off",
            todo="check that they are of the same model",
        )
    for part, one in given.parts.items():
        if len(one.rows) < LEAST_ROWS:
            raise CorpusError(f"too few rows of {part}", got=len(one.rows), allowed=f"at least {LEAST_ROWS}")


def check_rows(vectors: np.ndarray, ids: list[str]) -> None:
    """Refuse rows of a sample that are no vectors: NaN, infinity, all zero.

    Raises:
        CorpusError: how many, and the first of them.
    """
    not_finite, zero = ~np.isfinite(vectors).all(axis=1), ~np.any(vectors, axis=1)
    for what, bad in (("NaN or infinity", not_finite), ("nothing but zeros", zero)):
        if bad.any():
            first = ids[int(np.flatnonzero(bad)[0])]
            raise CorpusError(
                f"{int(bad.sum())} of {len(bad)} vectors hold {what}",
                got=f"the first is that of item {first!r}",
                allowed="finite numbers, not all zero",
                todo="embed these items again, then check",
            )


def choose_rows(run: Run, available: Mapping[Part, np.ndarray], number: int) -> dict[Part, np.ndarray]:
    """Rows of the run to compare, about half of each part: queries spread evenly, their right candidates, and the
    longest texts of each part.

    Args:
        available: part -> rows that may be chosen.

    Returns:
        part -> sorted rows; all together `number` or, where fewer are there, all.
    """
    total = sum(len(rows) for rows in available.values())
    if total <= number:
        return {part: np.sort(rows) for part, rows in available.items()}
    shares = _shares({part: len(rows) for part, rows in available.items()}, number)
    chosen: dict[Part, np.ndarray] = {}
    for part in [part for part in CHECKED_PARTS if part in available]:
        rows, wanted = np.sort(available[part]), shares[part]
        first = _longest(run, part, rows)[: max(0, wanted // 4)]
        if part == "candidates" and "queries" in chosen:
            pairs = run.qrels("test").pairs
            right = pairs[np.isin(pairs[:, 0], chosen["queries"]) & np.isin(pairs[:, 1], rows), 1]
            first = np.concatenate([first, right])
        spread = rows[np.linspace(0, len(rows) - 1, wanted).astype(int)]
        ordered = dict.fromkeys([*first.tolist(), *spread.tolist(), *rows[:wanted].tolist()])
        chosen[part] = np.sort(np.array(list(ordered)[:wanted], dtype=np.int64))
    return chosen


def sample_of(given: Given, chosen: Mapping[Part, np.ndarray]) -> Sample:
    """Where the vectors of the chosen rows lie."""
    parts: list[Part] = []
    rows, positions = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part, wanted in chosen.items():
        order = np.argsort(given.parts[part].rows, kind="stable")
        found = order[np.searchsorted(given.parts[part].rows[order], wanted)]
        parts += [part] * len(wanted)
        rows.append(wanted)
        positions.append(found)
    return Sample(tuple(parts), np.concatenate(rows), np.concatenate(positions))


def _shares(sizes: dict[Part, int], number: int) -> dict[Part, int]:
    """How many of each part: even, what one part lacks goes to the other."""
    even = number // len(sizes)
    shares = {part: min(size, even) for part, size in sizes.items()}
    for part, size in sizes.items():
        shares[part] += min(size - shares[part], number - sum(shares.values()))
    return shares


def _longest(run: Run, part: Part, rows: np.ndarray) -> np.ndarray:
    """The rows with the longest texts."""
    texts = run.corpus.items(part).texts
    lengths = np.array([len(texts[row] or "") for row in rows])
    return rows[np.argsort(-lengths, kind="stable")[:LONGEST]]
