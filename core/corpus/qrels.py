"""Relevant pairs from parquet, `.tsv`, `.csv`, `.txt` (TREC) or `.jsonl`, whatever the benchmark calls its columns.

With a header: columns query-id, corpus-id, score (M-BEIR, MTEB, BEIR; other names in the tables below). Without one:
TREC's four columns (query, iteration, candidate, score) or three (query, candidate, score). A missing score counts as
1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.corpus import listings
from core.corpus.rows import RawPair
from core.errors import CorpusError
from core.json_text import NotJson, json_object
from core.paths import NOT_REGULAR, is_file, kind
from core.records import BadRow

SUFFIXES = (".parquet", ".tsv", ".csv", ".txt", ".jsonl")
QUERY = ("query-id", "query_id", "qid", "query")
CANDIDATE = ("corpus-id", "corpus_id", "candidate-id", "candidate_id", "did", "doc-id", "doc_id", "candidate")
SCORE = ("score", "relevance", "label")
HIGHEST_SCORE = 2**31
"""Grades of relevance are small whole numbers; beyond this no table of pairs could hold it."""


def read_pairs(paths: Iterable[Path]) -> Iterator[RawPair | BadRow]:
    """The pairs of several files, one after another."""
    for path in paths:
        if not is_file(path):
            raise CorpusError(f"{path} is {NOT_REGULAR}" if kind(path) == "other" else "no such qrels", got=path)
        lines = {".parquet": _parquet, ".jsonl": _json_lines}.get(path.suffix, _text)
        try:
            yield from lines(path)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise CorpusError(f"{path} cannot be read", got=error, allowed=" ".join(SUFFIXES)) from error


def _parquet(path: Path) -> Iterator[RawPair | BadRow]:
    """Pairs of a parquet file, batch by batch."""
    with pq.ParquetFile(path) as file:
        names = [_needed(path, file.schema_arrow.names, known) for known in (QUERY, CANDIDATE)]
        score = _first(file.schema_arrow.names, SCORE)
        number = 0
        for batch in file.iter_batches(columns=[*names, *([score] if score else [])]):
            columns = [batch.column(name).to_pylist() for name in names]
            scores = batch.column(score).to_pylist() if score else [1] * len(batch)
            for query, candidate, value in zip(*columns, scores, strict=True):
                yield _pair(f"{path.name} row {number}", query, candidate, value)
                number += 1


def _json_lines(path: Path) -> Iterator[RawPair | BadRow]:
    """One JSON object per line."""
    with open(path, encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            where = f"{path.name}:{number}"
            try:
                values = json_object(line)
            except NotJson as error:
                yield BadRow(where, str(error))
                continue
            query, candidate, score = (_first(values, known) for known in (QUERY, CANDIDATE, SCORE))
            named = [values[name] if name else None for name in (query, candidate)]
            yield _pair(where, named[0], named[1], values[score] if score else 1)


def _text(path: Path) -> Iterator[RawPair | BadRow]:
    """Lines of cells, with a header or without."""
    order: tuple[int, int, int | None] | None = None
    with open(path, encoding="utf-8-sig", newline="") as stream:
        for number, cells in _cells(stream, path.suffix):
            where = f"{path.name}:{number}"
            if isinstance(cells, str):
                yield BadRow(where, cells)
                continue
            if order is None:
                order, is_header = _order(path, cells)
                if is_header:
                    continue
            if len(cells) <= max(i for i in order if i is not None):
                yield BadRow(where, "too few columns")
                continue
            query, candidate, score = order
            yield _pair(where, cells[query], cells[candidate], 1 if score is None else cells[score])


def _cells(stream: Iterable[str], suffix: str) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and cells of each row; a reason in place of cells where a `.csv` leaves a quote open."""
    if suffix == ".csv":
        for number, cells in listings.table_cells(stream, ","):
            yield number, cells if isinstance(cells, str) else [cell.strip() for cell in cells]
        return
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield number, line.rstrip("\r\n").split("\t") if "\t" in line else line.split()


def _order(path: Path, cells: list[str]) -> tuple[tuple[int, int, int | None], bool]:
    """Positions of query, candidate and score, and whether this first line is a header."""
    lower = [cell.lower() for cell in cells]
    if _first(lower, QUERY) or _first(lower, CANDIDATE):
        query, candidate = (lower.index(_needed(path, lower, known)) for known in (QUERY, CANDIDATE))
        score = _first(lower, SCORE)
        return (query, candidate, lower.index(score) if score else None), True
    if len(cells) < 2:
        raise CorpusError(f"{path.name} is no table of pairs", got=cells, allowed="query, candidate, score")
    return ((0, 2, 3) if len(cells) >= 4 else (0, 1, 2 if len(cells) == 3 else None)), False


def _pair(where: str, query: Any, candidate: Any, score: Any) -> RawPair | BadRow:
    if query is None or candidate is None:
        return BadRow(where, "names no query or no candidate")
    try:
        number = int(float(1 if score is None else score))
    except (TypeError, ValueError, OverflowError):
        return BadRow(where, f"score {score!r} is no number")
    if abs(number) > HIGHEST_SCORE:
        return BadRow(where, f"score {score!r} is out of range, {HIGHEST_SCORE} allowed")
    return RawPair(where, str(query), str(candidate), number)


def _first(names: Iterable[str], known: tuple[str, ...]) -> str | None:
    names = set(names)
    return next((name for name in known if name in names), None)


def _needed(path: Path, names: Iterable[str], known: tuple[str, ...]) -> str:
    column = _first(names, known)
    if column is None:
        raise CorpusError(
            f"{path.name} lacks a column of qrels", got=", ".join(map(str, names)), allowed=" or ".join(known)
        )
    return column
