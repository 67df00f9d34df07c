"""Read a list of records from `.jsonl`, `.csv` or `.tsv`, and find the columns meant.

The names of columns are lenient (upper and lower case alike): see `FILE`, `CAPTIONS`, `ID` and the three of composed
queries.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CorpusError
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
    """`<stem>.jsonl`, `.csv` or `.tsv` in `root`, the first of them."""
    return next((path for suffix in SUFFIXES if (path := root / f"{stem}{suffix}").is_file()), None)


def read_listing(path: Path) -> Iterator[Record | BadRow]:
    """The records of a listing, keys in lower case, in order.

    Raises:
        CorpusError: the file cannot be read as text.
    """
    lines = _json_lines if path.suffix.lower() == ".jsonl" else _table_lines
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            yield from lines(path, stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} cannot be read", got=error, allowed="UTF-8 text") from error


def _json_lines(path: Path, stream: Iterable[str]) -> Iterator[Record | BadRow]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            values = json.loads(line)
        except ValueError as error:
            yield BadRow(where, f"not JSON: {error}")
            continue
        known = isinstance(values, dict)
        yield Record(where, {k.lower(): v for k, v in values.items()}) if known else BadRow(where, "not a JSON object")


def _table_lines(path: Path, stream: Iterable[str]) -> Iterator[Record | BadRow]:
    reader = csv.reader(stream, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
    header = [name.strip().lower() for name in next(reader, [])]
    for cells in reader:
        where = f"{path.name}:{reader.line_num}"
        if not cells:
            continue
        if len(cells) > len(header):
            yield BadRow(where, f"{len(cells)} cells under {len(header)} columns; a caption with a comma needs quotes")
            continue
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
