"""Which module reads which source, and which source a bare path is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from core.config import CorpusSource, CorpusSpec
from core.corpus.rows import Source
from core.errors import CorpusError

MODULES: dict[CorpusSource, str] = {
    "demo": "core.corpus.demo",
    "folder": "core.corpus.folder",
    "mbeir": "core.corpus.mbeir",
    "coco-caption": "core.corpus.coco_caption",
    "embeddings": "core.corpus.embeddings",
}


def open_source(spec: CorpusSpec) -> Source:
    """The streams of a spec; cheap, reads no images.

    Raises:
        CorpusError: the source is not there, or is not what the spec says.
    """
    reader: Callable[[CorpusSpec], Source] = import_module(MODULES[spec.source]).read
    return reader(spec)


def guess_source(path: str, max_bad_share: float = 0.05) -> CorpusSpec:
    """The spec that a bare path most likely means: `demo`, a folder of parquet files, a folder of images, or a listing.

    Raises:
        CorpusError: nothing of the kind is there.
    """
    from core.corpus import composed

    if path == "demo":
        return CorpusSpec(source="demo", max_bad_share=max_bad_share)
    given = Path(path).expanduser()
    if not given.exists():
        raise CorpusError("no such corpus", got=path, allowed="demo, a folder, or a listing of captions")
    root = given if given.is_dir() else given.parent
    captioned = any(root.glob("captions.*")) or any(root.rglob("*.txt"))
    task = 7 if composed.find(root) and not captioned else 4
    return CorpusSpec(source="folder", path=path, task=task, max_bad_share=max_bad_share)
