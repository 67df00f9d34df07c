"""Take a source in: check every row, decode every image once, resolve the qrels to row numbers.

In:  a `Source` and a function that opens a writer (or a mere counter) per part.
Out: a `Tally`: facts per part, pairs per split, bad rows with reasons, and how many rows were read.

The steps of a row: its id must be new, its text must hold something, its image must decode. A row that fails is kept as
`BadRow` and the rest goes on. Images are decoded by a few threads, a bounded window ahead, in order.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from core.corpus.images import BadImage, thumbnail
from core.corpus.readers import ImageReader
from core.corpus.rows import SIDES_OF_SPLIT, RawPair, RawRow, Source, Split
from core.corpus.tables import PartCounter, PartFacts
from core.errors import TooLarge
from core.machine import check_memory, free_memory
from core.progress import Progress
from core.records import BadRow, Part
from core.text import is_utf8, printable, shortened

LISTED_PAIRS = 100
"""Bad lines of one qrels table that are listed; the others are counted in one last line."""
WORKERS = min(8, os.cpu_count() or 1)
WINDOW = 4 * WORKERS

BYTES_PER_ROW = 600
"""Memory that a row takes while a corpus is read: its id, its number, and its pairs."""

Decoded = tuple[bytes | None, bytes] | BadImage
"""Digest and thumbnail, or why there is none."""


@dataclass
class Pairs:
    """Relevant pairs of one split as row numbers."""

    query_rows: np.ndarray
    candidate_rows: np.ndarray
    scores: np.ndarray
    unknown: int
    absent: np.ndarray
    """(n, 2) int64: query row and score of the pairs whose candidate alone is unknown."""


@dataclass
class Tally:
    """Result of reading a source: facts, pairs and bad rows."""

    parts: dict[Part, PartFacts] = field(default_factory=dict)
    pairs: dict[Split, Pairs] = field(default_factory=dict)
    bad: list[BadRow] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    """Rows read per table (parts, "qrels", "support_qrels"), bad ones included."""
    failed: Counter[str] = field(default_factory=Counter)
    """Bad rows per table."""

    def reject(self, table: str, bad: BadRow, listed: bool = True) -> None:
        """Note one bad row. Its words come from the source, so they are made safe to print and to write."""
        self.failed[table] += 1
        if listed:
            self.bad.append(BadRow(shortened(printable(bad.where), 300), shortened(printable(bad.reason), 300)))


def check_size(source: Source) -> None:
    """TooLarge where so many items do not fit into the free memory."""
    items = sum(source.sizes.values())
    check_memory(f"a corpus of {items:,} items", items * BYTES_PER_ROW, free_memory(), "set limit in [corpus]")


def ingest(source: Source, open_part: Callable[[Part], PartCounter], progress: Progress) -> Tally:
    """Read everything once.

    Raises:
        TooLarge: so many items, or so large an image, do not fit into the free memory.
    """
    check_size(source)
    tally, reader = Tally(), ImageReader(source.root, source.allow_outside)
    lost: set[str] = set()  # ids of rows that were left out
    rows_of_id: dict[Part, dict[str, int]] = {}
    for part, rows in source.rows.items():
        with progress.task(f"Reading {part.replace('_', ' ')}", source.sizes.get(part)) as task:
            sink = open_part(part)
            known = rows_of_id[part] = {}
            try:
                for row, decoded in _decoded(rows(), reader):
                    _take(part, row, decoded, known, sink, tally, lost)
                    task.advance()
            finally:
                tally.parts[part] = sink.close()
    for split, pairs in source.pairs.items():
        tally.pairs[split] = _resolve(split, pairs(), rows_of_id, tally, lost, source.cut)
    return tally


def _take(
    part: Part,
    row: RawRow | BadRow,
    decoded: Decoded,
    known: dict[str, int],
    sink: PartCounter,
    tally: Tally,
    lost: set[str],
) -> None:
    """One row: written, or noted as bad with its reason."""
    if isinstance(row, RawRow) and row.partner in lost:
        lost.add(row.id)  # its image is reported already
        return
    tally.read[part] += 1
    if isinstance(row, BadRow):
        tally.reject(part, row)
        return
    if reason := _fault(row, decoded, known):
        tally.reject(part, BadRow(row.where, reason))
        if row.id not in known:
            lost.add(row.id)
        return
    assert not isinstance(decoded, BadImage)
    known[row.id] = len(known)
    sink.add(row, *decoded)


def _fault(row: RawRow, decoded: Decoded, known: dict[str, int]) -> str | None:
    """Why a row cannot be used, or None."""
    if not row.id or row.id in known:
        return f"duplicate id {row.id!r}" if row.id else "empty id"
    if row.fault or row.digest is not None:
        return row.fault
    if not is_utf8(row.id) or (row.image is not None and not is_utf8(row.image.source)):
        return "a name that is no UTF-8; rename the file"
    if "text" in row.modality and (reason := _text_fault(row.text)):
        return reason
    if "image" in row.modality and row.image is None:
        return "no image"
    return str(decoded) if isinstance(decoded, BadImage) else None


def _text_fault(text: object) -> str | None:
    """Why a text cannot be used, or None."""
    # A column of a parquet file may hold anything, whatever it is called.
    if text is not None and not isinstance(text, str):
        return f"its text is no text: {text!r}"
    if text is None or not text.strip():
        return "empty text"
    return None if is_utf8(text) else "text that is not valid Unicode"


def _decoded(rows: Iterable[RawRow | BadRow], reader: ImageReader) -> Iterator[tuple[RawRow | BadRow, Decoded]]:
    """Rows in order with what their images gave, a window of them in work."""
    window: deque[tuple[RawRow | BadRow, Future[Decoded] | None]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for row in rows:
            if isinstance(row, RawRow) and row.image is not None and row.digest is None:
                window.append((row, pool.submit(_decode, row, reader)))
            else:
                window.append((row, None))
            if len(window) >= WINDOW:
                yield _finished(*window.popleft())
        while window:
            yield _finished(*window.popleft())


def _finished(row: RawRow | BadRow, work: Future[Decoded] | None) -> tuple[RawRow | BadRow, Decoded]:
    return row, (getattr(row, "digest", None), b"") if work is None else work.result()


def _decode(row: RawRow, reader: ImageReader) -> Decoded:
    """Digest and thumbnail of an image; the reason where it cannot be used."""
    assert row.image is not None
    try:
        picture = reader.picture(row.image)
    except BadImage as error:
        return error
    except TooLarge as error:
        raise TooLarge(f"{row.where}: {error.what}", got=error.got, allowed=error.allowed, todo=error.todo) from error
    drawn = row.image.source.startswith("scene:")
    return picture.digest, b"" if drawn else thumbnail(picture.image)


def _resolve(
    split: Split,
    pairs: Iterable[RawPair | BadRow],
    rows_of_id: dict[Part, dict[str, int]],
    tally: Tally,
    lost: set[str],
    cut: bool,
) -> Pairs:
    """Pairs with a score above 0 as row numbers; those that name unknown ids are bad rows.

    A pair whose item was itself bad, or whose query a limit left out, is not bad again.
    """
    table = "qrels" if split == "test" else "support_qrels"
    queries, candidates = (rows_of_id.get(part, {}) for part in SIDES_OF_SPLIT[split])
    scores: dict[tuple[int, int], int] = {}
    absent: dict[tuple[int, str], int] = {}
    unknown = 0
    for pair in pairs:
        if isinstance(pair, RawPair) and cut and pair.query not in queries:
            continue
        tally.read[table] += 1
        fault = pair if isinstance(pair, BadRow) else _unknown(pair, queries, candidates)
        if fault is None:
            assert isinstance(pair, RawPair)
            if pair.score > 0:
                scores[queries[pair.query], candidates[pair.candidate]] = pair.score
        else:
            unknown += isinstance(pair, RawPair)
            if isinstance(pair, RawPair) and pair.query in queries and pair.score > 0:
                absent[queries[pair.query], pair.candidate] = pair.score
            if isinstance(pair, RawPair) and lost & {pair.query, pair.candidate}:
                continue
            tally.reject(table, fault, listed=tally.failed[table] < LISTED_PAIRS)
    if tally.failed[table] > LISTED_PAIRS:
        tally.bad.append(BadRow(table, f"{tally.failed[table] - LISTED_PAIRS} more lines name unknown ids"))
    rows = np.array(list(scores), dtype=np.int64).reshape(-1, 2)
    missed = np.array([(row, score) for (row, _), score in absent.items()], dtype=np.int64).reshape(-1, 2)
    return Pairs(rows[:, 0], rows[:, 1], np.array(list(scores.values()), dtype=np.int64), unknown, missed)


def _unknown(pair: RawPair, queries: dict[str, int], candidates: dict[str, int]) -> BadRow | None:
    """The bad row of a pair whose ids are in no table, or None."""
    if pair.query not in queries:
        return BadRow(pair.where, f"names unknown query {pair.query!r}")
    if pair.candidate not in candidates:
        return BadRow(pair.where, f"names unknown candidate {pair.candidate!r}")
    return None
