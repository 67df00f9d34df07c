"""Corpora: read from any source into one folder of the cache, then looked up without the source.

    corpus = build_corpus(CorpusSpec(source="demo"), Store.default(), NoProgress())
    corpus.items("queries").item(0)         # the whole item, its image read again from the source
    corpus.items("queries").thumbnail(0)    # from the cache
    corpus.qrels().pairs                    # query row, candidate row

A corpus folder holds, per part, `<part>.parquet` and thumbnails (see `tables.py`); `qrels.parquet`,
`support_qrels.parquet`, `bad.parquet`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.artefact import origins_of
from core.config import CorpusSpec
from core.corpus.carried import Carried
from core.corpus.ingest import Tally, check_size, ingest
from core.corpus.readers import ImageReader
from core.corpus.rows import Source, Split
from core.corpus.sources import open_source, settled
from core.corpus.tables import ItemTable, PartCounter, PartWriter
from core.errors import CorpusError
from core.fingerprint import stage_key
from core.progress import NoProgress, Progress
from core.records import PARTS, BadRow, CorpusReport, Part, Qrels
from core.store import Draft, Folder, Store

QRELS_FILES: dict[Split, str] = {"test": "qrels.parquet", "support": "support_qrels.parquet"}
ABSENT: dict[Split, str] = {"test": "absent", "support": "support_absent"}
"""Relevant candidates that are named and in no table, by query row and score; no file where there are none."""
BAD_FILE = "bad.parquet"
STAGE = "corpus"
LEAST_BYTES = 32
"""Of the cache per item, without its picture: what is sure to be needed before anything is read."""


class Corpus:
    """A corpus of the cache. Safe to share between threads.

    Attributes:
        benchmark: which task of a benchmark it is and how that is scored (`mteb_tasks.Benchmark`); empty for others.
    """

    def __init__(self, folder: Folder, max_bad_share: float = 1.0, carried: Carried | None = None) -> None:
        self.folder = folder
        self.key = folder.key
        self.name: str = folder.facts["name"]
        self.task: int = folder.facts["task"]
        # The root of a corpus that came in an archive is a path of another machine: nothing is looked up there.
        root = folder.facts["root"] if carried is None else None
        # What the cache holds itself is named from its root on, so that the cache may be moved.
        root = None if root is None else folder.path.parents[1] / root
        self._reader = ImageReader(root, folder.facts.get("allow_outside", False))
        self._max_bad_share = max_bad_share
        self.benchmark: Mapping[str, Any] = folder.facts.get("benchmark", {})
        self._qrels: dict[Split, Qrels] = {}
        self._tables = {p: ItemTable(folder, p, self._reader, self.task, carried) for p in PARTS if self.has(p)}

    def has(self, part: Part) -> bool:
        """Whether the part exists and holds items."""
        return self.folder.facts["parts"].get(part, {"rows": 0})["rows"] > 0

    def items(self, part: Part) -> ItemTable:
        """The items of a part.

        Raises:
            CorpusError: the corpus has no such part.
        """
        if part not in self._tables:
            raise CorpusError(f"corpus {self.name!r} has no {part}", allowed=", ".join(self._tables))
        return self._tables[part]

    def qrels(self, split: Split = "test") -> Qrels:
        """Relevant pairs as row numbers; empty where the split has none."""
        if split not in self._qrels:
            self._qrels[split] = self._read_qrels(split)
        return self._qrels[split]

    def _read_qrels(self, split: Split) -> Qrels:
        """The pairs of a split from the folder; empty where it has none."""
        name = QRELS_FILES[split]
        if name not in self.folder.manifest["files"]:
            return Qrels(np.empty(0, np.int64), np.empty(0, np.int64))
        table = pq.read_table(self.folder.file(name), columns=["query_row", "candidate_row", "score"])
        query_rows, candidate_rows, scores = (table.column(i).to_numpy() for i in range(3))
        absent = self.folder.array(ABSENT[split]) if f"{ABSENT[split]}.npy" in self.folder.manifest["files"] else None
        return Qrels(query_rows, candidate_rows, self.folder.facts["unknown_pairs"][split], scores, absent)

    def own_embeddings(self, part: Part) -> np.ndarray | None:
        """(n, d) float32 vectors that came with the items, in row order; None where they are to be encoded by a
        model."""
        from core.corpus import embeddings

        table = self.items(part)
        root = self._reader.root
        return embeddings.own_embeddings(table, root) if root and embeddings.is_own(table) else None

    @cached_property
    def report(self) -> CorpusReport:
        """Counts, bad rows with reasons, and whether it can be used."""
        rows = pq.read_table(self.folder.file(BAD_FILE)).to_pylist()
        return _report(self.folder.facts, tuple(BadRow(**row) for row in rows), self._max_bad_share)


def build_corpus(spec: CorpusSpec, store: Store, progress: Progress | None = None) -> Corpus:
    """The corpus of a spec, from the cache or read now.

    Raises:
        CorpusError: the source is missing or cannot be used, or has more bad rows than the spec allows.
        TooLarge: it does not fit into the free memory. DiskFull: or onto the disk.
    """
    spec = settled(spec, store)
    source, progress = open_source(spec, store), progress or NoProgress()
    key_spec = _key_spec(spec, source)
    parents, origins = tuple(folder.key for folder in source.made_from), origins_of(source.made_from)
    if find_corpus(spec, source, store) is None:
        check_size(source)  # before the disk is looked at: what does not fit into memory is refused for that
    needs = sum(source.sizes.values()) * LEAST_BYTES

    def write(draft: Draft) -> None:
        _write(source, spec.task, draft, progress)

    folder = store.build(STAGE, source.name, key_spec, parents, write, needs=needs, origins=origins)
    corpus = Corpus(folder, spec.max_bad_share)
    if not corpus.report.usable:
        raise CorpusError(corpus.report.why_not, got=_examples(corpus.report.bad))
    return corpus


def find_corpus(spec: CorpusSpec, source: Source, store: Store) -> Folder | None:
    """The corpus of a spec in the cache, as its source is now; None where it has not been read yet."""
    return store.find(STAGE, stage_key(STAGE, _key_spec(spec, source), tuple(f.key for f in source.made_from)))


def _key_spec(spec: CorpusSpec, source: Source) -> dict[str, Any]:
    """What the key of a corpus is made of."""
    key_spec: dict[str, Any] = {
        "source": spec.source,
        "task": spec.task,
        "limit": spec.limit,
        "path": _root(source),
    }
    key_spec["content"] = dict(source.fingerprint)
    # Younger than the cache: not in older keys.
    return key_spec | {name: value for name in ("allow_outside", "split") if (value := getattr(spec, name))}


def open_corpus(folder: Folder, carried: Carried | None = None) -> Corpus:
    """Open a corpus of the cache; usable or not. `carried`: of a run that came in an archive."""
    return Corpus(folder, carried=carried)


def inspect_corpus(spec: CorpusSpec, progress: Progress | None = None) -> CorpusReport:
    """Read everything, decode every image, write nothing; a task of mteb is taken into the default cache first."""
    spec = settled(spec)
    source = open_source(spec)
    tally = ingest(source, lambda part: PartCounter(part, spec.task), progress or NoProgress())
    return _report(_facts(source, spec.task, tally), tuple(tally.bad), spec.max_bad_share)


def _write(source: Source, task: int, draft: Draft, progress: Progress) -> None:
    """Everything a corpus folder holds, written into the draft."""
    tally = ingest(source, lambda part: PartWriter(part, task, draft.path), progress)
    for split, pairs in tally.pairs.items():
        columns = {"query_row": pairs.query_rows, "candidate_row": pairs.candidate_rows, "score": pairs.scores}
        pq.write_table(pa.table(columns), draft.path / QRELS_FILES[split])
        if len(pairs.absent):
            draft.save(ABSENT[split], pairs.absent)
    rows = {"where": [b.where for b in tally.bad], "reason": [b.reason for b in tally.bad]}
    pq.write_table(
        pa.table(rows, schema=pa.schema([("where", pa.string()), ("reason", pa.string())])), draft.path / BAD_FILE
    )
    draft.facts.update(_facts(source, task, tally))


def _facts(source: Source, task: int, tally: Tally) -> dict[str, Any]:
    return (
        {
            "name": source.name,
            "task": task,
            "root": _root(source),
            "parts": {part: asdict(facts) for part, facts in tally.parts.items()},
            "pairs": {split: len(pairs.query_rows) for split, pairs in tally.pairs.items()},
            "unknown_pairs": {split: pairs.unknown for split, pairs in tally.pairs.items()},
            "read": dict(tally.read),
            "failed": dict(tally.failed),
        }
        | ({"allow_outside": True} if source.allow_outside else {})
        | ({"benchmark": dict(source.benchmark)} if source.benchmark else {})
    )


def _report(facts: Mapping[str, Any], bad: tuple[BadRow, ...], max_bad_share: float) -> CorpusReport:
    by_modality: dict[str, int] = {}
    sizes = {part: facts["parts"].get(part, {"rows": 0})["rows"] for part in ("queries", "candidates")}
    for part in sizes:
        for modality, count in facts["parts"].get(part, {"by_modality": {}})["by_modality"].items():
            by_modality[modality] = by_modality.get(modality, 0) + count
    why_not = _why_not(facts, sizes, max_bad_share)
    queries, candidates = sizes.values()
    return CorpusReport(queries + candidates, queries, candidates, by_modality, bad, not why_not, why_not)


def _why_not(facts: Mapping[str, Any], sizes: Mapping[str, int], max_bad_share: float) -> str:
    """Empty, or why the corpus cannot be used. The share of bad rows counts per table: the worst table decides."""
    if not sum(sizes.values()):
        return "there is no usable item in it"
    shares = {table: facts["failed"].get(table, 0) / n for table, n in facts["read"].items() if n}
    worst = max(shares, key=lambda table: shares[table])
    if shares[worst] > max_bad_share:
        counts = f"{facts['failed'][worst]} of {facts['read'][worst]} rows of its {worst.replace('_', ' ')} are bad"
        return f"{counts}, {max_bad_share:.1%} allowed; mend them or raise --max-bad-share (max_bad_share in [corpus])"
    if all(sizes.values()) and not facts["pairs"].get("test"):
        return (
            "no query has a relevant candidate in the pool; check that the ids of the qrels are those of the two tables"
        )
    return ""


def _examples(bad: tuple[BadRow, ...]) -> str | None:
    """The first three bad rows in one line, for an error; None where there is none."""
    examples = [f"{b.where}: {b.reason}" for b in bad[:3]]
    return " | ".join([*examples, f"and {len(bad) - 3} more"] if len(bad) > 3 else examples) or None


def _root(source: Source) -> str | None:
    """The source's folder as manifests and keys name it: from the root of the cache on where it lies there."""
    if source.root is None or not source.made_from:
        return None if source.root is None else str(source.root)
    return source.root.relative_to(source.made_from[0].path.parents[1]).as_posix()
