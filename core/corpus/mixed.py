"""A pool of several modalities: texts, images and items of both together, in tables of one line per item.

Two layouts, as published:

- a folder with `queries.jsonl`, a pool (`mixed_corpus`, `corpus` or `candidates`, the first that is there) and qrels
  (`qrels.tsv`, or the only table in `qrels/`), as MixBench has it (Li et al. 2025, arXiv 2507.19054). `support/` or
  `train/` with the same names inside is the support split, and takes the pool of the folder where it has none;
- a query file below `query/SPLIT/` of M-BEIR as first published (Wei et al. 2023, arXiv 2311.17136): the pool is the
  union pool of that split below `cand_pool/`, the pairs are `qrels/SPLIT/NAME_qrels.txt`, else the query's own list of
  positive candidates. The file of the `val` split, where it is there, is the support split.

Columns go by several names (`ID`, `TEXT`, `IMAGE`); `.csv` and `.tsv` do as well as `.jsonl`. An image is a path below
the folder. The modality is what a line holds, unless it names one. Semantic equivalence tuples (OmniSET of MMEB-V3,
arXiv 2604.23321) fit the first layout: one line per modality of each tuple, and qrels that name the wanted one.

The task is 0: no single task of M-BEIR. A limit cuts the queries; the pool stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from core.config import CorpusSpec
from core.corpus import listings
from core.corpus.files import check_table, fingerprint, given_path
from core.corpus.qrels import SUFFIXES as QRELS_SUFFIXES
from core.corpus.qrels import read_pairs
from core.corpus.rows import ImageRef, RawPair, RawRow, Source, Split
from core.corpus.tables import modality_of
from core.errors import CorpusError
from core.paths import is_file, kind
from core.records import MODALITIES, BadRow, Part

TASK = 0
ID = ("_id", "id", "query_id", "corpus_id", "query-id", "corpus-id", "qid", "did")
TEXT = ("text", "txt", "query_text", "query_txt", "corpus_text", "caption")
IMAGE = ("image", "img_path", "query_image", "query_img_path", "corpus_image", "image_path", "file")
MODALITY = ("modality", "query_modality")
POSITIVES = "pos_cand_list"
POOLS = ("mixed_corpus", "corpus", "candidates")
SUPPORT_FOLDERS = ("support", "train")
SUPPORT_QUERIES = 10_000
SAMPLE = 256
"""Rows that are looked at to tell which source a folder is."""
ADDRESSES = ("http://", "https://", "data:")


@dataclass(frozen=True)
class Tables:
    """The files of one split; no qrels: the queries name their own positives."""

    queries: Path
    pool: Path
    qrels: tuple[Path, ...]


def read(spec: CorpusSpec) -> Source:
    """A mixed pool as a source.

    Raises:
        CorpusError: a table is missing, cannot be read or must not be; or another task is named.
    """
    if spec.task != TASK:
        todo = "set task = 0 in [corpus]"
        raise CorpusError("a pool of several modalities has no task of M-BEIR", got=spec.task, allowed=TASK, todo=todo)
    root, tables = locate(spec.path or "")
    for path in {path for one in tables.values() for path in (one.queries, one.pool, *one.qrels)}:
        check_table(root, path, spec.allow_outside)
    test, support = tables["test"], tables.get("support")
    rows: dict[Part, Callable] = {
        "queries": lambda: islice(_items(root, test.queries), spec.limit),
        "candidates": partial(_items, root, test.pool),
    }
    pairs: dict[Split, Callable] = {"test": partial(_pairs, test)}
    if support:
        rows["support_queries"] = lambda: islice(_items(root, support.queries), SUPPORT_QUERIES)
        rows["support_candidates"] = lambda: _named(root, support)
        pairs["support"] = lambda: _support_pairs(root, support)
    used = sorted({p.relative_to(root).as_posix() for t in tables.values() for p in (t.queries, t.pool, *t.qrels)})
    images = sorted({row.image.source[5:] for t in tables.values() for row in _rows_of(root, t) if row.image})
    mark = fingerprint(root, [*used, *images], ())
    return Source(f"{root.name}-mixed", root, mark, rows, pairs, cut=spec.limit is not None)


def find(root: Path) -> bool:
    """Whether a folder is laid out like this, and holds more than texts: `mixed_corpus`, or an image among the first
    rows. A pool of texts alone is a `beir` folder."""
    queries = listings.find_listing(root, "queries")
    pools = [path for name in POOLS if (path := listings.find_listing(root, name))]
    if queries is None or not pools:
        return False
    rows = (row for path in (pools[0], queries) for row in islice(_items(root, path), SAMPLE))
    return pools[0].stem == POOLS[0] or any(isinstance(row, RawRow) and row.image for row in rows)


def locate(path: str) -> tuple[Path, dict[Split, Tables]]:
    """The folder that images are below, and the tables of each split.

    Raises:
        CorpusError: there is no such folder, or a table is missing.
    """
    given = given_path(path)
    if is_file(given):
        return _union_pool(given.resolve())
    if kind(given) != "folder":
        raise CorpusError("no such corpus", got=given, todo="check path in [corpus]")
    root = given.resolve()
    test = _in_folder(root)
    if test is None:
        allowed = f"queries.jsonl beside one of {', '.join(f'{name}.jsonl' for name in POOLS)}"
        raise CorpusError("no queries and pool in the folder", got=root, allowed=allowed)
    if not test.qrels:
        raise CorpusError("no qrels in the folder", got=root, allowed="qrels.tsv, or one table in qrels/")
    tables: dict[Split, Tables] = {"test": test}
    support = next((t for name in SUPPORT_FOLDERS if (t := _in_folder(root / name, test.pool)) and t.qrels), None)
    return root, tables | ({"support": support} if support else {})


def _in_folder(root: Path, pool: Path | None = None) -> Tables | None:
    """Queries, pool and qrels of one folder; `pool`: the one to take where it has none of its own."""
    queries = listings.find_listing(root, "queries")
    pool = next((p for name in POOLS if (p := listings.find_listing(root, name))), pool)
    if queries is None or pool is None:
        return None
    beside = [path for suffix in QRELS_SUFFIXES if is_file(path := root / f"qrels{suffix}")]
    inside = sorted(path for path in (root / "qrels").glob("*") if path.suffix in QRELS_SUFFIXES and is_file(path))
    if not beside and len(inside) > 1:
        test = [path for path in inside if path.stem == "test"]
        if not test:
            names = ", ".join(path.name for path in inside)
            raise CorpusError("several qrels", got=names, todo="leave one, or call it test.tsv")
        inside = test
    return Tables(queries, pool, tuple((beside or inside)[:1]))


def _union_pool(queries: Path) -> tuple[Path, dict[Split, Tables]]:
    """M-BEIR's own layout, from the path of a query file."""
    split, root = queries.parent.name, queries.parent.parent.parent
    test = _of_split(root, queries, split)
    if queries.parent.parent.name != "query" or test is None:
        raise CorpusError(
            "no union pool beside these queries",
            got=queries,
            allowed="query/test/NAME.jsonl with cand_pool/global/mbeir_union_test_cand_pool.jsonl",
            todo="name a folder with queries.jsonl and corpus.jsonl, or a query file of M-BEIR",
        )
    tables: dict[Split, Tables] = {"test": test}
    name = queries.name.replace(f"_{split}.", "_val.")
    beside = root / "query" / "val" / name
    support = _of_split(root, beside, "val") if split != "val" and is_file(beside) else None
    return root, tables | ({"support": support} if support else {})


def _of_split(root: Path, queries: Path, split: str) -> Tables | None:
    pools = sorted(p for p in (root / "cand_pool").glob(f"*/*union_{split}_*") if p.suffix in listings.SUFFIXES)
    qrels = root / "qrels" / split / f"{queries.stem}_qrels.txt"
    return Tables(queries, pools[0], (qrels,) if is_file(qrels) else ()) if pools else None


def _rows_of(root: Path, tables: Tables) -> Iterator[RawRow]:
    for path in (tables.queries, tables.pool):
        yield from (row for row in _items(root, path) if isinstance(row, RawRow))


def _items(root: Path, path: Path) -> Iterator[RawRow | BadRow]:
    """The items of a table, one per line."""
    for record in listings.read_listing(path):
        yield record if isinstance(record, BadRow) else _item(record)


def _item(record: listings.Record) -> RawRow | BadRow:
    name, text, image, said = (_first(record, names) for names in (ID, TEXT, IMAGE, MODALITY))
    if name is None:
        return BadRow(record.where, "no id")
    if isinstance(image, str) and image.startswith(ADDRESSES):
        return BadRow(record.where, "its image is an address; fetch it and name the file")
    if image is not None and not isinstance(image, str):
        return BadRow(record.where, "its image is no path")
    modality = modality_of(text, image) if said is None else ",".join(sorted(m.strip() for m in str(said).split(",")))
    if modality not in MODALITIES or (text is None and image is None):
        return BadRow(record.where, f"unknown modality {said!r}" if said else "neither text nor image")
    ref = ImageRef(f"file:{image}") if image is not None and "image" in modality else None
    return RawRow(record.where, str(name), modality, text if "text" in modality else None, ref)


def _first(record: listings.Record, names: tuple[str, ...]) -> Any:
    """The first of these columns that holds something; blank text counts as nothing."""
    values = (record.values.get(name) for name in names)
    return next((v for v in values if v is not None and not (isinstance(v, str) and not v.strip())), None)


def _pairs(tables: Tables) -> Iterator[RawPair | BadRow]:
    """From the qrels, else from the queries' own lists."""
    if tables.qrels:
        yield from read_pairs(tables.qrels)
        return
    for record in listings.read_listing(tables.queries):
        if isinstance(record, listings.Record):
            for positive in record.values.get(POSITIVES) or ():
                candidate = positive.get("did") if isinstance(positive, dict) else positive
                yield RawPair(record.where, str(_first(record, ID)), str(candidate))


def _support_pairs(root: Path, support: Tables) -> Iterator[RawPair | BadRow]:
    """Pairs of the support queries that are taken."""
    taken = {row.id for row in islice(_items(root, support.queries), SUPPORT_QUERIES) if isinstance(row, RawRow)}
    return (pair for pair in _pairs(support) if isinstance(pair, BadRow) or pair.query in taken)


def _named(root: Path, support: Tables) -> Iterator[RawRow | BadRow]:
    """Candidates that the pairs of the support queries name."""
    named = {pair.candidate for pair in _support_pairs(root, support) if isinstance(pair, RawPair)}
    return (row for row in _items(root, support.pool) if isinstance(row, RawRow) and row.id in named)
