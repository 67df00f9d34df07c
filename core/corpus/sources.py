"""Which module reads which source, and which source a bare path is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from core.config import CorpusSource, CorpusSpec
from core.corpus.files import given_path
from core.corpus.rows import Source
from core.store import Store

MODULES: dict[CorpusSource, str] = {
    "demo": "core.corpus.demo",
    "folder": "core.corpus.folder",
    "mbeir": "core.corpus.mbeir",
    "coco-caption": "core.corpus.coco_caption",
    "embeddings": "core.corpus.embeddings",
    "beir": "core.corpus.beir",
    "mixed": "core.corpus.mixed",
}
"""Sources that are read where they lie; a task of mteb is taken into the cache first."""

DEMO = {"demo": 4, "demo-task1": 1, "demo-task4": 4, "demo-task7": 7, "demo-mixed": 0}
"""Names of the demo world -> task."""


def open_source(spec: CorpusSpec, store: Store | None = None) -> Source:
    """The streams of a spec; cheap, reads no images.

    Args:
        store: where a task of mteb is taken in; None: the default one.

    Raises:
        CorpusError: the source is not there, or is not what the spec says.
    """
    if spec.kind == "mteb":
        from core.corpus import mteb_tasks

        return mteb_tasks.read(spec, store or Store.default())
    reader: Callable[[CorpusSpec], Source] = import_module(MODULES[spec.kind]).read
    return replace(reader(spec), allow_outside=spec.allow_outside)


def settled(spec: CorpusSpec, store: Store | None = None) -> CorpusSpec:
    """The spec with its task number, which an mteb task itself states; any other spec as it is.

    Raises:
        CorpusError: there is no such task, or it is of another number than the spec says.
    """
    if spec.kind != "mteb":
        return spec
    from core.corpus import mteb_tasks

    return replace(spec, task=mteb_tasks.task_number(spec, store or Store.default()))


def guess_source(path: str, max_bad_share: float = 0.05) -> CorpusSpec:
    """The spec that a bare path most likely means: `demo`, `mbeir:NAME`, `mteb:TASK`, or what a folder holds.

    A folder: M-BEIR tables (the task as their modalities say), own embeddings, a BEIR folder, a mixed pool, captioned
    images in parquet, image files.

    Raises:
        CorpusError: nothing of the kind is there.
    """
    from core.corpus import hub

    if path.startswith("mteb:"):
        return CorpusSpec(source=path, max_bad_share=max_bad_share)
    source: CorpusSource
    if path in DEMO:
        source, task = "demo", DEMO[path]
    elif hub.is_hub(path):
        source, task = "mbeir", hub.task_of(path) or 4
    else:
        source, task = _guess_folder(given_path(path))
    return CorpusSpec(source=source, path=None if source == "demo" else path, task=task, max_bad_share=max_bad_share)


def _guess_folder(given: Path) -> tuple[CorpusSource, int]:
    """Source and task of what lies on disk; where no layout fits, the folder of images says what it misses."""
    from core.corpus.layouts import layouts_of

    found = layouts_of(given)
    return (found[0].source, found[0].task) if found else ("folder", 4)
