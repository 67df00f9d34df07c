"""Own embeddings: any retriever's vectors, without its model.

A folder with, for `queries` and `candidates` (and, where there are any, `support_queries` and `support_candidates`):
- `<part>.npy` (n, d), or `<part>.parquet` with a column `embedding` (lists of one length);
- ids from `<part>.parquet` / `.jsonl` / `.csv` / `.tsv` (column id; modality and text if there) or `<part>_ids.txt`,
  one per line; without any of these the row numbers are the ids;
- `qrels.parquet` / `.tsv` / `.csv` / `.txt` / `.jsonl` (`support_qrels.*` likewise).
This is also what `retrieval-lens export` writes. A modality that is not given is that of the spec's task. Rows that are
not finite or all zero are bad. `own_embeddings` gives the vectors of a corpus in its row order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.config import CorpusSpec
from core.corpus import listings, parquet
from core.corpus.files import check_table, fingerprint, given_path
from core.corpus.mbeir import TASKS
from core.corpus.qrels import SUFFIXES as QRELS_SUFFIXES
from core.corpus.qrels import read_pairs
from core.corpus.readers import digest
from core.corpus.rows import ImageRef, RawRow, Source, Split
from core.corpus.tables import ItemTable
from core.errors import CorpusError
from core.machine import check_memory, free_memory
from core.paths import is_file, kind
from core.records import MODALITIES, PARTS, SIDE_OF_PART, BadRow, Modality, Part

COLUMN = "embedding"
_BROKEN = (
    OSError, ValueError, TypeError, KeyError, AttributeError, SyntaxError, EOFError, OverflowError, MemoryError,
    RecursionError, TokenError, struct.error, pa.ArrowException,
)  # fmt: skip
"""What numpy raises on a file that is called `.npy` and is none: its header is a Python literal."""
BLOCK = 4096
COPIES = 3
"""Of a parquet file of embeddings, in memory at once: as read, as numbers, in float32."""


def read(spec: CorpusSpec) -> Source:
    """A folder of embeddings as a source.

    Raises:
        CorpusError: queries or candidates are missing, or their widths differ.
    """
    root = given_path(spec.path or "")
    if kind(root) != "folder":
        raise CorpusError("no such folder of embeddings", got=root, todo="check path in [corpus]")
    root = root.resolve()
    parts = {part: path for part in PARTS if (path := vectors_file(root, part))}
    for part in ("queries", "candidates"):
        if part not in parts:
            raise CorpusError(
                f"no embeddings of the {part}", got=root, allowed=f"{part}.npy, or {part}.parquet with {COLUMN}"
            )
    vectors = {part: load(path) for part, path in parts.items()}
    widths = {part: v.shape[1] for part, v in vectors.items()}
    if len(set(widths.values())) > 1:
        raise CorpusError("the embeddings differ in width", got=widths, allowed="one width")
    rows: dict[Part, Callable] = {p: partial(_rows, root, p, parts[p], v, spec) for p, v in vectors.items()}
    names: dict[Split, str] = {"test": "qrels", "support": "support_qrels"}
    qrels: dict[Split, tuple[Path, ...]] = {s: f for s, name in names.items() if (f := _qrels(root, name))}
    pairs: dict[Split, Callable] = {split: partial(read_pairs, files) for split, files in qrels.items()}
    used = [
        p for p in sorted(root.iterdir()) if p.is_file() and p.stem.removesuffix("_ids") in {*PARTS, *names.values()}
    ]
    mark = fingerprint(root, (p.name for p in used), ())
    sizes: dict[Part, int] = {part: len(v) for part, v in vectors.items()}
    cut = spec.limit is not None
    return Source(f"{root.name}-task{spec.task}", root, mark, rows, pairs, cut=cut, sizes=sizes)


def own_embeddings(table: ItemTable, root: Path) -> np.ndarray:
    """(n, d) float32 vectors of a part, in row order.

    Raises:
        CorpusError: the file is gone or has fewer rows than it had.
    """
    sources, entries = table.sources()
    if not is_own(table):
        raise CorpusError(
            "these items have no embeddings of their own", got=table.part, todo="encode them with a model"
        )
    vectors = load(root / str(sources[0]).removeprefix("embedding:"))
    if entries.max() >= len(vectors):
        raise CorpusError("the embeddings have changed since the corpus was read", got=root, todo="run the spec again")
    whole = len(entries) == len(vectors) and vectors.dtype == np.float32
    return vectors if whole else np.asarray(vectors[entries], dtype=np.float32)


def is_own(table: ItemTable) -> bool:
    """Whether these items came with embeddings."""
    return len(table) > 0 and str(table.sources()[0][0]).startswith("embedding:")


def load(path: Path) -> np.ndarray:
    """(n, d) vectors of a file; a `.npy` as a memmap.

    Raises:
        CorpusError: not two-dimensional, not numbers, or unreadable.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix == ".npy" else _from_parquet(path)
    except _BROKEN as error:
        raise CorpusError(
            f"{path.name} holds no embeddings", got=f"{type(error).__name__}: {error}", allowed="(n, d) numbers"
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
        raise CorpusError(
            f"{path.name} holds no embeddings", got=f"{array.dtype} {array.shape}", allowed="(n, d) numbers"
        )
    return array


def _from_parquet(path: Path) -> np.ndarray:
    """(n, d) float32 from a column of lists; a missing list becomes a row of NaN, which is a bad row."""
    kind_of_column = pq.read_schema(path).field(COLUMN).type
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    numbers = (pa.types.is_floating, pa.types.is_integer)
    of_lists = any(fits(kind_of_column) for fits in lists)
    if not of_lists or not any(fits(kind_of_column.value_type) for fits in numbers):
        raise CorpusError(
            f"{path.name} holds no embeddings",
            got=f"a column {COLUMN} of type {kind_of_column}",
            allowed="lists of numbers, all of one length",
        )
    rows = parquet.count([path])
    check_memory(
        f"{path.name}", COPIES * os.path.getsize(path), free_memory(), "save it as .npy, which is read piece by piece"
    )
    column = pq.read_table(path, columns=[COLUMN]).column(0).combine_chunks()
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(float)  # NaN where a list is missing
    present = np.flatnonzero(~np.isnan(lengths))
    width = int(lengths[present[0]]) if len(present) else 0
    if len(odd := present[lengths[present] != width]):
        got = f"row {present[0]}: {width} numbers, row {odd[0]}: {int(lengths[odd[0]])}"
        raise CorpusError(f"{path.name} holds no embeddings", got=got, allowed="lists of numbers, all of one length")
    out = np.full((rows, width), np.nan, np.float32)
    values = column.filter(column.is_valid()).flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and such a row is bad
        out[present] = values.reshape(len(present), width)
    return out


def vectors_file(root: Path, part: Part) -> Path | None:
    """The file that holds the vectors of a part; None where there is none."""
    if is_file(path := root / f"{part}.npy"):
        return path
    path = root / f"{part}.parquet"
    return path if is_file(path) and COLUMN in parquet.columns_of(path) else None


def _qrels(root: Path, name: str) -> tuple[Path, ...]:
    """The first qrels file of that name, alone; none where there is none."""
    return tuple(path for suffix in QRELS_SUFFIXES if is_file(path := root / f"{name}{suffix}"))[:1]


def _rows(root: Path, part: Part, path: Path, vectors: np.ndarray, spec: CorpusSpec) -> Iterator[RawRow | BadRow]:
    """One raw row per vector, with its description where the folder gives one."""
    number = min(len(vectors), spec.limit or len(vectors)) if part == "queries" else len(vectors)
    usual = next(pair for pair, task in TASKS.items() if task == spec.task)[SIDE_OF_PART[part] == "candidate"]
    described = _descriptions(root, part, len(vectors), spec.allow_outside)
    block, sound = np.empty((0, 0), np.float32), np.empty(0, bool)
    for n, values in enumerate(islice(described, number)):
        if n % BLOCK == 0:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and such a row is bad
                block = np.asarray(vectors[n : n + BLOCK], dtype=np.float32)
            sound = np.asarray(np.isfinite(block).all(axis=1) & block.any(axis=1))
        if isinstance(values, BadRow):
            yield values
        else:
            yield _row(f"{path.name} row {n}", n, values, usual, block[n % BLOCK], path.name, bool(sound[n % BLOCK]))


def _row(
    where: str, n: int, values: Mapping[str, Any], usual: Modality, vector: np.ndarray, name: str, sound: bool
) -> RawRow | BadRow:
    """A row whose content is its vector: `digest` stands for it, and text and image are not looked at."""
    modality = values.get("modality") or usual
    if modality not in MODALITIES:
        return BadRow(where, f"unknown modality {modality!r}")
    fault = None if sound else "all zero" if not vector.any() else "NaN or infinity in it"
    text = values.get("text")
    text = text if isinstance(text, str) and text else None
    item_id = str(n if values.get("id") is None else values["id"])
    ref = ImageRef(f"embedding:{name}", n)
    return RawRow(where, item_id, modality, text, ref, digest=digest(vector.tobytes()), fault=fault)


def _descriptions(root: Path, part: Part, number: int, allow_outside: bool) -> Iterator[Mapping[str, Any] | BadRow]:
    """Id, modality and text of each row; a field that the folder does not give is absent.

    Raises:
        CorpusError: there are more or fewer of them than embeddings.
    """
    described = _described_in(root, part, allow_outside)
    if described is None:
        return ({} for _ in range(number))
    path, records = described
    if len(records) != number:
        raise CorpusError(
            f"{path.name} does not fit the {part}", got=f"{len(records)} rows", allowed=f"{number} embeddings"
        )
    return iter(records)


def _described_in(
    root: Path, part: Part, allow_outside: bool
) -> tuple[Path, Sequence[Mapping[str, Any] | BadRow]] | None:
    """The file that describes the rows of a part, and its records; None where there is none."""
    if is_file(path := root / f"{part}.parquet"):
        return path, [values for _, values in parquet.rows(path, ("id", "modality", "text"))]
    if listing := listings.find_listing(root, part):
        check_table(root, listing, allow_outside)
        records = listings.read_listing(listing)
        return listing, [r.values if isinstance(r, listings.Record) else r for r in records]
    if is_file(path := root / f"{part}_ids.txt"):
        check_table(root, path, allow_outside)
        try:
            ids = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path.name} cannot be read", got=error, allowed="UTF-8 text, one id per line"
            ) from error
        return path, [{"id": line.strip()} for line in ids]
    return None
