"""What a folder holds: which corpus it is, how many items, what is wrong with it, and which files are of no use.

No picture is decoded and nothing is written: a folder of a hundred thousand pictures is looked at in seconds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.config import CorpusSpec
from core.config.corpus import MTEB
from core.corpus.files import given_path, refusal
from core.corpus.images import SUFFIXES
from core.corpus.layouts import LAYOUTS, Found, layouts_of
from core.corpus.listings import SUFFIXES as LISTINGS
from core.corpus.mbeir import TASKS
from core.corpus.rows import RawRow, Source
from core.corpus.sources import open_source, settled
from core.errors import CorpusError
from core.paths import kind
from core.records import SIDE_OF_PART, BadRow, Modality, Part

LISTED = ("folder", "beir", "mixed")
"""Sources whose rows name pictures by their files, so that going through them reads none."""
EXAMPLES = 3
"""Names that are given for a group of files, and bad rows that are listed."""
MOST_FILES = 200_000
"""Files of a folder that are looked at one by one."""


@dataclass(frozen=True)
class Ignored:
    """Files that a run will not read: why, how many, and the names of the first."""

    why: str
    number: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """A folder as a corpus.

    Attributes:
        found: the layout that is taken; `instead`: others that would fit.
        counts: items of each part, by modality.
        bad: rows that are known to be bad without decoding anything.
    """

    spec: CorpusSpec
    found: Found
    instead: tuple[Found, ...]
    source: Source
    counts: Mapping[Part, Mapping[Modality, int]]
    bad: tuple[BadRow, ...]
    ignored: tuple[Ignored, ...]

    @property
    def items(self) -> Mapping[Modality, int]:
        """Items by modality, of all parts."""
        total: Counter[Modality] = Counter()
        for by_modality in self.counts.values():
            total.update(by_modality)
        return dict(total)

    @property
    def has_task(self) -> bool:
        """Whether there is something to retrieve: candidates and relevant pairs."""
        return "candidates" in self.counts and "test" in self.source.pairs


def survey(path: str, task: int | None = None, limit: int | None = None, allow_outside: bool = False) -> Survey:
    """Look at a folder, at one listing or parquet file, or at a task of the package mteb (`mteb:TASK`).

    Args:
        task: of M-BEIR; None: as the layout has it. An mteb task says its own.
        limit: queries at most.

    Raises:
        CorpusError: nothing in it can be a corpus, or its tables cannot be read.
    """
    if path.startswith(f"{MTEB}:"):
        spec = settled(CorpusSpec(source=path, limit=limit))
        words = f"{spec.mteb_task}, a retrieval task of the package mteb"
        return _seen(spec, Found("mteb", spec.task, words), ())
    given = given_path(path)
    fitting = layouts_of(given)
    if not fitting:
        raise CorpusError(
            "nothing here can be a corpus",
            got=f"{given} with {_contents(given)}",
            allowed="; ".join(layout.words for layout in LAYOUTS),
            todo="put captions.csv with the columns file and caption beside the images",
        )
    found, *others = fitting
    # A folder of captioned images is one of images too: only another reading of it is worth a line.
    instead = [other for other in others if other.tables and other.tables != found.tables]
    spec = CorpusSpec(
        source=found.source,
        path=str(given.resolve()),
        task=found.task if task is None else task,
        limit=limit,
        allow_outside=allow_outside,
    )
    return _seen(spec, found, instead)


def _seen(spec: CorpusSpec, found: Found, instead: Sequence[Found]) -> Survey:
    """The survey of a spec; CorpusError where no item can be used."""
    source = open_source(spec)
    counts, bad, used = _read(spec, source)
    if not any(number for by_modality in counts.values() for number in by_modality.values()):
        got = "; ".join(f"{row.where}: {row.reason}" for row in bad[:EXAMPLES]) or spec.path
        raise CorpusError("no item of this corpus can be used", got=got, todo="mend these rows, then look again")
    ignored = tuple(_ignored(Path(spec.path), found, used)) if spec.path else ()
    return Survey(spec, found, tuple(instead), source, counts, tuple(bad), ignored)


def _read(spec: CorpusSpec, source: Source) -> tuple[dict[Part, dict[Modality, int]], list[BadRow], set[Path]]:
    """Items per part and modality, bad rows, and the files that rows name.

    Tables whose rows hold pictures are not gone through: they say how many rows they have, and the task says of which
    modality these are.
    """
    usual = next((pair for pair, task in TASKS.items() if task == spec.task), None)
    counts: dict[Part, dict[Modality, int]] = {}
    bad: list[BadRow] = []
    used: set[Path] = set()
    lost: set[str] = set()
    for part, rows in source.rows.items():
        known = source.sizes.get(part)
        if spec.kind not in LISTED and usual is not None and known is not None:
            counts[part] = {usual[SIDE_OF_PART[part] == "candidate"]: known}
            continue
        number: Counter[Modality] = Counter()
        for row in rows():
            if isinstance(row, BadRow):
                bad.append(row)
            elif reason := _missing(row, source):
                bad.append(BadRow(row.where, reason))
                lost.add(row.id)
            elif row.partner not in lost:  # a caption goes with its image
                number[row.modality] += 1
                used |= _files_of(row, source.root)
        counts[part] = dict(number)
    return counts, bad, used


def _missing(row: RawRow, source: Source) -> str:
    """Why the picture of a row cannot be read, as far as its name says; "" where it can."""
    if row.image is None or source.root is None or not row.image.source.startswith("file:"):
        return ""
    path = source.root / row.image.source.removeprefix("file:")
    return refusal(source.root, path, source.allow_outside) or ("" if kind(path) == "file" else "no such file")


def _files_of(row: RawRow, root: Path | None) -> set[Path]:
    """The picture of a row, or the file that its text stands in."""
    if root is None or (row.image is not None and not row.image.source.startswith("file:")):
        return set()
    name = row.where.rpartition(":")[0] if row.image is None else row.image.source.removeprefix("file:")
    return {(root / name).resolve()} if name else set()


def _ignored(given: Path, found: Found, used: set[Path]) -> Iterator[Ignored]:
    """Groups of files that lie in the folder and are not read, the reason first."""
    if kind(given) != "folder":
        return
    tables = {table.resolve() for table in found.tables}
    groups: dict[str, list[str]] = {}
    for path in _walk(given):
        if path.resolve() not in used | tables:
            why = _why_ignored(path, given, found)
            if why:
                groups.setdefault(why, []).append(path.relative_to(given).as_posix())
    for why, names in groups.items():
        yield Ignored(why, len(names), tuple(sorted(names)[:EXAMPLES]))


def _why_ignored(path: Path, root: Path, found: Found) -> str:
    """Why a file is not read; "" for a picture of a source that reads pictures by its tables."""
    suffix, read_from = path.suffix.lower(), ", ".join(table.name for table in found.tables)
    if suffix in SUFFIXES:
        if found.source not in LISTED:
            return "pictures: the items stand in " + read_from
        return f"pictures that {read_from} does not name" if read_from else "pictures that cannot be used"
    if suffix in LISTINGS and path.parent == root:
        return f"listings: {read_from} is read" if read_from else "listings without captions of images"
    if suffix == ".txt" and read_from:
        return f"text files: the captions stand in {read_from}"
    return f"{suffix or 'files without an ending'}: neither pictures nor captions"


def _walk(root: Path) -> Iterator[Path]:
    """Files of a folder and below, hidden ones left out, `MOST_FILES` at most."""
    number = 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(folder) / name
                number += 1
                if number == MOST_FILES:
                    return


def _contents(given: Path) -> str:
    """What there is, by ending: `3 .pdf, 1 .docx`."""
    if kind(given) == "file":
        return "one file"
    endings = Counter(path.suffix.lower() or "no ending" for path in _walk(given))
    return ", ".join(f"{number} {ending}" for ending, number in endings.most_common(4)) or "no file in it"
