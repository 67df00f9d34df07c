"""COCO-Caption as on the hub: one row per image with a list of captions.

`val-*.parquet` (or `test-*`, or any parquet of the folder): image (struct of bytes and path), answer (list of captions;
also captions or caption) and, for the id, file_name, question_id or id; else file and row. Task 4: images ask for
captions, 1: the reverse. A limit counts queries; captions go with their images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from core.config import CorpusSpec
from core.corpus import hub, listings, parquet
from core.corpus.files import fingerprint
from core.corpus.rows import SIDES_OF_SPLIT, RawPair, RawRow, Source, Split
from core.errors import CorpusError
from core.records import BadRow, Part

CAPTIONS = ("answer", "answers", "captions", "caption", "sentences")
IDS = ("file_name", "question_id", "id", "image_id")


def read(spec: CorpusSpec) -> Source:
    """COCO-Caption as a source of task 1 or 4.

    Raises:
        CorpusError: another task, no parquet file, or no images or captions in it.
    """
    if spec.task not in {1, 4}:
        raise CorpusError(
            "captioned images have no such task", got=spec.task, allowed="1 or 4", todo="set task in [corpus]"
        )
    given = hub.locate(spec.path or "")
    root = given if given.is_dir() else given.parent
    paths = find(given)
    if not paths:
        raise CorpusError("no parquet file of captioned images", got=given, allowed="val-*.parquet: image, answer")
    queries, candidates = SIDES_OF_SPLIT["test"]
    images, texts = (queries, candidates) if spec.task == 4 else (candidates, queries)
    number = None if spec.limit is None else spec.limit if spec.task == 4 else _images_for(root, paths, spec.limit)
    most = spec.limit if spec.task == 1 else None

    def captions() -> Iterator[RawRow]:
        return islice(_all_captions(root, paths, number), most)

    rows: dict[Part, Callable] = {images: partial(_images, root, paths, number), texts: captions}
    pairs: dict[Split, Callable] = {"test": partial(_pairs, captions, spec.task)}
    count = parquet.count(paths)
    sizes: dict[Part, int] = {images: count if number is None else min(number, count)}
    mark = fingerprint(root, (p.relative_to(root).as_posix() for p in paths), ())
    name = hub.short_name(spec.path) if spec.path and hub.is_hub(spec.path) else root.name
    return Source(f"{name}-task{spec.task}", root, mark, rows, pairs, sizes=sizes)


def find(given: Path) -> tuple[Path, ...]:
    """The parquet files with images and captions: of `val`, else of `test`, else all."""
    if given.is_file():
        candidates = [given]
    else:
        patterns = ("val-*.parquet", "data/val-*.parquet", "test-*.parquet", "data/test-*.parquet", "*.parquet")
        candidates = next((files for p in patterns if (files := sorted(given.glob(p)))), [])
    return tuple(p for p in candidates if "image" in (names := parquet.columns_of(p)) and set(CAPTIONS) & set(names))


def _named(
    root: Path, paths: tuple[Path, ...], columns: tuple[str, ...]
) -> Iterator[tuple[str, str, Path, int, dict[str, Any]]]:
    """Place, id, file, row number and values of every image."""
    for path in paths:
        named = next((c for c in IDS if c in parquet.columns_of(path)), None)
        for number, values in parquet.rows(path, (*IDS, *columns)):
            where = f"{path.relative_to(root).as_posix()} row {number}"
            name = values.get(named) if named else None
            yield where, str(name) if name is not None else f"{path.stem}-{number}", path, number, values


def _images(root: Path, paths: tuple[Path, ...], number: int | None) -> Iterator[RawRow | BadRow]:
    """The images, in the order of the files."""
    for where, name, path, row, values in islice(_named(root, paths, ("image",)), number):
        yield RawRow(where, name, "image", image=parquet.image_ref(values["image"], root, path, row))


def _all_captions(root: Path, paths: tuple[Path, ...], number: int | None) -> Iterator[RawRow]:
    for where, name, _, _, values in islice(_named(root, paths, CAPTIONS), number):
        column = next(c for c in CAPTIONS if c in values)
        for n, text in enumerate(listings.texts_of(values[column])):
            yield RawRow(where, f"{name}#{n}", "text", text, partner=name)


def _images_for(root: Path, paths: tuple[Path, ...], captions: int) -> int:
    """How many images the first `captions` captions belong to."""
    return len({row.partner for row in islice(_all_captions(root, paths, None), captions)})


def _pairs(captions: Callable[[], Iterator[RawRow]], task: int) -> Iterator[RawPair]:
    """Every caption with its image, the query first."""
    for row in captions():
        image = row.partner or ""
        yield RawPair(row.where, *((image, row.id) if task == 4 else (row.id, image)))
