"""The rows and pairs that a source reads, before they are checked.

A source module has one function, `read(spec) -> Source`. A `Source` gives, per part, a stream of raw rows, and per
split a stream of relevant pairs; rows that the source itself cannot make sense of come as `BadRow`. Streams can be
asked for again and give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.artefact import Folder
from core.records import BadRow, Modality, Part, Split

SIDES_OF_SPLIT: dict[Split, tuple[Part, Part]] = {
    "test": ("queries", "candidates"),
    "support": ("support_queries", "support_candidates"),
}


@dataclass(frozen=True)
class ImageRef:
    """Where an image is, so that it can be read again at any time.

    Attributes:
        source: `file:<path below the root>`, `parquet:<path below the root>`, `scene:<split>`, or `embedding:<path
            below the root>` for an item that is known by its embedding only.
        entry: row of the parquet file or of the embeddings, or number of the scene.
        data: the encoded bytes, where the source has them at hand anyway.
    """

    source: str
    entry: int = 0
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RawRow:
    """One item as the source has it.

    Attributes:
        where: where it stands in the source, for the report.
        partner: id of the image this row belongs to; the row is left out with it when that image is bad.
        truth: ground truth, plain JSON (demo world only).
        digest: of the item's own embedding, where that is all there is of it; text and image are not asked for then.
        fault: why the row cannot be used, where the source itself has found out.
    """

    where: str
    id: str
    modality: Modality
    text: str | None = None
    image: ImageRef | None = None
    partner: str | None = None
    truth: Mapping[str, Any] | None = None
    digest: bytes | None = None
    fault: str | None = None


@dataclass(frozen=True)
class RawPair:
    """One line of the qrels."""

    where: str
    query: str
    candidate: str
    score: int = 1


@dataclass(frozen=True)
class Source:
    """Streams of rows and pairs.

    Attributes:
        name: short name for folders and lists.
        root: what file and parquet references are relative to; None for generated items.
        fingerprint: what identifies the content, plain JSON; part of the cache key.
        rows: per part, in the order in which parts must be read (images before the rows that are their partners).
        pairs: per split.
        cut: whether a limit left queries out, so that pairs may name queries that are not there.
        allow_outside: whether files may lie outside `root` (`[corpus] allow_outside`).
        sizes: number of rows per part where it is known, for the progress bar.
        made_from: folders of the cache that hold the source itself; `root` lies in one of them.
        benchmark: which task of a benchmark it is and how that is scored, plain JSON.
    """

    name: str
    root: Path | None
    fingerprint: Mapping[str, Any]
    rows: Mapping[Part, Callable[[], Iterable[RawRow | BadRow]]]
    pairs: Mapping[Split, Callable[[], Iterable[RawPair | BadRow]]] = field(default_factory=dict)
    cut: bool = False
    allow_outside: bool = False
    sizes: Mapping[Part, int] = field(default_factory=dict)
    made_from: tuple[Folder, ...] = ()
    benchmark: Mapping[str, Any] = field(default_factory=dict)
