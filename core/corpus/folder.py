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
from core.corpus.files import check_table, fingerprint, given_path, image_files, refusal
from core.corpus.images import SUFFIXES
from core.corpus.rows import SIDES_OF_SPLIT, ImageRef, RawPair, RawRow, Source, Split
from core.errors import CorpusError
from core.paths import is_file, kind
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
    root, listing = locate(spec.path or "", spec.allow_outside)
    if spec.task == 7:
        return composed.read(spec, root, listing)
    entries = list(_listed(listing) if listing else _beside(root, spec.allow_outside))
    if not any(isinstance(e, Entry) and e.captions for e in entries):
        return _images_only(spec, root, entries)
    return _captioned(spec, root, entries)


def locate(path: str, allow_outside: bool) -> tuple[Path, Path | None]:
    """The folder, and the listing in it if there is one.

    Raises:
        CorpusError: there is no such folder or listing, or the listing must not be read.
    """
    given = given_path(path)
    if is_file(given) and given.suffix.lower() in listings.SUFFIXES:
        return given.parent.resolve(), given.resolve()
    if kind(given) != "folder":
        raise CorpusError("no such folder of images", got=given, todo="check path in [corpus]")
    root = given.resolve()
    if listing := listings.find_listing(root, "captions"):
        check_table(root, listing, allow_outside)
        return root, listing
    # `metadata.*`, as image folders of the hub have it, counts if it holds captions.
    if listing := listings.find_listing(root, "metadata"):
        check_table(root, listing, allow_outside)
        if listings.column(listings.read_listing(listing), listings.CAPTIONS):
            return root, listing
    return root, None


def _beside(root: Path, allow_outside: bool) -> Iterator[Entry | BadRow]:
    """Captions from text files beside the images; if there are any at all, an image without one is a bad row."""
    images = image_files(root)
    if not images:
        raise CorpusError("no image in the folder or below", got=root, allowed=" ".join(sorted(SUFFIXES)))
    captioned = any(is_file(path.with_suffix(".txt")) for path in images)
    for path in images:
        name, beside = path.relative_to(root).as_posix(), path.with_suffix(".txt")
        reason = refusal(root, beside, allow_outside) or "missing or empty"
        entry = Entry(name, name, name, _captions_in(root, beside) if reason == "missing or empty" else [])
        if captioned and not entry.captions:
            yield BadRow(name, f"no caption: {beside.name} is {reason}")
        else:
            yield entry


def _captions_in(root: Path, path: Path) -> list[tuple[str, str]]:
    """Place and text of each caption of a text file, one per line; none where there is no file."""
    if not is_file(path):
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
    """A corpus of images: nothing to retrieve."""
    chosen = list(islice((e for e in entries if isinstance(e, Entry)), spec.limit))
    mark = fingerprint(root, (e.file for e in chosen), ())
    return Source(
        _name(root, spec), root, mark, {"queries": partial(_image_rows, chosen)}, sizes={"queries": len(chosen)}
    )


def _captioned(spec: CorpusSpec, root: Path, entries: list[Entry | BadRow]) -> Source:
    """Images and captions, one side each, and the pairs between them."""
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
    """One row per caption; its partner is its image."""
    for entry in entries:
        for n, (where, text) in enumerate(entry.captions):
            yield RawRow(where, f"{entry.id}#{n}", "text", text, partner=entry.id)


def _pairs(captions: Iterable[RawRow], task: int) -> Iterator[RawPair]:
    """Every caption with its image, the query first."""
    for row in captions:
        image = row.partner or ""
        yield RawPair(row.where, *((image, row.id) if task == 4 else (row.id, image)))


def _name(root: Path, spec: CorpusSpec) -> str:
    return f"{root.name}-task{spec.task}"
