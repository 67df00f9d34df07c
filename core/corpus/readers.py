"""Read an image from where its `ImageRef` says it is: a file, a row of a parquet file, or a scene of the demo world.

Used while a corpus is taken in and again whenever a full image is needed. Thread-safe. Parquet images are read by row
group and the last few groups are kept, so reading rows in rough order costs one pass over the file.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from core.corpus.files import refusal
from core.corpus.images import BadImage, load_image, read_bytes
from core.corpus.rows import ImageRef

DIGEST_BYTES = 16
CACHED_BYTES = 256 * 1024 * 1024
"""Encoded parquet images kept in memory; one row group is kept whatever its size."""


@dataclass(frozen=True)
class Picture:
    """A decoded image and the digest of its content: of the encoded bytes, or of the pixels for a scene."""

    image: Image.Image
    digest: bytes


def digest(data: bytes) -> bytes:
    """First 16 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


class ImageReader:
    """Images below one root (None where all are generated); files outside it only where that is allowed."""

    def __init__(self, root: Path | None, allow_outside: bool = False) -> None:
        self.root, self._allow_outside = root, allow_outside
        self._tables: dict[str, _ParquetImages] = {}
        self._lock = threading.Lock()

    def picture(self, ref: ImageRef) -> Picture:
        """The upright RGB image.

        Raises:
            BadImage: it is not there (any more), must not be read, or cannot be decoded.
            TooLarge: its pixels do not fit into the free memory.
        """
        kind, _, name = ref.source.partition(":")
        if kind == "scene":
            return scene_picture(name, ref.entry)
        data = self.encoded(ref)
        return Picture(load_image(data), digest(data))

    def encoded(self, ref: ImageRef) -> bytes:
        """The bytes of the file, or of the cell of a table; not of a scene, which is drawn.

        Raises:
            BadImage: it is not there (any more), or must not be read.
        """
        kind, _, name = ref.source.partition(":")
        return ref.data if ref.data is not None else self._data(kind, name, ref.entry)

    def _data(self, kind: str, name: str, entry: int) -> bytes:
        """The encoded bytes of a file or of a row of a parquet file."""
        if self.root is None or kind not in {"file", "parquet"}:
            raise BadImage(f"unknown kind of image source {kind!r}")
        if kind == "file":
            if reason := refusal(self.root, self.root / name, self._allow_outside):
                raise BadImage(reason)
            return read_bytes(self.root / name)
        with self._lock:
            table = self._tables.setdefault(name, _ParquetImages(self.root / name))
        return table.read(entry)


def scene_picture(name: str, entry: int) -> Picture:
    """A scene of the demo world, rendered anew."""
    from core.corpus.demo import draw

    pixels = draw(name, entry)
    return Picture(Image.fromarray(pixels), digest(np.ascontiguousarray(pixels).tobytes()))


def image_bytes(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """The encoded bytes of a column of images: a struct with `bytes` (as data sets write it), or plain binary."""
    if not pa.types.is_struct(column.type):
        return column
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return pa.chunked_array([_field(chunk) for chunk in chunks], type=column.type.field("bytes").type)


def _field(chunk: pa.StructArray) -> pa.Array:
    """`bytes` of each struct, null where the struct itself is null."""
    return chunk.flatten()[chunk.type.get_field_index("bytes")]


class _ParquetImages:
    """Random access to the `image` column of one parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetFile | None = None
        self._groups: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, row: int) -> bytes:
        """The encoded image of a row, counted over the whole file. BadImage: it is empty or cannot be read."""
        with self._lock:
            try:
                file = self._opened()
                group = int(np.searchsorted(self._starts, row, side="right")) - 1
                value = self._group(file, group)[row - int(self._starts[group])].as_py()
            except FileNotFoundError as error:
                raise BadImage("no such file") from error
            except (OSError, pa.ArrowException, LookupError) as error:
                raise BadImage(f"row {row} cannot be read: {error}") from error
        if not value:
            raise BadImage("empty file")
        return value

    def _opened(self) -> pq.ParquetFile:
        """The file, opened once, with the first row of each of its groups."""
        if self._file is None:
            self._file = pq.ParquetFile(self._path)
            counts = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
            self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        return self._file

    def _group(self, file: pq.ParquetFile, group: int) -> pa.ChunkedArray:
        """The images of one row group, from memory where it was read lately."""
        if group not in self._groups:
            self._groups[group] = image_bytes(file.read_row_group(group, columns=["image"]).column(0))
            while len(self._groups) > 1 and sum(g.nbytes for g in self._groups.values()) > CACHED_BYTES:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        return self._groups[group]
