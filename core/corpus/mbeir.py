"""M-BEIR as published for the study, and anything laid out like it: three tables, one row per item.

- `query-*.parquet` and `corpus-*.parquet`: id, modality ("text", "image" or "image,text"), text, image (struct of bytes
  and path);
- `qrels-*.parquet` (or any form that `qrels.py` reads): query-id, corpus-id, score;
- also found: `query.parquet`, `query/test-*.parquet` with `corpus/corpus-*.parquet` (as on the hub),
  `data/query-*.parquet`, `queries-*`; qrels in `qrels/`.

The support split comes from `train/` or `support/` (same names inside) or from `train-` files: its first 10,000
queries; support candidates from its own corpus, else those rows of the pool that its qrels name. A limit cuts the
queries; the pool stays whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from core.config import CorpusSpec
from core.corpus import hub, parquet
from core.corpus.files import fingerprint
from core.corpus.qrels import SUFFIXES as QRELS_SUFFIXES
from core.corpus.qrels import read_pairs
from core.corpus.rows import RawPair, RawRow, Source, Split
from core.corpus.tables import modality_of
from core.errors import CorpusError
from core.paths import kind
from core.records import MODALITIES, BadRow, Modality, Part

SUPPORT_QUERIES = 10_000
COLUMNS = ("id", "_id", "modality", "text", "image")
WORDS = {"query": ("query", "queries"), "corpus": ("corpus", "candidates"), "qrels": ("qrels",)}
TASKS: dict[tuple[Modality, Modality], int] = {
    ("text", "image"): 1,
    ("text", "text"): 2,
    ("text", "image,text"): 3,
    ("image", "text"): 4,
    ("image", "image"): 5,
    ("image,text", "text"): 6,
    ("image,text", "image"): 7,
    ("image,text", "image,text"): 8,
}
"""Task of M-BEIR by the modality of queries and candidates."""
SAMPLE = 256


@dataclass(frozen=True)
class Layout:
    """The files of one split."""

    query: tuple[Path, ...]
    corpus: tuple[Path, ...]
    qrels: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return self.query + self.corpus + self.qrels


def read(spec: CorpusSpec) -> Source:
    """An M-BEIR folder as a source of its task.

    Raises:
        CorpusError: a table is missing, or the items are not of the task that the spec names.
    """
    root = hub.locate(spec.path or "")
    test = layout(root, "test")
    for what in ("query", "corpus", "qrels"):
        if not getattr(test, what):
            raise CorpusError(f"no {what} table in the folder", got=root, allowed=f"{what}-*.parquet")
    implied = implied_task(test)
    if implied not in {None, spec.task}:
        raise CorpusError(
            "these items are of another task", got=f"task = {spec.task}", allowed=implied, todo=f"set task = {implied}"
        )
    return read_tables(spec, root)


def read_tables(spec: CorpusSpec, root: Path) -> Source:
    """The tables of a folder as a source, whatever task their rows are of."""
    test, support = layout(root, "test"), layout(root, "support")
    rows: dict[Part, Callable] = {
        "queries": lambda: islice(_items(root, test.query), spec.limit),
        "candidates": partial(_items, root, test.corpus),
    }
    pairs: dict[Split, Callable] = {"test": partial(read_pairs, test.qrels)}
    _add_support(root, test, support, rows, pairs)
    count = parquet.count(test.query)
    sizes: dict[Part, int] = {"queries": min(spec.limit or count, count), "candidates": parquet.count(test.corpus)}
    mark = fingerprint(root, (p.relative_to(root).as_posix() for p in test.files + support.files), ())
    return Source(_name(root, spec), root, mark, rows, pairs, cut=spec.limit is not None, sizes=sizes)


def layout(root: Path, split: Split) -> Layout:
    """Which files of a folder hold what."""
    if split == "test":
        return Layout(*(_files(root, words, "test") for words in WORDS.values()))
    for base, prefix in ((root / "train", ""), (root / "support", ""), (root, "train"), (root, "support")):
        tables = Layout(*(_files(base, words, prefix or "test") for words in WORDS.values()))
        if tables.query and (prefix or base != root):
            return tables
    return Layout((), (), ())


def implied_task(test: Layout) -> int | None:
    """The task that the first rows of both tables say; None where they are of mixed modality."""
    kinds = [_kinds(paths) for paths in (test.query, test.corpus)]
    if any(len(kind) != 1 for kind in kinds):
        return None
    return TASKS.get((kinds[0].pop(), kinds[1].pop()))


def is_mixed(test: Layout) -> bool:
    """Whether the first rows of the pool are of several modalities, as those of a union pool are."""
    return len(_kinds(test.corpus)) > 1


def _kinds(paths: Sequence[Path]) -> set[Any]:
    """Modalities of the first rows of a table."""
    return {_modality(values) for _, values in islice(parquet.rows(paths[0], ("modality",)), SAMPLE)}


def _files(base: Path, words: Sequence[str], split: str) -> tuple[Path, ...]:
    """Files of one table: the first pattern that finds any."""
    suffixes = QRELS_SUFFIXES if words == WORDS["qrels"] else (".parquet",)
    for word in words:
        patterns = [f"{split}-{word}-*", f"{word}/{split}-*", f"{word}/{split}.*"]
        if split == "test":
            patterns += [f"{word}-*", f"{word}.*", f"data/{word}-*", f"{word}/{word}-*"]
        for pattern in patterns:
            if files := sorted(p for p in base.glob(pattern) if p.suffix in suffixes and kind(p) != "folder"):
                return tuple(files)
    return ()


def _items(root: Path, paths: Sequence[Path], only: frozenset[str] | None = None) -> Iterator[RawRow | BadRow]:
    for path in paths:
        name = path.relative_to(root).as_posix()
        for number, values in parquet.rows(path, COLUMNS):
            item = _item(f"{name} row {number}", values, root, path, number)
            if only is None or (isinstance(item, RawRow) and item.id in only):
                yield item


def _item(where: str, values: dict[str, Any], root: Path, path: Path, number: int) -> RawRow | BadRow:
    """One row of a table; a bad row where it has no id or an unknown modality."""
    item_id = values.get("id", values.get("_id"))
    if item_id is None:
        return BadRow(where, "no id")
    text, image = values.get("text"), parquet.image_ref(values.get("image"), root, path, number)
    modality = _modality(values) if values.get("modality") else modality_of(text, image)
    if modality not in MODALITIES:
        return BadRow(where, f"unknown modality {values['modality']!r}")
    return RawRow(
        where,
        str(item_id),
        modality,
        text if "text" in modality else None,
        image if "image" in modality else None,
    )


def _modality(values: dict[str, Any]) -> Any:
    """The modality as it is written here: `text,image` is `image,text`."""
    return ",".join(sorted(part.strip() for part in str(values.get("modality") or "").split(",")))


def _add_support(
    root: Path, test: Layout, support: Layout, rows: dict[Part, Callable], pairs: dict[Split, Callable]
) -> None:
    """The support split, where the folder has one: rows and pairs."""
    if not support.query:
        return
    rows["support_queries"] = lambda: islice(_items(root, support.query), SUPPORT_QUERIES)
    if not support.qrels:
        return
    rows["support_candidates"] = lambda: _items(root, support.corpus or test.corpus, _named(support))
    pairs["support"] = lambda: _support_pairs(support)


def _named(support: Layout) -> frozenset[str]:
    """Candidates that the pairs of the support queries name."""
    return frozenset(pair.candidate for pair in _support_pairs(support) if isinstance(pair, RawPair))


def _support_pairs(support: Layout) -> Iterator[RawPair | BadRow]:
    """Pairs of the support queries that are taken; the training split has many more."""
    taken = set(islice(_ids(support.query), SUPPORT_QUERIES))
    return (p for p in read_pairs(support.qrels) if isinstance(p, BadRow) or p.query in taken)


def _ids(paths: Sequence[Path]) -> Iterator[str]:
    """Ids of a table, in order."""
    for path in paths:
        for _, values in parquet.rows(path, ("id", "_id")):
            yield str(values.get("id", values.get("_id")))


def _name(root: Path, spec: CorpusSpec) -> str:
    name = hub.short_name(spec.path) if spec.path and hub.is_hub(spec.path) else root.name
    return name if f"task{spec.task}" in name else f"{name}-task{spec.task}"
