"""A folder of images, with captions or without.

Captions come from, in this order:
1. the listing given as path itself, or `captions.jsonl` / `.csv` / `.tsv` or `metadata.*` in the folder, one line per
   image or per caption: an image (column file, image, filename, file_name or path; relative to the listing) and its
   captions (captions: a list; caption or text: one). The listing then decides which images belong to the corpus;
2. `NAME.txt` beside `NAME.jpg`, one caption per line;
3. nowhere: all images of the folder and below are the items, and there is no retrieval task.

Task 4: images ask for captions; task 1: captions ask for images. Task 7 reads `queries.jsonl` / `.csv` / `.tsv` (query
image, query text, target image); its candidates are all images of the folder. An image's id is its path below the
folder or the listing's `id`; a caption's is that with `#0`, `#1`, ... behind it. A limit counts queries; captions go
with their images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from core.config import CorpusSpec
from core.corpus import composed, listings
from core.corpus.files import fingerprint, image_files
from core.corpus.images import SUFFIXES
from core.corpus.rows import SIDES_OF_SPLIT, ImageRef, RawPair, RawRow, Source, Split
from core.errors import CorpusError
from core.records import BadRow, Part

TASKS = (1, 4, 7)


@dataclass
class Entry:
    """One image and its captions, each with the place it was read from."""

    where: str
    id: str
    file: str
    captions: list[tuple[str, str]] = field(default_factory=list)


def read(spec: CorpusSpec) -> Source:
    """A folder as a source of task 1, 4 or 7."""
    if spec.task not in TASKS:
        raise CorpusError("a folder has no such task", got=spec.task, allowed="1, 4 or 7", todo="set task in [corpus]")
    root, listing = locate(spec.path or "")
    if spec.task == 7:
        return composed.read(spec, root, listing)
    entries = list(_entries(root, listing))
    if not any(isinstance(e, Entry) and e.captions for e in entries):
        return _images_only(spec, root, entries)
    return _captioned(spec, root, entries)


def locate(path: str) -> tuple[Path, Path | None]:
    """The folder, and the listing in it if there is one.

    Raises:
        CorpusError: there is no such folder or listing.
    """
    given = Path(path).expanduser()
    if given.is_file() and given.suffix.lower() in listings.SUFFIXES:
        return given.parent.resolve(), given.resolve()
    if not given.is_dir():
        raise CorpusError("no such folder of images", got=given, todo="check path in [corpus]")
    root = given.resolve()
    return root, listings.find_listing(root, "captions") or _metadata(root)


def _metadata(root: Path) -> Path | None:
    """`metadata.*`, as image folders of the hub have it, if it holds captions."""
    path = listings.find_listing(root, "metadata")
    return path if path and listings.column(listings.read_listing(path), listings.CAPTIONS) else None


def _entries(root: Path, listing: Path | None) -> Iterator[Entry | BadRow]:
    return _listed(listing) if listing else _beside(root)


def _beside(root: Path) -> Iterator[Entry | BadRow]:
    """Captions from text files beside the images; if there are any at all, an image without one is a bad row."""
    images = image_files(root)
    if not images:
        raise CorpusError("no image in the folder or below", got=root, allowed=" ".join(sorted(SUFFIXES)))
    captioned = any(path.with_suffix(".txt").is_file() for path in images)
    for path in images:
        name = path.relative_to(root).as_posix()
        entry = Entry(name, name, name, _captions_beside(root, path))
        missing = captioned and not entry.captions
        yield BadRow(name, f"no caption: {path.with_suffix('.txt').name} is missing or empty") if missing else entry


def _captions_beside(root: Path, image: Path) -> list[tuple[str, str]]:
    path = image.with_suffix(".txt")
    if not path.is_file():
        return []
    name = path.relative_to(root).as_posix()
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [(f"{name}:{n}", line.strip()) for n, line in enumerate(lines, 1) if line.strip()]


def _listed(listing: Path) -> Iterator[Entry | BadRow]:
    """One entry per image of a listing, with all its captions, in order of first mention."""
    records = list(listings.read_listing(listing))
    file, text = (listings.column(records, names) for names in (listings.FILE, listings.CAPTIONS))
    if file is None or text is None:
        seen = sorted({k for r in records if isinstance(r, listings.Record) for k in r.values})
        raise CorpusError(
            f"{listing.name} lacks a column for the {'image' if file is None else 'captions'}",
            got=", ".join(seen) or "no columns",
            allowed=", ".join(listings.FILE if file is None else listings.CAPTIONS),
        )
    named = listings.column(records, listings.ID)
    by_name: dict[str, Entry] = {}
    ids: set[str] = set()
    bad: list[BadRow] = []
    for record in records:
        if isinstance(record, BadRow):
            bad.append(record)
        else:
            bad += _note(record, file, text, named, by_name, ids)
    yield from by_name.values()
    yield from bad


def _note(
    record: listings.Record, file: str, text: str, named: str | None, by_name: dict[str, Entry], ids: set[str]
) -> list[BadRow]:
    """Add one line to the entry of its image. Returns the bad rows: empty where the line is good."""
    name, captions = str(record.values.get(file) or "").strip(), record.values.get(text)
    if not name:
        return [BadRow(record.where, "names no image")]
    item_id = str(record.values.get(named) or name) if named else name
    entry = by_name.get(name)
    if isinstance(captions, list) if entry else item_id in ids:
        return [BadRow(record.where, f"duplicate id {(entry.id if entry else item_id)!r}")]
    if entry is None:
        entry = by_name[name] = Entry(record.where, item_id, name)
        ids.add(item_id)
    texts = [(record.where, t) for t in listings.texts_of(captions)] or [(record.where, "")]
    old = {t for _, t in entry.captions}
    entry.captions += [pair for pair in texts if pair[1] not in old]
    return [BadRow(where, f"repeats a caption of {entry.id!r}") for where, t in texts if t in old]


def _images_only(spec: CorpusSpec, root: Path, entries: list[Entry | BadRow]) -> Source:
    chosen = list(islice((e for e in entries if isinstance(e, Entry)), spec.limit))
    mark = fingerprint(root, (e.file for e in chosen), ())
    return Source(
        _name(root, spec), root, mark, {"queries": partial(_image_rows, chosen)}, sizes={"queries": len(chosen)}
    )


def _captioned(spec: CorpusSpec, root: Path, entries: list[Entry | BadRow]) -> Source:
    chosen = entries if spec.limit is None else _cut(entries, spec.limit, spec.task)
    good = [e for e in chosen if isinstance(e, Entry)]
    captions = list(_caption_rows(good))[: spec.limit if spec.task == 1 else None]
    queries, candidates = SIDES_OF_SPLIT["test"]
    images, texts = (queries, candidates) if spec.task == 4 else (candidates, queries)
    rows: dict[Part, Callable] = {images: partial(_image_rows, chosen), texts: lambda: iter(captions)}
    pairs: dict[Split, Callable] = {"test": partial(_pairs, captions, spec.task)}
    said = (f"{row.id}|{row.text}" for row in captions)
    mark = fingerprint(root, (f"{e.file}" for e in good), said)
    return Source(_name(root, spec), root, mark, rows, pairs, sizes={images: len(chosen), texts: len(captions)})


def _cut(entries: list[Entry | BadRow], limit: int, task: int) -> list[Entry | BadRow]:
    """The first entries that give `limit` queries: images for task 4, captions for task 1."""
    chosen: list[Entry | BadRow] = []
    queries = 0
    for entry in entries:
        if queries >= limit:
            break
        chosen.append(entry)
        queries += 0 if isinstance(entry, BadRow) else 1 if task == 4 else len(entry.captions)
    return chosen


def _image_rows(entries: Iterable[Entry | BadRow]) -> Iterator[RawRow | BadRow]:
    for entry in entries:
        if isinstance(entry, BadRow):
            yield entry
        else:
            where = entry.file if entry.where == entry.file else f"{entry.where} ({entry.file})"
            yield RawRow(where, entry.id, "image", image=ImageRef(f"file:{entry.file}"))


def _caption_rows(entries: Iterable[Entry]) -> Iterator[RawRow]:
    for entry in entries:
        for n, (where, text) in enumerate(entry.captions):
            yield RawRow(where, f"{entry.id}#{n}", "text", text, partner=entry.id)


def _pairs(captions: Iterable[RawRow], task: int) -> Iterator[RawPair]:
    for row in captions:
        image = row.partner or ""
        yield RawPair(row.where, *((image, row.id) if task == 4 else (row.id, image)))


def _name(root: Path, spec: CorpusSpec) -> str:
    return f"{root.name}-task{spec.task}"
