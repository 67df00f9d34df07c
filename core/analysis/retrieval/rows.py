"""Rows that ranking takes block by block: an array that is there, or a variant's rows made as they are needed.

A source says its shape, gives its rows once in order (`blocks`) and some of them at will (`take`). A row is the same
numbers in both. Knows nothing of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from core.analysis.arrays import Codes, read_blocks
from core.analysis.engine import NUMPY, Array, Engine
from core.analysis.retrieval.products import Given
from core.analysis.variants.fitdata import FitData, Modalities
from core.analysis.variants.transform import SideTransform, transform_block


class ArrayRows:
    """Rows that are there, in memory or on disk."""

    def __init__(self, rows: Given) -> None:
        self._rows = rows
        self.shape = (rows.shape[0], rows.shape[1])

    def blocks(self, step: int, engine: Engine) -> Iterator[tuple[int, Given | Array]]:
        """(number of the first row, about `step` rows), in order."""
        yield from ((block.start, rows) for block, rows in read_blocks(self._rows, step))

    def take(self, rows: np.ndarray) -> Given:
        """These rows, in main memory; numbers ascend, each once."""
        return self._rows[rows]


class VariantRows:
    """Rows of one side under a fitted variant: transformed block by block, never all there.

    Rows that `take` has given are given again by `blocks`: the last bit of a float64 product depends on the block a row
    is in, and a row must be one row.
    """

    def __init__(
        self,
        x: np.ndarray,
        side: SideTransform,
        codes: Codes | None = None,
        dictionary: np.ndarray | None = None,
        modality: Modalities | None = None,
    ) -> None:
        self._x, self._side, self._codes, self._dictionary = x, side, codes, dictionary
        self._modality = None if modality is None else np.asarray(modality)
        self._taken: dict[int, np.ndarray] = {}
        self.shape = (len(x), side.width(x.shape[1]))

    @classmethod
    def candidates(cls, data: FitData, side: SideTransform) -> VariantRows:
        """Those of `data`."""
        codes = data.candidate_codes if side.edits else None
        modality = data.candidate_modality if side.by_modality else None
        return cls(data.candidates, side, codes, data.dictionary, modality)

    def blocks(self, step: int, engine: Engine) -> Iterator[tuple[int, Given | Array]]:
        """(number of the first row, about `step` rows, float32), in order."""
        place = engine if engine.float64 else NUMPY
        for at, x in read_blocks(self._x, step):
            block = self._made(x, at, place)
            for row in self._taken.keys() & set(range(at.start, at.start + len(block))):
                block[row - at.start] = place.put(self._taken[row])
            yield at.start, block

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Transformed now, and kept: 4 d bytes a row."""
        new = np.array([row for row in rows.tolist() if row not in self._taken], dtype=np.int64)
        self._taken |= zip(new.tolist(), self._made(self._x[new], new), strict=True)
        if not len(rows):
            return np.empty((0, self.shape[1]), np.float32)
        return np.stack([self._taken[row] for row in rows.tolist()])

    def _made(self, x: np.ndarray, rows: slice | np.ndarray, place: Engine = NUMPY) -> Array:
        codes = None if self._codes is None else self._codes[rows]
        modality = None if self._modality is None else self._modality[rows]
        return transform_block(x, self._side, codes, self._dictionary, modality, place)


RowSource: TypeAlias = ArrayRows | VariantRows


def row_source(rows: Given | ArrayRows | VariantRows) -> ArrayRows | VariantRows:
    """Rows of any kind as a source."""
    return rows if isinstance(rows, ArrayRows | VariantRows) else ArrayRows(rows)
