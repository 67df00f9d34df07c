"""What lies in a folder: every layout that a corpus can have, and which of them this folder has.

In: a folder, or one file. Out: `Found`s, the one to take first. Names and footers are read, no picture and no row.
A new layout is one function that finds it and one line in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.config import CorpusSource
from core.corpus import beir, coco_caption, composed, listings, mbeir, mixed, vectors
from core.corpus.files import image_files, refusal
from core.errors import CorpusError
from core.paths import NOT_REGULAR, is_file, kind
from core.records import PARTS


@dataclass(frozen=True)
class Found:
    """A corpus that a folder holds.

    Attributes:
        words: what it is, naming the files that decide it.
        tables: the files it is read from, without pictures and their own text files.
    """

    source: CorpusSource
    task: int
    words: str
    tables: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Layout:
    """One way to lay out a corpus. `words`: what a folder of it holds, for whoever has none."""

    words: str
    find: Callable[[Path], Found | None]


def layouts_of(given: Path) -> tuple[Found, ...]:
    """Every layout that fits what lies there, the one to take first; none where nothing does.

    Raises:
        CorpusError: nothing lies there, no regular file, or a table that cannot be opened.
    """
    what = kind(given)
    if what in ("nothing", "other"):
        raise CorpusError(
            "no such corpus" if what == "nothing" else f"a corpus is {NOT_REGULAR}",
            got=given,
            allowed="demo, a folder, or a listing of captions",
            todo="check the path",
        )
    return tuple(found for layout in LAYOUTS if (found := layout.find(given)))


def _own_embeddings(given: Path) -> Found | None:
    if kind(given) != "folder":
        return None
    of_candidates = not mbeir.layout(given, "test").query and is_file(given / "candidates.npy")
    if not of_candidates and not vectors.find(given, "queries"):
        return None
    files = [path for part in PARTS if (path := vectors.find(given, part))]
    names = ", ".join(path.name for path in files)
    stems = {*PARTS, *(f"{part}_ids" for part in PARTS), "qrels", "support_qrels"}
    tables = tuple(path for path in sorted(given.iterdir()) if is_file(path) and path.stem in stems)
    return Found("embeddings", 4, f"vectors that you already have, in {names}; no model is needed", tables)


def _mbeir(given: Path) -> Found | None:
    if kind(given) != "folder":
        return None
    test = mbeir.layout(given, "test")
    if not test.query or not test.corpus:
        return None
    task = mixed.TASK if mbeir.is_mixed(test) else mbeir.implied_task(test) or 4
    of_task = "of several modalities" if task == mixed.TASK else f"of task {task}"
    words = f"tables of queries and candidates as M-BEIR has them, {of_task}"
    return Found("mbeir", task, words, test.files + mbeir.layout(given, "support").files)


def _beir(given: Path) -> Found | None:
    if kind(given) != "folder" or not beir.found(given):
        return None
    tables = (given / beir.QUERIES, given / beir.CORPUS, *sorted((given / beir.QRELS).glob("*")))
    return Found("beir", 2, f"texts in {beir.QUERIES} and {beir.CORPUS}, as BEIR has them", tables)


def _mixed(given: Path) -> Found | None:
    """With pictures in its pool; one of texts alone is a BEIR folder."""
    if kind(given) != "folder" or not mixed.find(given):
        return None
    _, splits = mixed.locate(str(given))
    tables = tuple(path for tables in splits.values() for path in (tables.queries, tables.pool, *tables.qrels))
    return Found("mixed", mixed.TASK, f"a pool of several modalities in {splits['test'].pool.name}", tables)


def _captioned_parquet(given: Path) -> Found | None:
    if kind(given) != "folder" and given.suffix != ".parquet":
        return None
    tables = coco_caption.find(given)
    names = _names(tables)
    return Found("coco-caption", 4, f"images with captions inside {names}", tables) if tables else None


def _listed(given: Path) -> Found | None:
    """By name alone where that says enough: whether a listing may be read is asked by whoever reads it."""
    if kind(given) == "file":
        listing = given if given.suffix.lower() in listings.SUFFIXES else None
    else:
        listing = listings.find_listing(given, "captions") or _captioned_metadata(given)
    return Found("folder", 4, f"images with captions in {listing.name}", (listing,)) if listing else None


def _captioned_metadata(root: Path) -> Path | None:
    """`metadata.*`, as image folders of the hub have it, where it holds captions."""
    listing = listings.find_listing(root, "metadata")
    if listing is None or refusal(root, listing, allow_outside=False):
        return None
    return listing if listings.column(listings.read_listing(listing), listings.CAPTIONS) else None


def _beside(given: Path) -> Found | None:
    if kind(given) != "folder" or not any(given.rglob("*.txt")):
        return None
    captioned = any(is_file(path.with_suffix(".txt")) for path in image_files(given))
    return Found("folder", 4, "images, each with its captions in a .txt of its name") if captioned else None


def _composed(given: Path) -> Found | None:
    listing = composed.find(given) if kind(given) == "folder" else None
    if listing is None:
        return None
    return Found("folder", 7, f"images, and queries of an image and a text in {listing.name}", (listing,))


def _images(given: Path) -> Found | None:
    if kind(given) != "folder" or not image_files(given):
        return None
    return Found("folder", 4, "images without captions: they can be encoded, there is nothing to retrieve")


LAYOUTS = (
    Layout("queries.npy and candidates.npy (vectors of your own)", _own_embeddings),
    Layout("query-*.parquet and corpus-*.parquet (M-BEIR)", _mbeir),
    Layout("queries.jsonl and mixed_corpus.jsonl (a pool of several modalities)", _mixed),
    Layout("corpus.jsonl, queries.jsonl and qrels/ (BEIR)", _beir),
    Layout("parquet with the columns image and caption", _captioned_parquet),
    Layout("images with captions.jsonl, .csv or .tsv", _listed),
    Layout("images with NAME.txt beside NAME.jpg", _beside),
    Layout("images with queries.jsonl (composed queries)", _composed),
    Layout("images alone", _images),
)
"""In the order in which they are taken where several fit."""


def _names(paths: tuple[Path, ...]) -> str:
    """The first two names, and how many more there are."""
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return ", ".join(path.name for path in paths[:2]) + more
