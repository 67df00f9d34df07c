"""A BEIR folder (task 2, text -> text): corpus.jsonl, queries.jsonl and qrels/<split>.tsv, as that benchmark has them.

- corpus.jsonl: `_id`, `title`, `text`; a document is its title and its text with a blank between, as mteb joins them;
- queries.jsonl: `_id`, `text`; only queries that the split's qrels name are read, since one file holds all splits;
- qrels/test.tsv: query-id, corpus-id, score; another split by `[corpus] split`.

The support split is `qrels/train.tsv`, where it is there and is not the one asked for: its first 10,000 queries, and
the documents that they name. A limit cuts the queries; the pool stays whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from core.config import CorpusSpec
from core.corpus.files import check_table, fingerprint, given_path
from core.corpus.qrels import read_pairs
from core.corpus.rows import RawPair, RawRow, Source, Split
from core.errors import CorpusError
from core.json_text import NotJson, json_object
from core.paths import is_file, kind
from core.records import BadRow, Part

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels"
SUPPORT_QUERIES = 10_000


def read(spec: CorpusSpec) -> Source:
    """A BEIR folder as a source of task 2.

    Raises:
        CorpusError: a file is missing, or there are no qrels of the split.
    """
    root = given_path(spec.path or "").resolve()
    if not found(root):
        allowed = f"{CORPUS}, {QUERIES} and {QRELS}/test.tsv"
        raise CorpusError("this is no BEIR folder", got=root, allowed=allowed, todo="check path in [corpus]")
    split = _split(root, spec.split)
    files = [root / CORPUS, root / QUERIES, *([split, support] if (support := _support(root, split)) else [split])]
    for path in files:
        check_table(root, path, spec.allow_outside)
    parts: dict[Part, partial] = {
        "queries": partial(_queries, root, split, spec.limit),
        "candidates": partial(_documents, root / CORPUS, None),
    }
    pairs: dict[Split, partial] = {"test": partial(read_pairs, (split,))}
    if support:
        parts["support_queries"] = partial(_support_queries, root, support)
        parts["support_candidates"] = partial(_support_documents, root, support)
        pairs["support"] = partial(_support_pairs, root, support)
    mark = fingerprint(root, (path.relative_to(root).as_posix() for path in files), ())
    return Source(f"{root.name}-{split.stem}", root, mark, parts, pairs, cut=spec.limit is not None)


def found(root: Path) -> bool:
    """Whether a folder is laid out like this."""
    return all(is_file(root / name) for name in (CORPUS, QUERIES)) and kind(root / QRELS) == "folder"


def _split(root: Path, asked: str | None) -> Path:
    """The qrels of the split: as asked for, else `test`, else the only one."""
    there = {path.stem: path for path in sorted((root / QRELS).glob("*.tsv"))}
    name = asked or ("test" if "test" in there else next(iter(there), "test") if len(there) == 1 else "test")
    if name not in there:
        todo = "set split in [corpus]" if there else f"put {QRELS}/{name}.tsv there"
        raise CorpusError(f"no qrels of split {name!r}", got=root, allowed=", ".join(there) or "test.tsv", todo=todo)
    return there[name]


def _support(root: Path, split: Path) -> Path | None:
    """The qrels of the training queries, where they are others than those asked for."""
    path = root / QRELS / "train.tsv"
    return path if is_file(path) and path != split else None


def _queries(root: Path, qrels: Path, most: int | None) -> Iterator[RawRow | BadRow]:
    """The queries that the qrels name, in the order of their file."""
    named = {pair.query for pair in read_pairs((qrels,)) if isinstance(pair, RawPair)}
    return islice(_rows(root / QUERIES, named, ""), most)


def _documents(path: Path, only: set[str] | None) -> Iterator[RawRow | BadRow]:
    return _rows(path, only, "title")


def _support_queries(root: Path, qrels: Path) -> Iterator[RawRow]:
    """The first training queries. Lines of these files that cannot be read are bad rows of the test split already."""
    return (row for row in _queries(root, qrels, SUPPORT_QUERIES) if isinstance(row, RawRow))


def _support_documents(root: Path, qrels: Path) -> Iterator[RawRow]:
    """The documents that the support queries' pairs name."""
    named = {pair.candidate for pair in _support_pairs(root, qrels) if isinstance(pair, RawPair)}
    return (row for row in _documents(root / CORPUS, named) if isinstance(row, RawRow))


def _support_pairs(root: Path, qrels: Path) -> Iterator[RawPair | BadRow]:
    """Pairs of the support queries that are taken."""
    taken = {row.id for row in _support_queries(root, qrels)}
    return (pair for pair in read_pairs((qrels,)) if isinstance(pair, BadRow) or pair.query in taken)


def _rows(path: Path, only: set[str] | None, title: str) -> Iterator[RawRow | BadRow]:
    """One text per line.

    Args:
        only: ids to read; None: all of them. Lines that cannot be read count in either case.
        title: column that stands before the text; "" for none.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    row = _row(f"{path.name}:{number}", line, title)
                    if only is None or isinstance(row, BadRow) or row.id in only:
                        yield row
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path} cannot be read", got=error, allowed="UTF-8 text, one JSON object per line"
        ) from error


def _row(where: str, line: str, title: str) -> RawRow | BadRow:
    """One line as an item; a bad row where it has no id, or no text."""
    try:
        values = json_object(line)
    except NotJson as error:
        return BadRow(where, str(error))
    item_id, words = values.get("_id"), [values.get(title) or "", values.get("text")]
    if item_id is None or isinstance(item_id, dict | list):
        return BadRow(where, "no _id")
    if not all(isinstance(text, str) for text in words):
        return BadRow(where, "its text is no text")
    return RawRow(where, str(item_id), "text", " ".join(str(text) for text in words).strip())
