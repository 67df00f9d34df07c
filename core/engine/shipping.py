"""The items of one window on their way to a worker: read where the corpus lies, as they lie there, decoded there.

In: a part of a corpus of the store and a range of its rows. Out: one Arrow table as bytes, with id, modality, text, the
file of the picture and, where a picture cannot be read, the reason. A worker needs neither the store nor the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UserError
from core.records import SIDE_OF_PART, Item, Part, Side

if TYPE_CHECKING:
    from core.corpus import Corpus


@dataclass(frozen=True)
class CorpusOf:
    """Names a corpus of a store, for another process."""

    root: Path
    key: str

    def open(self) -> Corpus:
        """The corpus; opened once per process."""
        return _opened(self)


@cache
def _opened(corpus: CorpusOf) -> Corpus:
    from core.corpus import open_corpus
    from core.store import Store

    folder = Store(corpus.root).find("corpus", corpus.key)
    assert folder is not None, f"corpus {corpus.key} has gone"
    return open_corpus(folder)


def pack(corpus: CorpusOf, part: Part, rows: Sequence[int]) -> bytes:
    """Some items of a part as Arrow's stream format."""
    import pyarrow as pa

    table = corpus.open().items(part)
    columns: dict[str, list[object]] = {name: [] for name in ("id", "modality", "text", "picture", "reason")}
    for row in rows:
        picture, reason = None, None
        try:
            picture = table.picture_file(row)
        except UserError as error:
            reason = error.what if error.got is None else f"{error.what} ({error.got})"
        columns["id"].append(table.ids[row])
        columns["modality"].append(str(table.modality[row]))
        columns["text"].append(table.texts[row])
        columns["picture"].append(picture)
        columns["reason"].append(reason)
    made = pa.table(columns, schema=_schema())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)
    return sink.getvalue().to_pybytes()


def _schema() -> object:
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("modality", pa.string()),
            ("text", pa.string()),
            ("picture", pa.large_binary()),
            ("reason", pa.string()),
        ]
    )


@dataclass
class Shipped:
    """Items as they came (`core.batches.Items`), but for those whose picture could not be read.

    Attributes:
        rows: place of each row in the window.
        bad: id -> reason, of all items that cannot be encoded; others add to it.
    """

    data: bytes
    task: int
    part: Part
    content: str = ""
    rows: list[int] = field(init=False)
    bad: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        import pyarrow as pa

        with pa.ipc.open_stream(self.data) as reader:
            whole = reader.read_all()
        ids, reasons = whole["id"].to_pylist(), whole["reason"].to_pylist()
        self.bad = {name: reason for name, reason in zip(ids, reasons, strict=True) if reason is not None}
        self.rows = [row for row, reason in enumerate(reasons) if reason is None]
        self.all_ids = ids
        self._table = whole.take(self.rows).combine_chunks()
        self.ids: list[str] = self._table["id"].to_pylist()
        self.modality = np.array(self._table["modality"].to_pylist(), dtype="<U10")
        self.texts: list[str | None] = self._table["text"].to_pylist()
        self.side: Side = SIDE_OF_PART[self.part]

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, row: int) -> Item:
        """The whole item, its picture decoded; without a picture, and noted in `bad`, where that fails."""
        from core.corpus.images import BadImage, load_image

        data, picture = self._table["picture"][row].as_py(), None
        try:
            picture = None if data is None else load_image(data)
        except (BadImage, UserError) as error:
            self.bad[self.ids[row]] = f"its picture cannot be decoded: {error}"
        return Item(self.ids[row], self.modality[row], self.texts[row], picture, self.task, self.side)
