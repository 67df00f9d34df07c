"""Composed queries over a folder of images (task 7): a query image with a text asks for a target image.

`queries.jsonl`, `.csv` or `.tsv` names them, one query per line; columns query_image, query_text, target_image (other
names: see `listings.py`; a target may be a list). Candidates are all images of the folder and below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.config import CorpusSpec
from core.corpus import listings
from core.corpus.files import check_table, fingerprint, image_files
from core.corpus.rows import ImageRef, RawPair, RawRow, Source
from core.errors import CorpusError
from core.records import BadRow


@dataclass(frozen=True)
class Query:
    """One line of the list."""

    where: str
    id: str
    image: str
    text: str
    targets: tuple[str, ...]


def find(root: Path) -> Path | None:
    """The list of composed queries of a folder."""
    return listings.find_listing(root, "queries")


def read(spec: CorpusSpec, root: Path, listing: Path | None) -> Source:
    """Task 7 of a folder.

    Raises:
        CorpusError: there is no list of composed queries, or it lacks a column.
    """
    path = find(root) or listing
    if path is None:
        raise CorpusError(
            "task 7 needs composed queries", got=root, allowed="queries.csv, .tsv or .jsonl in the folder"
        )
    check_table(root, path, spec.allow_outside or path == listing)
    lines = list(_queries(path))[: spec.limit]
    candidates = [p.relative_to(root).as_posix() for p in image_files(root)]
    said = (f"{q.id}|{q.image}|{q.text}|{q.targets}" for q in lines if isinstance(q, Query))
    return Source(
        f"{root.name}-task7",
        root,
        fingerprint(root, candidates, said),
        {"candidates": partial(_candidates, candidates), "queries": partial(_query_rows, lines)},
        {"test": partial(_pairs, lines)},
        sizes={"queries": len(lines), "candidates": len(candidates)},
    )


def _queries(path: Path) -> Iterator[Query | BadRow]:
    """The lines of the list as queries."""
    records = list(listings.read_listing(path))
    wanted = {
        "query image": listings.QUERY_IMAGE,
        "query text": listings.QUERY_TEXT,
        "target image": listings.TARGET_IMAGE,
    }
    columns: list[str] = []
    for what, names in wanted.items():
        column = listings.column(records, names)
        if column is None:
            raise CorpusError(f"{path.name} lacks a column for the {what}", allowed=", ".join(names))
        columns.append(column)
    for number, record in enumerate(records):
        yield record if isinstance(record, BadRow) else _query(number, record, *columns)


def _query(number: int, record: listings.Record, image: str, text: str, target: str) -> Query | BadRow:
    """One line; a bad row where it names no image or no target."""
    name = str(record.values.get(image) or "").strip()
    targets = tuple(t.strip() for t in listings.texts_of(record.values.get(target)) if t.strip())
    if not name or not targets:
        return BadRow(record.where, "names no query image" if not name else "names no target image")
    query_id = str(record.values.get("id") or f"q{number}")
    return Query(record.where, query_id, name, str(record.values.get(text) or ""), targets)


def _query_rows(queries: list[Query | BadRow]) -> Iterator[RawRow | BadRow]:
    """Image and text of each query."""
    for query in queries:
        if isinstance(query, BadRow):
            yield query
        else:
            where = f"{query.where} ({query.image})"
            yield RawRow(where, query.id, "image,text", query.text, ImageRef(f"file:{query.image}"))


def _candidates(files: list[str]) -> Iterator[RawRow]:
    """Every image of the folder."""
    for name in files:
        yield RawRow(name, name, "image", image=ImageRef(f"file:{name}"))


def _pairs(queries: list[Query | BadRow]) -> Iterator[RawPair]:
    """Every query with each of its targets."""
    for query in queries:
        if isinstance(query, Query):
            for target in query.targets:
                yield RawPair(query.where, query.id, target)
