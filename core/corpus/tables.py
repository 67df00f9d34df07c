"""One part of a corpus on disk: written row by row, read back lazily.

`<part>.parquet` holds one row per item, `<part>-thumbnails.npy` the encoded thumbnails one after another (uint8) and
`<part>-offsets.npy` (n + 1) where each begins. Nothing here keeps images in memory.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from core.corpus.carried import Carried
from core.corpus.images import BadImage
from core.corpus.readers import DIGEST_BYTES, ImageReader, digest, scene_picture
from core.corpus.rows import ImageRef, RawRow
from core.errors import CorpusError
from core.records import MODALITIES, SIDE_OF_PART, Item, Modality, Part, Side
from core.store import Folder

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("modality", pa.string()),
        ("text", pa.string()),
        ("image_source", pa.string()),
        ("image_entry", pa.int64()),
        ("image_digest", pa.binary(DIGEST_BYTES)),
        ("truth", pa.string()),
    ]
)
ROWS_PER_GROUP = 8192


@dataclass(frozen=True)
class PartFacts:
    """Result of writing a part: number of rows, rows per modality, hash of everything an encoder sees."""

    rows: int
    by_modality: dict[Modality, int]
    content: str


class PartCounter:
    """Counts rows and hashes their content; writes nothing."""

    def __init__(self, part: Part, task: int) -> None:
        self._by_modality: dict[Modality, int] = dict.fromkeys(MODALITIES, 0)
        self._hash, self._prompt = sha256(), f"task {task} {SIDE_OF_PART[part]}".encode()

    def add(self, row: RawRow, image_digest: bytes | None, thumbnail: bytes) -> None:
        """Take one checked row; `thumbnail` is empty where it can be drawn at any time."""
        self._by_modality[row.modality] += 1
        chunks = [row.modality.encode(), (row.text or "").encode(), image_digest or b""]
        if row.modality == "image,text":
            chunks.append(self._prompt)
        for chunk in chunks:
            self._hash.update(len(chunk).to_bytes(8, "little") + chunk)

    def close(self) -> PartFacts:
        """End of the part."""
        counts = {m: n for m, n in self._by_modality.items() if n}
        return PartFacts(sum(counts.values()), counts, self._hash.hexdigest())


class PartWriter(PartCounter):
    """Also writes the table and the thumbnails into `folder`."""

    def __init__(self, part: Part, task: int, folder: Path) -> None:
        super().__init__(part, task)
        self._table = pq.ParquetWriter(folder / f"{part}.parquet", SCHEMA, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._blob = _BlobWriter(folder / f"{part}-thumbnails.npy")
        self._offsets, self._offsets_path = [0], folder / f"{part}-offsets.npy"

    def add(self, row: RawRow, image_digest: bytes | None, thumbnail: bytes) -> None:
        """Take one checked row."""
        super().add(row, image_digest, thumbnail)
        self._rows.append(_record(row, image_digest))
        self._blob.write(thumbnail)
        self._offsets.append(self._offsets[-1] + len(thumbnail))
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def close(self) -> PartFacts:
        """Write what is left and close the files."""
        self._flush()
        self._table.close()
        self._blob.close()
        np.save(self._offsets_path, np.array(self._offsets, dtype=np.int64))
        return super().close()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


def _record(row: RawRow, image_digest: bytes | None) -> dict[str, Any]:
    """The row as the parquet file holds it."""
    return {
        "id": row.id,
        "modality": row.modality,
        "text": row.text,
        "image_source": row.image.source if row.image else None,
        "image_entry": row.image.entry if row.image else None,
        "image_digest": image_digest,
        "truth": None if row.truth is None else json.dumps(row.truth, ensure_ascii=False),
    }


class _BlobWriter:
    """A uint8 `.npy` of unknown length: the header is written again at the end (numpy leaves room for it)."""

    def __init__(self, path: Path) -> None:
        self._stream = open(path, "wb")  # noqa: SIM115 - closed in close()
        self._length = 0
        self._header()

    def _header(self) -> None:
        facts = {"descr": "|u1", "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._stream, facts)

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._length += len(data)

    def close(self) -> None:
        self._stream.seek(0)
        self._header()
        self._stream.close()


class ItemTable:
    """The items of one part, read-only and thread-safe.

    Attributes:
        content: hash of what an encoder sees, in order: equal content means equal embeddings.
    """

    def __init__(
        self, folder: Folder, part: Part, reader: ImageReader, task: int, carried: Carried | None = None
    ) -> None:
        self.part, self.task = part, task
        self.side: Side = SIDE_OF_PART[part]
        facts = folder.facts["parts"][part]
        self._length: int = facts["rows"]
        self.by_modality: dict[str, int] = facts["by_modality"]
        self.content: str = facts["content"]
        self._folder, self._reader, self._carried = folder, reader, carried

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _columns(self) -> pa.Table:
        columns = [name for name in SCHEMA.names if name != "truth"]
        return pq.read_table(self._folder.file(f"{self.part}.parquet"), columns=columns).combine_chunks()

    @cached_property
    def _truths(self) -> pa.ChunkedArray:
        return pq.read_table(self._folder.file(f"{self.part}.parquet"), columns=["truth"]).column(0).combine_chunks()

    @cached_property
    def ids(self) -> list[str]:
        """Identifiers, in row order."""
        return self._columns["id"].to_pylist()

    @cached_property
    def texts(self) -> list[str | None]:
        """Texts, in row order; None for pure images."""
        return self._columns["text"].to_pylist()

    @cached_property
    def modality(self) -> np.ndarray:
        """(n,) of "text", "image" or "image,text"."""
        return np.array(self._columns["modality"].to_pylist(), dtype="<U10")

    @cached_property
    def _rows_by_id(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    def row_of(self, item_id: str) -> int:
        """Row of an id.

        Raises:
            CorpusError: no item of this part has it.
        """
        try:
            return self._rows_by_id[item_id]
        except KeyError:
            raise CorpusError(f"no item of that id among the {self.part}", got=repr(item_id)) from None

    def sources(self) -> tuple[np.ndarray, np.ndarray]:
        """Per row: where its image (or its own embedding) comes from, and the entry there; "" and -1 for pure texts."""
        names = self._columns["image_source"].fill_null("").to_numpy(zero_copy_only=False)
        return names, self._columns["image_entry"].fill_null(-1).to_numpy()

    def item(self, row: int) -> Item:
        """The whole item, its image read again from the source (upright RGB).

        Raises:
            CorpusError: the image is gone or has changed since the corpus was taken in.
        """
        text, modality = self._value("text", row), self._value("modality", row)
        return Item(self._value("id", row), modality, text, self._image(row), self.task, self.side)

    def items(self, rows: Sequence[int]) -> list[Item]:
        """Several items; neighbouring rows are cheapest."""
        return [self.item(int(row)) for row in rows]

    def thumbnail(self, row: int) -> Image.Image | None:
        """At most 256 pixels a side; None for pure texts. Never touches the source."""
        ref = self._ref(row)
        if ref is None:
            return None
        if ref.source.startswith("scene:"):
            return scene_picture(ref.source.removeprefix("scene:"), ref.entry).image
        data = self.thumbnail_bytes(row)
        assert data is not None
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")

    def thumbnail_bytes(self, row: int) -> bytes | None:
        """The encoded thumbnail (JPEG or PNG); None where there is none or where it is drawn on demand."""
        first, last = (int(o) for o in self._offsets[row : row + 2])
        return self._blob[first:last].tobytes() or None

    def encoded(self, row: int) -> bytes | None:
        """The file of an item's picture as it was read first; None for pure texts and for what is drawn on demand.

        Raises:
            CorpusError: it is gone or has changed.
        """
        ref = self._ref(row)
        if ref is None or ref.source.startswith("scene:"):
            return None
        if self._carried is not None:
            return self._carried.picture(self.part, row, self._value("id", row))
        try:
            data = self._reader.encoded(ref)
        except BadImage as error:
            raise self._lost(row, ref, str(error)) from error
        if digest(data) != self._value("image_digest", row):
            raise self._lost(row, ref, "it has changed since the corpus was read")
        return data

    def picture_file(self, row: int) -> bytes | None:
        """`encoded`, or a drawn scene as PNG; None without a picture."""
        data, image = self.encoded(row), None
        if data is None and (image := self._image(row)) is not None:
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            data = buffer.getvalue()
        return data

    def truth(self, row: int) -> Mapping[str, Any] | None:
        """Ground truth of an item of the demo world: things, groups, counts, sizes, background, relation."""
        text = self._truths[row].as_py()
        return None if text is None else json.loads(text)

    @cached_property
    def _blob(self) -> np.ndarray:
        return self._folder.array(f"{self.part}-thumbnails")

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self._folder.array(f"{self.part}-offsets")

    def _value(self, column: str, row: int) -> Any:
        if not 0 <= row < self._length:
            raise IndexError(f"row {row} of {self._length} {self.part}")
        return self._columns[column][row].as_py()

    def _ref(self, row: int) -> ImageRef | None:
        source = self._value("image_source", row)
        return (
            None
            if source is None or source.startswith("embedding:")
            else ImageRef(source, self._value("image_entry", row))
        )

    def _image(self, row: int) -> Image.Image | None:
        """The picture, read again from its source and compared with what was read first."""
        ref = self._ref(row)
        if ref is None:
            return None
        if self._carried is not None and not ref.source.startswith("scene:"):
            ref = replace(ref, data=self._carried.picture(self.part, row, self._value("id", row)))
        try:
            picture = self._reader.picture(ref)
        except BadImage as error:
            raise self._lost(row, ref, str(error)) from error
        if picture.digest != self._value("image_digest", row):
            raise self._lost(row, ref, "it has changed since the corpus was read")
        return picture.image

    def _lost(self, row: int, ref: ImageRef, reason: str) -> CorpusError:
        kind, _, name = ref.source.partition(":")
        place = name if self._reader.root is None or kind == "scene" else self._reader.root / name
        what = f"the image of {self._value('id', row)!r} cannot be read again: {reason}"
        return CorpusError(what, got=place, todo="put it back, or run the spec again on the corpus as it is now")


def modality_of(text: object, image: object) -> Modality:
    """What an item holds, from what is there."""
    return "image,text" if text is not None and image is not None else "image" if image is not None else "text"
