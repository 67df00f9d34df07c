"""Files of vectors, by whatever wrote them: numpy, pandas, Arrow, faiss, and exports of vector stores as parquet.

In: a file. Out: (n, d) numbers, one row per item, a missing vector as a row of NaN.
- `.npy`: a two-dimensional array.
- `.parquet`, `.arrow`, `.feather`: a column of lists of numbers (any list type, any float or integer), or of texts such
  as `[0.1,0.2]` (pgvector). Its name is one of `NAMES`, or it is the only column of lists; it may stand in a struct, as
  named vectors (Qdrant) and payloads do.
- `.faiss`, `.index`: a faiss index that holds its vectors whole: Flat, HNSW Flat, IVF Flat, each also with ids.
Knows nothing of items: `embeddings.py` puts ids and texts beside the rows.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.corpus import parquet
from core.errors import CorpusError
from core.machine import check_memory, free_memory
from core.paths import is_file

ARROW, INDEXES = (".arrow", ".feather"), (".faiss", ".index")
SUFFIXES = (".npy", ".parquet", *ARROW, *INDEXES)
NAMES = ("embedding", "embeddings", "vector", "vectors", "emb")
"""What a column of vectors is called, the first of them wins."""
HOLDERS = (*NAMES, "payload")
"""Columns of structs that are looked into."""
COPIES = 3
"""Of a table of vectors, in memory at once: as read, as numbers, in float32."""
_BROKEN = (
    OSError, ValueError, TypeError, KeyError, AttributeError, SyntaxError, EOFError, OverflowError, MemoryError,
    RecursionError, TokenError, RuntimeError, struct.error, pa.ArrowException,
)  # fmt: skip
"""What libraries raise on a file that is called like one of theirs and is none: numpy's header is a Python literal,
faiss raises RuntimeError."""
LISTS = "lists of numbers, all of one length"

Place = tuple[str, ...]
"""A column, and the fields of structs that lead to the vectors in it."""


def load(path: Path) -> np.ndarray:
    """(n, d) vectors of a file; a `.npy` as a memmap.

    Raises:
        CorpusError: not two-dimensional, not numbers, unreadable, or a faiss index without faiss. TooLarge.
    """
    readers = dict.fromkeys(INDEXES, _from_index) | dict.fromkeys((".parquet", *ARROW), _from_table)
    try:
        array = (
            np.load(path, mmap_mode="r", allow_pickle=False) if path.suffix == ".npy" else readers[path.suffix](path)
        )
    except _BROKEN as error:
        raise CorpusError(
            f"{path.name} holds no embeddings", got=f"{type(error).__name__}: {error}", allowed="(n, d) numbers"
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
        raise CorpusError(
            f"{path.name} holds no embeddings", got=f"{array.dtype} {array.shape}", allowed="(n, d) numbers"
        )
    return array


def find(root: Path, part: str) -> Path | None:
    """The file that holds the vectors of a part, the first of `SUFFIXES`; None where there is none.

    A table without a column of vectors describes the rows of another file, unless it has a column of that name: then
    `load` says what is wrong with it.
    """
    for suffix in SUFFIXES:
        path = root / f"{part}{suffix}"
        if is_file(path) and (path.suffix not in (".parquet", *ARROW) or place(path) or NAMES[0] in schema(path).names):
            return path
    return None


def ids(path: Path) -> list[str] | None:
    """Ids that a faiss index gives its rows, in the order of `load`; None where it gives none, and for other files."""
    if path.suffix not in INDEXES:
        return None
    names = _index(path)[1]
    return None if names is None else [str(name) for name in names]


def schema(path: Path) -> pa.Schema:
    """Columns of a table, parquet or Arrow.

    Raises:
        CorpusError: it is neither.
    """
    if path.suffix == ".parquet":
        return parquet.schema_of(path)
    with _arrow(path) as reader:
        return reader.schema


def rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """The values of those of the columns that there are, row by row."""
    if path.suffix == ".parquet":
        yield from (values for _, values in parquet.rows(path, columns))
        return
    with _arrow(path) as reader:
        wanted = [name for name in columns if name in reader.schema.names]
        for batch in reader.read_all().select(wanted).to_batches(max_chunksize=parquet.BATCH):
            yield from batch.to_pylist()


def place(path: Path) -> Place | None:
    """Where the vectors of a table are; None where it has none.

    Raises:
        CorpusError: several columns could be meant.
    """
    fields = list(schema(path))
    for name in NAMES:
        for field in fields:
            if field.name.lower() == name and (_is_vector(field.type) or _is_text(field.type)):
                return (field.name,)
    for name in HOLDERS:
        for field in fields:
            if field.name.lower() == name and pa.types.is_struct(field.type):
                inside = [child for child in field.type if _is_vector(child.type)]
                named = [child for child in inside if child.name.lower() in NAMES]
                if found := _only(path, [(field.name, child.name) for child in named or inside]):
                    return found
    return _only(path, [(field.name,) for field in fields if _is_vector(field.type)])


def _only(path: Path, places: list[Place]) -> Place | None:
    if len(places) > 1:
        allowed = "one of them, called embedding"
        raise CorpusError(
            f"{path.name} has several columns of vectors", got=", ".join(map(".".join, places)), allowed=allowed
        )
    return places[0] if places else None


def _is_vector(kind: pa.DataType) -> bool:
    """Whether it is a list of numbers."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    numbers = (pa.types.is_floating, pa.types.is_integer)
    return any(fits(kind) for fits in lists) and any(fits(kind.value_type) for fits in numbers)


def _is_text(kind: pa.DataType) -> bool:
    return any(fits(kind) for fits in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _from_table(path: Path) -> np.ndarray:
    """(n, d) float32 of the column of vectors."""
    where = place(path)
    if where is None:
        got = ", ".join(f"{field.name} ({field.type})" for field in schema(path))
        raise CorpusError(f"{path.name} holds no embeddings", got=got, allowed=f"a column {NAMES[0]}: {LISTS}")
    saver = "save it as .npy, which is read piece by piece"
    check_memory(path.name, COPIES * os.path.getsize(path), free_memory(), saver)
    if path.suffix == ".parquet":
        column = pq.read_table(path, columns=[where[0]]).column(0).combine_chunks()
    else:
        with _arrow(path) as reader:
            column = reader.read_all().column(where[0]).combine_chunks()
    for name in where[1:]:
        column = pc.struct_field(column, name)
    return _from_texts(path, column) if _is_text(column.type) else _from_lists(path, column)


def _from_lists(path: Path, column: pa.Array) -> np.ndarray:
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(float)  # NaN where a list is missing
    present = np.flatnonzero(~np.isnan(lengths))
    width = int(lengths[present[0]]) if len(present) else 0
    if len(odd := present[lengths[present] != width]):
        got = f"row {present[0]}: {width} numbers, row {odd[0]}: {int(lengths[odd[0]])}"
        raise CorpusError(f"{path.name} holds no embeddings", got=got, allowed=LISTS)
    out = np.full((len(column), width), np.nan, np.float32)
    values = column.filter(column.is_valid()).flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and such a row is bad
        out[present] = values.reshape(len(present), width)
    return out


def _from_texts(path: Path, column: pa.Array) -> np.ndarray:
    """Lists of numbers in brackets, as pgvector writes them."""
    lists = []
    for number, text in enumerate(column.to_pylist()):
        try:
            numbers = None if text is None else json.loads(text)
            if not (numbers is None or isinstance(numbers, list)):
                raise ValueError
            lists.append(None if numbers is None else [float(value) for value in numbers])
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            got = f"row {number}: {str(text)[:40]!r}"
            raise CorpusError(f"{path.name} holds no embeddings", got=got, allowed="texts such as [0.1,0.2]") from error
    return _from_lists(path, pa.array(lists, type=pa.list_(pa.float64())))


def _arrow(path: Path) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    """An Arrow file (feather) or, as `datasets` writes it, a stream."""
    try:
        source = pa.memory_map(str(path))
        try:
            return pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path.name} is no Arrow file", got=error, todo="save it as parquet or .npy") from error


def _from_index(path: Path) -> np.ndarray:
    """(n, d) float32 of a faiss index."""
    return _index(path)[0]


def _index(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(n, d) float32 of a faiss index in the order in which they were added, and the ids that they were given.

    Vectors that were given ids in an IVF index come in the order of these ids: such an index keeps no other.

    Raises:
        CorpusError: faiss is missing, or the index holds codes instead of vectors.
    """
    try:
        faiss: Any = import_module("faiss")  # its stubs know neither direct maps nor inverted lists
    except ImportError as error:
        todo = "pip install faiss-cpu (it comes with retrieval-lens[mteb]), or save the vectors as .npy"
        raise CorpusError(f"{path.name} needs the package faiss to be read", todo=todo) from error
    check_memory(path.name, COPIES * os.path.getsize(path), free_memory(), "save its vectors as .npy")
    # `outer` owns the memory of `held`: it must live as long.
    names, held = None, (outer := faiss.read_index(str(path)))
    if isinstance(outer, faiss.IndexIDMap | faiss.IndexIDMap2):
        names, held = faiss.vector_to_array(outer.id_map), faiss.downcast_index(outer.index)
    if isinstance(held, faiss.IndexIVFFlat):
        lists = held.invlists
        ids = [faiss.rev_swig_ptr(lists.get_ids(n), lists.list_size(n)) for n in range(held.nlist)]
        given = np.sort(np.concatenate(ids))
        if not np.array_equal(given, np.arange(held.ntotal)):
            held.set_direct_map_type(faiss.DirectMap.Hashtable)
            return np.stack([held.reconstruct(int(name)) for name in given]), given
    elif not isinstance(held, faiss.IndexFlat | faiss.IndexHNSWFlat):
        allowed = "Flat, HNSW Flat or IVF Flat, which hold their vectors whole"
        raise CorpusError(f"{path.name} holds no whole vectors", got=type(held).__name__, allowed=allowed)
    return held.reconstruct_n(0, held.ntotal), names
