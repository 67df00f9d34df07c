"""Stream rows of parquet files with images, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.corpus.rows import ImageRef
from core.errors import CorpusError
from core.paths import NOT_REGULAR, is_file, kind

BATCH = 64
"""Rows decoded at a time."""
READ_AHEAD = 1 << 20
"""Bytes read at a time; without it a whole row group of images would be."""


def columns_of(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        CorpusError: the file is not parquet.
    """
    return schema_of(path).names


def schema_of(path: Path) -> pa.Schema:
    """Names and types of the columns, as Arrow has them.

    Raises:
        CorpusError: the file is not parquet.
    """
    return _metadata(path).schema.to_arrow_schema()


def count(paths: Sequence[Path]) -> int:
    """Rows of all files, from their footers."""
    return sum(_metadata(path).num_rows for path in paths)


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number and values of the wanted columns that exist.

    Raises:
        CorpusError: the file is not parquet, or is broken.
    """
    wanted = [name for name in columns if name in columns_of(path)]
    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_AHEAD) as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                for values in batch.to_pylist():
                    yield number, values
                    number += 1
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path} breaks off at row {number}", got=error, todo="fetch the file again") from error


def image_ref(value: Any, root: Path, path: Path, row: int) -> ImageRef | None:
    """The reference of an image cell: bytes of the file itself, or a path beside it; None where there is neither."""
    if isinstance(value, bytes):
        value = {"bytes": value}
    if not isinstance(value, dict):
        return None
    # Bytes and nothing else: a text here would be taken for the path of a file.
    if isinstance(value.get("bytes"), bytes):
        return ImageRef(f"parquet:{path.relative_to(root).as_posix()}", row, value["bytes"])
    return ImageRef(f"file:{value['path']}") if value.get("path") else None


def _metadata(path: Path) -> pq.FileMetaData:
    if not is_file(path):
        raise CorpusError(f"{path} is {NOT_REGULAR}" if kind(path) == "other" else "no such table", got=path)
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{path} is not a parquet file", got=error, todo="fetch it again") from error
