"""Own embeddings: any retriever's vectors, without its model.

A folder with, for `queries` and `candidates` (and, where there are any, `support_queries` and `support_candidates`):
- `<part>.npy` (n, d), or a table or index of `vectors.py`: parquet, Arrow, faiss, exports of vector stores;
- ids from `<part>.parquet` / `.arrow` / `.feather` / `.jsonl` / `.csv` / `.tsv` (column id; modality and text if there,
  or in a column `payload` or `metadata`) or `<part>_ids.txt`, one per line; without any of these those of a faiss
  index, else the row numbers;
- `qrels.parquet` / `.tsv` / `.csv` / `.txt` / `.jsonl` (`support_qrels.*` likewise).
This is also what `retrieval-lens export` writes. A modality that is not given is that of the spec's task; with task 0
(a mixed pool) it must be given. Rows that are not finite or all zero are bad. `own_embeddings` gives the vectors of a
corpus in its row order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from core.config import CorpusSpec
from core.corpus import listings, vectors
from core.corpus.files import check_table, fingerprint, given_path
from core.corpus.mbeir import TASKS
from core.corpus.qrels import SUFFIXES as QRELS_SUFFIXES
from core.corpus.qrels import read_pairs
from core.corpus.readers import digest
from core.corpus.rows import ImageRef, RawRow, Source, Split
from core.corpus.tables import ItemTable
from core.errors import CorpusError
from core.json_text import NotJson, json_object
from core.paths import is_file, kind
from core.records import MODALITIES, PARTS, SIDE_OF_PART, BadRow, Modality, Part

BLOCK = 4096
PAYLOADS = ("payload", "metadata")
"""Columns, structs or JSON, in which a vector store keeps what it was given beside the vector."""
IDS, TEXTS = ("id", "_id"), ("text", "caption", "content", "document")
"""What id and text are called; TEXTS beyond the first only in a payload."""


def read(spec: CorpusSpec) -> Source:
    """A folder of embeddings as a source.

    Raises:
        CorpusError: queries or candidates are missing, or their widths differ.
    """
    root = given_path(spec.path or "")
    if kind(root) != "folder":
        raise CorpusError("no such folder of embeddings", got=root, todo="check path in [corpus]")
    root = root.resolve()
    parts = {part: path for part in PARTS if (path := vectors.find(root, part))}
    for part in ("queries", "candidates"):
        if part not in parts:
            raise CorpusError(
                f"no embeddings of the {part}", got=root, allowed=f"{part}{{{', '.join(vectors.SUFFIXES)}}}"
            )
    loaded = {part: vectors.load(path) for part, path in parts.items()}
    widths = {part: v.shape[1] for part, v in loaded.items()}
    if len(set(widths.values())) > 1:
        raise CorpusError("the embeddings differ in width", got=widths, allowed="one width")
    rows: dict[Part, Callable] = {p: partial(_rows, root, p, parts[p], v, spec) for p, v in loaded.items()}
    names: dict[Split, str] = {"test": "qrels", "support": "support_qrels"}
    qrels: dict[Split, tuple[Path, ...]] = {s: f for s, name in names.items() if (f := _qrels(root, name))}
    pairs: dict[Split, Callable] = {split: partial(read_pairs, files) for split, files in qrels.items()}
    used = [
        p for p in sorted(root.iterdir()) if p.is_file() and p.stem.removesuffix("_ids") in {*PARTS, *names.values()}
    ]
    mark = fingerprint(root, (p.name for p in used), ())
    sizes: dict[Part, int] = {part: len(v) for part, v in loaded.items()}
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
    loaded = vectors.load(root / str(sources[0]).removeprefix("embedding:"))
    if entries.max() >= len(loaded):
        raise CorpusError("the embeddings have changed since the corpus was read", got=root, todo="run the spec again")
    whole = len(entries) == len(loaded) and loaded.dtype == np.float32
    return loaded if whole else np.asarray(loaded[entries], dtype=np.float32)


def is_own(table: ItemTable) -> bool:
    """Whether these items came with embeddings."""
    return len(table) > 0 and str(table.sources()[0][0]).startswith("embedding:")


def _qrels(root: Path, name: str) -> tuple[Path, ...]:
    """The first qrels file of that name, alone; none where there is none."""
    return tuple(path for suffix in QRELS_SUFFIXES if is_file(path := root / f"{name}{suffix}"))[:1]


def _rows(root: Path, part: Part, path: Path, loaded: np.ndarray, spec: CorpusSpec) -> Iterator[RawRow | BadRow]:
    """One raw row per vector, with its description where the folder gives one."""
    number = min(len(loaded), spec.limit or len(loaded)) if part == "queries" else len(loaded)
    pair = next((pair for pair, task in TASKS.items() if task == spec.task), None)
    usual = None if pair is None else pair[SIDE_OF_PART[part] == "candidate"]
    described = _descriptions(root, part, path, len(loaded), spec.allow_outside)
    block, sound = np.empty((0, 0), np.float32), np.empty(0, bool)
    for n, values in enumerate(islice(described, number)):
        if n % BLOCK == 0:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and such a row is bad
                block = np.asarray(loaded[n : n + BLOCK], dtype=np.float32)
            sound = np.asarray(np.isfinite(block).all(axis=1) & block.any(axis=1))
        if isinstance(values, BadRow):
            yield values
        else:
            yield _row(f"{path.name} row {n}", n, values, usual, block[n % BLOCK], path.name, bool(sound[n % BLOCK]))


def _row(
    where: str, n: int, values: Mapping[str, Any], usual: Modality | None, vector: np.ndarray, name: str, sound: bool
) -> RawRow | BadRow:
    """A row whose content is its vector: `digest` stands for it, and text and image are not looked at."""
    modality = values.get("modality") or usual
    if modality not in MODALITIES:
        reason = "no modality; task 0 implies none" if modality is None else f"unknown modality {modality!r}"
        return BadRow(where, reason)
    fault = None if sound else "all zero" if not vector.any() else "NaN or infinity in it"
    text = values.get("text")
    text = text if isinstance(text, str) and text else None
    item_id = str(n if values.get("id") is None else values["id"])
    ref = ImageRef(f"embedding:{name}", n)
    return RawRow(where, item_id, modality, text, ref, digest=digest(vector.tobytes()), fault=fault)


def _descriptions(
    root: Path, part: Part, path: Path, number: int, allow_outside: bool
) -> Iterator[Mapping[str, Any] | BadRow]:
    """Id, modality and text of each row; a field that the folder does not give is absent.

    Raises:
        CorpusError: there are more or fewer of them than embeddings.
    """
    described = _described_in(root, part, path, allow_outside)
    if described is None:
        return ({} for _ in range(number))
    path, records = described
    if len(records) != number:
        raise CorpusError(
            f"{path.name} does not fit the {part}", got=f"{len(records)} rows", allowed=f"{number} embeddings"
        )
    return iter(records)


def _described_in(
    root: Path, part: Part, path: Path, allow_outside: bool
) -> tuple[Path, Sequence[Mapping[str, Any] | BadRow]] | None:
    """The file that describes the rows of a part, and its records; None where there is none.

    Args:
        path: the file of the vectors; a table describes its own rows.
    """
    own = path if path.suffix in vectors.ARROW else root / f"{part}.parquet"
    if is_file(own):
        return own, [_described(values) for values in vectors.rows(own, (*IDS, "modality", "text", *PAYLOADS))]
    if names := vectors.ids(path):
        return path, [{"id": name} for name in names]
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


def _described(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Id, modality and text of a row of a table: its own columns first, then what its payload says."""
    payload: dict[str, Any] = {}
    for name in PAYLOADS:
        held = values.get(name)
        if isinstance(held, str):
            with suppress(NotJson):  # a text that is no JSON is no payload
                held = json_object(held)
        payload |= held if isinstance(held, dict) else {}
    found = {"id": next((held for name in IDS if (held := values.get(name)) is not None), payload.get("id"))}
    for key, names in (("modality", ("modality",)), ("text", TEXTS)):
        own = values.get(key)
        found[key] = own if own is not None else next((payload[name] for name in names if payload.get(name)), None)
    return found
