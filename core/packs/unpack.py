"""Take an archive into the cache, trusting nothing, whole or not at all.

1. The index is read and checked; the archive's size must be the one it makes (`archive.py`).
2. The disk must have room for it, and no other run of its name may be here.
3. Every file is written aside, into a folder of its own within the cache, by names that the index was allowed to have.
4. What was written is opened as a cache of its own: manifests against their sums and their files, the run against what
   it was made from, and nothing may be in it that does not belong to the run.
5. Folders are renamed to their places, the run's own last. If one of them cannot be, all go back.

Sums show damage. They are no signatures: who made an archive can make its sums too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from core import disk
from core.artefact import remember
from core.corpus.rows import SIDES_OF_SPLIT
from core.errors import CacheReadOnly, UserError
from core.inventory import missing_folders, needed, remove
from core.manifest import LARGEST, MANIFEST, Mark
from core.packs.archive import Entry, Index, NotAPack, read_files, read_index
from core.packs.content import folders_of, is_of_model
from core.paths import NOT_REGULAR, kind
from core.run import Run, broken_runs, list_runs
from core.store import UNPACKING, WORK, Folder, Store, slugify

ELSEWHERE = "unpack it into a cache of its own: RETRIEVAL_LENS_CACHE=FOLDER"


@dataclass(frozen=True)
class Unpacked:
    """A run that is in the cache now: how many folders came, and how many were here already, equal."""

    run: Run
    new: int
    known: int
    replaced: tuple[str, ...]
    """Keys of runs of its name that were deleted."""


def unpack(path: Path, store: Store, overwrite: bool = False) -> Unpacked:
    """Take the run of an archive into the cache.

    Args:
        overwrite: delete other runs of its name, and take its folders in the place of equal ones with other numbers,
            as long as no other run uses them.

    Raises:
        NotAPack: it is none, is damaged, or holds what may not be unpacked. UserError: a run of that name, or folders
            with other numbers, are here. CacheReadOnly. DiskFull.
    """
    if (what := kind(path)) != "file":
        words = {"nothing": "there is none", "folder": "a folder", "other": NOT_REGULAR}
        raise NotAPack(f"{path}: {words[what]}")
    if not disk.is_writable(store.root):
        todo = "set RETRIEVAL_LENS_CACHE to a folder you may write to"
        raise CacheReadOnly("nothing can be written into the cache", got=store.root, todo=todo)
    with disk.guarded(store.root, "the run"), open(path, "rb") as stream:
        index = read_index(stream, path.stat().st_size)
        _check_names(index)
        _check_clash(index.run, index.key, store, overwrite)
        disk.require(store.root, index.data, "the run")
        with _aside(store) as place:
            run = _written(stream, index, Store(place))
            with _turn(run, store):
                return _taken_in(run, store, Store(place / ".old"), overwrite)


def _check_names(index: Index) -> None:
    """Refuse members that a run's archive never has, before anything is written."""
    for entry in index.entries:
        if entry.file == MANIFEST and entry.bytes > LARGEST:
            raise NotAPack(f"{entry.name} of {entry.bytes:,} bytes")
        if entry.stage == "carried" and entry.file.startswith("model/") and not is_of_model(Path(entry.file)):
            raise NotAPack(f"{entry.name}, which is no file of a model")


def _check_clash(name: str, key: str, store: Store, overwrite: bool) -> list[Run]:
    """The other runs of that name that are here; refused unless they may be overwritten."""
    others = [run for run in list_runs(store) if run.name == name and run.key != key]
    broken = [run.key for run in broken_runs(store) if run.name == slugify(name) and run.key != key]
    if (here := [*(run.key for run in others), *broken]) and not overwrite:
        got, todo = f"run {name!r} with other settings, {here[0]}", f"--overwrite deletes that one; or {ELSEWHERE}"
        raise UserError("a run of that name is here already", got=got, todo=todo)
    return others


@contextmanager
def _aside(store: Store) -> Iterator[Path]:
    """A folder within the cache that nobody reads, deleted at the end; locked, so that nobody else deletes it."""
    store.root.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=UNPACKING, dir=store.root))
    lock = FileLock(f"{place}.lock")
    with lock:
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


@contextmanager
def _turn(run: Run, store: Store) -> Iterator[None]:
    """Alone with this run's key: neither another archive of it nor its own build renames its folders meanwhile."""
    lock = FileLock(store.root / "run" / f"{WORK}{run.key}.lock")
    Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def _written(stream: BinaryIO, index: Index, aside: Store) -> Run:
    """The archive's run, written into a store of its own and checked as any run of the cache."""
    places = {(stage, key): aside.folder_path(stage, slug, key) for stage, key, slug in index.folders}

    def put(entry: Entry) -> BinaryIO:
        path = places[entry.stage, entry.key] / entry.file
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")

    for entry in read_files(stream, index, put):
        disk.sync(places[entry.stage, entry.key] / entry.file)
    by_key = {}
    for stage, key, _ in index.folders:
        folder = next(iter(aside.entries_of(stage, key)), None)
        if not isinstance(folder, Folder):
            why = folder.why if folder else "it is missing"
            raise NotAPack(f"{stage}/{key}: {why}")
        by_key[key] = folder
    _check_listed(index, by_key)
    runs = list_runs(aside)
    if [(run.key, run.name) for run in runs] != [(index.key, index.run)]:
        why = next((broken.why for broken in broken_runs(aside)), "another run than its index says, or several")
        raise NotAPack(why)
    if lacks := missing_folders(runs[0], by_key):
        raise NotAPack(f"{'/'.join(lacks[0])} is missing, or not the one that the run was made from")
    belongs = {folder.key for folder in folders_of(runs[0])}
    if foreign := sorted(by_key.keys() - belongs):
        raise NotAPack(f"{by_key[foreign[0]].stage}/{foreign[0]}, which is no part of the run")
    if not runs[0].was_unpacked:
        raise NotAPack("it does not say that it is one")
    for entry in index.entries:  # their checksums were computed while they were written
        path = places[entry.stage, entry.key] / entry.file
        remember(path, Mark.of(path), entry.sha256)
    _check_content(runs[0])
    return runs[0]


def _check_content(run: Run) -> None:
    """Refuse arrays and tables that are not those of a run though every sum fits: whoever made them made the sums."""
    try:
        for part in run.parts:
            n = len(run.corpus.items(part).ids)
            shapes = [run.embeddings(part, view).shape for view in run.views]
            if run.sae is not None:
                shapes += [run.codes(part).shape]
            if any(len(shape) != 2 or shape[0] != n for shape in shapes):
                raise NotAPack(f"the {part} have {n} items and arrays of {', '.join(map(str, shapes))}")
        for split, parts in SIDES_OF_SPLIT.items():
            pairs = run.qrels(split).pairs
            sizes = [len(run.corpus.items(part)) if part in run.parts else 0 for part in parts]
            if len(pairs) and not ((pairs >= 0).all() and (pairs.max(axis=0) < sizes).all()):
                raise NotAPack(f"its {split} pairs name rows that are not there")
    except NotAPack:
        raise
    except UserError as error:
        raise NotAPack(error.what) from error
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise NotAPack(f"its parts cannot be opened: {type(error).__name__}") from error


def _check_listed(index: Index, by_key: dict[str, Folder]) -> None:
    """Refuse files that their folder's manifest does not list, or lists with other sums."""
    for entry in index.entries:
        files = by_key[entry.key].manifest["files"]
        if entry.file == MANIFEST:
            continue
        listed = files.get(entry.file)
        if listed is None or (listed["bytes"], listed["sha256"]) != (entry.bytes, entry.sha256):
            raise NotAPack(f"{entry.name} is not in its manifest, or differs there")


def _taken_in(run: Run, store: Store, old: Store, overwrite: bool) -> Unpacked:
    """Rename the folders of a checked run to their places in the cache, the run's own last."""
    folders = sorted(folders_of(run), key=lambda folder: folder.stage == "run")
    here = {folder.key: store.find(folder.stage, folder.key) for folder in folders}
    new = [folder for folder in folders if not _equal(here[folder.key], folder)]
    if _equal(here[run.key], run.folder) and not Run(run.folder, store).was_unpacked:
        # It was made here: its pictures and its model are where it says.
        new = [folder for folder in new if folder.stage != "carried"]
    clash = [known for folder in new if (known := here[folder.key]) is not None]
    others = _check_clash(run.name, run.key, store, overwrite)
    _check_shared(run, clash, store, overwrite)
    moved: list[tuple[Path, Path]] = []
    try:
        for folder in new:
            final = store.folder_path(folder.stage, folder.path.name.rpartition("--")[0], folder.key)
            final.parent.mkdir(parents=True, exist_ok=True)
            # What is here under this key is broken, or may be overwritten: it comes back if anything fails.
            for stale in store.entries_of(folder.stage, folder.key):
                _move(stale.path, old.root / folder.stage / stale.path.name, moved)
            _move(folder.path, final, moved)
            disk.sync(final.parent)
    except BaseException:
        for source, target in reversed(moved):
            os.rename(target, source)
        raise
    for other in others:
        remove(other)
    found = store.find("run", run.key)
    assert found is not None, run.key
    replaced = tuple(other.key for other in others)
    return Unpacked(Run(found, store), len(new), len(folders) - len(new), replaced)


def _equal(known: Folder | None, folder: Folder) -> bool:
    """Whether the cache has this folder with the same numbers, made from the same.

    An answer of the same run is as good as ours whatever its digest: some hold what was measured on a machine.
    """
    if known is None or not known.made_from(folder.origins):
        return False
    return known.stage == "answer" or known.digest == folder.digest


def _check_shared(run: Run, clash: list[Folder], store: Store, overwrite: bool) -> None:
    """Refuse to replace folders that hold other numbers: without leave, or where another run was made from them."""
    if not clash:
        return
    keys = {folder.key for folder in clash}
    users = [other.name for other in list_runs(store) if other.key != run.key and keys & {k for _, k in needed(other)}]
    what = f"{clash[0].stage}/{clash[0].path.name}, made with other numbers"
    if users:
        got = f"{what}; run {users[0]!r} needs it as it is"
        raise UserError("the cache holds another version of a part of this run", got=got, todo=ELSEWHERE)
    if not overwrite:
        todo = f"--overwrite replaces it; or {ELSEWHERE}"
        raise UserError("the cache holds another version of this run", got=what, todo=todo)


def _move(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(source, target)
    moved.append((source, target))
