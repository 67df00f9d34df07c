"""Read a list of records from `.jsonl`, `.csv` or `.tsv`, and find the columns meant.

The names of columns are lenient (upper and lower case alike): see `FILE`, `CAPTIONS`, `ID` and the three of composed
queries.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CorpusError
from core.json_text import NotJson, json_object
from core.paths import kind
from core.records import BadRow

SUFFIXES = (".jsonl", ".csv", ".tsv")
FILE = ("file", "image", "filename", "file_name", "path", "image_path", "img")
CAPTIONS = ("captions", "caption", "text", "sentences", "sentence")
ID = ("id",)
QUERY_IMAGE = ("query_image", "reference_image", "reference", "query image", "image")
QUERY_TEXT = ("query_text", "modification", "query text", "caption", "text", "query")
TARGET_IMAGE = ("target_image", "target image", "target", "positive")


@dataclass(frozen=True)
class Record:
    """One line of a listing; `where` is `<file>:<line>`."""

    where: str
    values: Mapping[str, Any]


def find_listing(root: Path, stem: str) -> Path | None:
    """`<stem>.jsonl`, `.csv` or `.tsv` in `root`, the first of them; also one that must not be read (`check_table`)."""
    paths = (root / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if kind(path) in ("file", "other")), None)


def read_listing(path: Path) -> Iterator[Record | BadRow]:
    """The records of a listing, keys in lower case, in order.

    Raises:
        CorpusError: the file cannot be read as text.
    """
    lines = _json_lines if path.suffix.lower() == ".jsonl" else _table_lines
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            yield from lines(path, stream)
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read", got=error, allowed="UTF-8 text") from error


def table_cells(stream: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Line number and cells of each row of a table with quoted cells; the reason in place of cells for a bad row.

    A quote that is never closed would swallow all rows behind it. So reading is strict: where a quoted cell ends in
    anything but the end of the cell, or not at all (in the file, or within 131,072 characters), its first line is a bad
    row and reading goes on with the next line. Sloppy quotes that a line opens and closes are read as they always were.
    """
    lines = list(stream)
    at = 0
    while at < len(lines):
        reader = csv.reader((lines[n] for n in range(at, len(lines))), delimiter=delimiter, strict=True)
        first = at
        try:
            for cells in reader:
                if cells:
                    yield first + 1, cells
                first = at + reader.line_num
            return
        except csv.Error as error:
            yield (
                first + 1,
                _lenient(lines[first], delimiter)
                or (str(error) if "limit" in str(error) else "a quote that opens here is never closed"),
            )
            at = first + 1


def _lenient(line: str, delimiter: str) -> list[str] | None:
    """Cells of a single line whose quotes are odd yet even in number, as in `a,"b" c`; None where one stays open."""
    if line.count('"') % 2:
        return None
    try:
        return next(csv.reader([line], delimiter=delimiter), None)
    except csv.Error:
        return None


def _json_lines(path: Path, stream: Iterable[str]) -> Iterator[Record | BadRow]:
    """One JSON object per line."""
    for number, line in enumerate(stream, 1):
        if line.strip():
            where = f"{path.name}:{number}"
            try:
                yield Record(where, {key.lower(): value for key, value in json_object(line).items()})
            except NotJson as error:
                yield BadRow(where, str(error))


def _table_lines(path: Path, stream: Iterable[str]) -> Iterator[Record | BadRow]:
    """The first row names the columns."""
    header: list[str] | None = None
    for number, cells in table_cells(stream, "\t" if path.suffix.lower() == ".tsv" else ","):
        where = f"{path.name}:{number}"
        if header is None:
            if isinstance(cells, str):
                raise CorpusError(f"{path.name} has no header that can be read", got=cells, todo="mend its first line")
            header = [name.strip().lower() for name in cells]
        elif isinstance(cells, str):
            yield BadRow(where, cells)
        elif len(cells) > len(header):
            yield BadRow(where, f"{len(cells)} cells under {len(header)} columns; a caption with a comma needs quotes")
        else:
            yield Record(where, dict(zip(header, cells, strict=False)))


def column(records: Iterable[Record | BadRow], names: tuple[str, ...]) -> str | None:
    """The first of `names` that the first good record has."""
    first = next((r for r in records if isinstance(r, Record)), None)
    return None if first is None else next((name for name in names if name in first.values), None)


def texts_of(value: Any) -> list[str]:
    """A caption or a list of captions as a list; nothing at all as an empty one."""
    if value is None:
        return []
    return [v if isinstance(v, str) else "" for v in value] if isinstance(value, list) else [str(value)]
