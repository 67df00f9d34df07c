"""Codes written to disk block by block, so that no more than one block is in memory, and an interrupted build goes on.

In: blocks of CSR values, columns and counts, and offsets, in the order of the rows. Out: `data.npy`, `indices.npy`,
`indptr.npy` and `offset.npy` of a draft. Values and columns grow in hidden files behind the header that numpy writes
and leaves room in. Every `NOTED` rows they are flushed and a journal says how many rows there are, with a checksum of
the rows since the last note; a build that goes on keeps what is as its notes say and cuts off the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core import disk
from core.fingerprint import hash_bytes
from core.store import Draft

NOTED = 2**14
"""Rows between two notes."""
WIDE = 2**31
"""Values from which on columns and row ends are 64-bit numbers."""
_JOURNAL = ".codes.json"
_VALUES, _COLUMNS, _COUNTS = ".data.npy", ".indices.npy", ".counts.npy"
_TYPES = {_VALUES: np.dtype(np.float32), _COLUMNS: np.dtype(np.int32), _COUNTS: np.dtype(np.int32)}


@dataclass
class _Note:
    """Rows `start` to `stop`, and their values up to `end`, are on disk."""

    start: int
    stop: int
    end: int
    checksum: str


@dataclass
class CodesOnDisk:
    """Codes of n rows that are being written.

    Attributes:
        rows: n.
        size: columns of an offset.
        offset: (1, d) where all rows have the same; None: every row has its own.
    """

    draft: Draft
    rows: int
    size: int
    offset: np.ndarray | None
    done: int = 0
    """Rows that are there; the next block begins here."""
    _files: dict[str, BinaryIO] = field(default_factory=dict)
    _notes: list[_Note] = field(default_factory=list)
    _offsets: np.memmap | None = None

    def __enter__(self) -> CodesOnDisk:
        """Open the files of an interrupted build as far as they are intact, else new ones."""
        there = True
        if self.offset is None and self.rows:
            self._offsets, there = self.draft.map("offset", (self.rows, self.size), np.dtype(np.float32))
        paths = [self.draft.path / name for name in _TYPES]
        self._notes = self._believed() if there and all(path.is_file() for path in paths) else []
        self.done, values = (self._notes[-1].stop, self._notes[-1].end) if self._notes else (0, 0)
        for path, length in zip(paths, (values, values, self.done), strict=True):
            file = self._files[path.name] = open(path, "r+b" if self._notes else "w+b")  # noqa: SIM115 - see __exit__
            file.truncate(_write_header(file, path.name, length) + length * _TYPES[path.name].itemsize)
            file.seek(0, 2)
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, values: np.ndarray, columns: np.ndarray, counts: np.ndarray, offset: np.ndarray) -> None:
        """The next rows: values (m,), columns (m,), counts (b,), and offset (b, d) where every row has its own."""
        for name, array in ((_VALUES, values), (_COLUMNS, columns), (_COUNTS, counts)):
            self._files[name].write(np.ascontiguousarray(array, _TYPES[name]).data)
        if self._offsets is not None:
            self._offsets[self.done : self.done + len(counts)] = offset
        self.done += len(counts)
        if self.done - (self._notes[-1].stop if self._notes else 0) >= NOTED:
            self._note()

    def finish(self) -> None:
        """All rows are there: the arrays under their names."""
        self._flush()
        counts = np.fromfile(self.draft.path / _COUNTS, np.int32, offset=len(_header(_COUNTS, 0)))
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        # scipy wants indices and indptr of one type; 64 bits only where the count of values needs them.
        wide = bool(indptr[-1] >= WIDE)
        for name, length in ((_VALUES, indptr[-1]), (_COLUMNS, indptr[-1])):
            _write_header(self._files[name], name, int(length))
            self._files[name].close()
        if wide:
            self._widen(int(indptr[-1]))
        disk.put(self.draft.path / _VALUES, self.draft.path / "data.npy")
        disk.put(self.draft.path / _COLUMNS, self.draft.path / "indices.npy")
        self.draft.save("indptr", indptr if wide else indptr.astype(np.int32))
        if self._offsets is None:
            same = self.offset if self.offset is not None and self.rows else np.empty((0, self.size), np.float32)
            self.draft.save("offset", same)

    def _note(self) -> None:
        """Rows first, journal second: what the journal names is on disk."""
        self._flush()
        start = self._notes[-1].stop if self._notes else 0
        first, end = self._notes[-1].end if self._notes else 0, self._values_written()
        self._notes.append(_Note(start, self.done, end, self._sum_of(start, self.done, first, end)))
        disk.write_text(self.draft.path / _JOURNAL, json.dumps([vars(note) for note in self._notes]))

    def _believed(self) -> list[_Note]:
        """The notes of an interrupted build up to the first whose rows are not as it says."""
        try:
            notes = [_Note(**note) for note in json.loads((self.draft.path / _JOURNAL).read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return []
        believed: list[_Note] = []
        for note in notes:
            start, first = (believed[-1].stop, believed[-1].end) if believed else (0, 0)
            if note.start != start or self._sum_of(start, note.stop, first, note.end) != note.checksum:
                break
            believed.append(note)
        return believed

    def _sum_of(self, start: int, stop: int, first: int, end: int) -> str:
        """Checksum of rows `start` to `stop`, whose values are `first` to `end`, as they lie on disk."""
        spans = ((_VALUES, first, end), (_COLUMNS, first, end), (_COUNTS, start, stop))
        parts = [_read(self.draft.path / name, name, at, to) for name, at, to in spans]
        if self._offsets is not None:
            parts.append(np.ascontiguousarray(self._offsets[start:stop]).tobytes())
        return hash_bytes(*parts)

    def _flush(self) -> None:
        """Everything added so far, on the disk."""
        for file in self._files.values():
            file.flush()
        for name in _TYPES:
            disk.sync(self.draft.path / name)
        if self._offsets is not None:
            self._offsets.flush()

    def _values_written(self) -> int:
        return (self._files[_VALUES].tell() - len(_header(_VALUES, 0))) // _TYPES[_VALUES].itemsize

    def _widen(self, length: int) -> None:
        """The columns once more, as 64-bit numbers."""
        narrow = np.load(self.draft.path / _COLUMNS, mmap_mode="r", allow_pickle=False)
        wide, _ = disk.reserved_map(self.draft.path / ".wide.npy", (length,), np.dtype(np.int64))
        for start in range(0, length, 2**24):
            wide[start : start + 2**24] = narrow[start : start + 2**24]
        wide.flush()
        disk.put(self.draft.path / ".wide.npy", self.draft.path / _COLUMNS)


def _header(name: str, length: int) -> bytes:
    """The header of a `.npy` of that length: numpy leaves room in it for longer ones, so that its size stays."""
    from io import BytesIO

    descr = np.lib.format.dtype_to_descr(_TYPES[name])
    np.lib.format.write_array_header_1_0(
        stream := BytesIO(), {"descr": descr, "fortran_order": False, "shape": (length,)}
    )
    return stream.getvalue()


def _write_header(file: BinaryIO, name: str, length: int) -> int:
    """Write it at the beginning of a file; its size."""
    header = _header(name, length)
    assert len(header) == len(_header(name, 0))
    file.seek(0)
    file.write(header)
    return len(header)


def _read(path: Path, name: str, start: int, stop: int) -> bytes:
    """Numbers `start` to `stop` of a file, as bytes."""
    size = _TYPES[name].itemsize
    with open(path, "rb") as file:
        file.seek(len(_header(name, 0)) + start * size)
        return file.read((stop - start) * size)
