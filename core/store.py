"""The cache on disk: the only module that writes there.

`Store.build` makes a folder appear whole: data is written aside, `manifest.json` last, everything flushed to the disk,
then one rename. A folder without a manifest that can be believed (`core/manifest.py`), or whose files do not have the
sizes it names, counts as broken: it is listed as that, never read, and written again by whoever needs it. Work folders
of long stages survive an interruption, so that the next process resumes from the last whole shard; a file lock keeps a
second process out. A cache that cannot be written serves what it holds; answers beside it live as long as the process.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock, Timeout

from core import disk
from core.artefact import Draft, Folder, remember
from core.errors import CacheReadOnly
from core.fingerprint import STAGES, stage_key
from core.manifest import MANIFEST, ORIGINS, Mark, Unusable, as_text, read, sealed

WORK, BROKEN = ".work--", ".broken--"
"""How the names of folders begin that are being written, and that `verify --repair` set aside."""
UNPACKING = ".unpack--"
"""The same of the folder in the cache's root into which an archive is unpacked."""
PASSING = ("answer", "captions", "variant")
"""Stages that a read-only cache computes without keeping them; the others take hours, or make what is kept by name."""


def cache_root() -> Path:
    """`RETRIEVAL_LENS_CACHE`, else `cache/` of the checkout, else the user's cache directory."""
    if override := os.environ.get("RETRIEVAL_LENS_CACHE"):
        return Path(override).expanduser()
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "cache").is_dir():
        return checkout / "cache"
    from platformdirs import user_cache_path

    return user_cache_path("retrieval-lens")


def slugify(text: str) -> str:
    """Lower-case letters, digits and dashes, at most 60."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"


@dataclass(frozen=True)
class Broken:
    """A folder of the cache that cannot be used, and why."""

    stage: str
    path: Path
    why: str
    newer: bool = False
    """A later release made it: not to be touched."""

    @property
    def slug(self) -> str:
        return self.path.name.rpartition("--")[0]

    @property
    def key(self) -> str:
        return self.path.name.rpartition("--")[2]


@dataclass(frozen=True)
class Store:
    """The cache below `root`."""

    root: Path

    @classmethod
    def default(cls) -> Store:
        return cls(cache_root())

    def folder_path(self, stage: str, slug: str, key: str) -> Path:
        return self.root / stage / f"{slugify(slug)}--{key}"

    def find(self, stage: str, key: str, origins: Mapping[str, str] | None = None) -> Folder | None:
        """The finished folder of that stage and key, whatever its slug; None where there is none.

        Args:
            origins: key -> digest of its parents as they are now; one made from others is not found.
        """
        for root in (self.root, *_beside(self.root)):
            for path in sorted((root / stage).glob(f"[!.]*--{key}")):
                found = _opened(path, stage)
                if isinstance(found, Folder) and found.made_from(dict(origins or {})):
                    return found
        return None

    def folders(self, stage: str) -> list[Folder]:
        """All finished folders of a stage, newest first."""
        opened = [found for found in self.entries(stage) if isinstance(found, Folder)]
        return sorted(opened, key=lambda f: (f.manifest.get("serial", 0), f.manifest["created"]), reverse=True)

    def entries(self, stage: str) -> Iterator[Folder | Broken]:
        """All folders of a stage, finished and broken, by name."""
        for path in sorted((self.root / stage).glob("[!.]*--*")):
            if path.is_dir():
                yield _opened(path, stage)

    def entries_of(self, stage: str, key: str) -> Iterator[Folder | Broken]:
        """The folders of a key, finished and broken, under whatever slug."""
        for path in sorted((self.root / stage).glob(f"[!.]*--{key}")):
            yield _opened(path, stage)

    def broken(self, stage: str) -> list[Broken]:
        """The folders of a stage that cannot be used."""
        return [found for found in self.entries(stage) if isinstance(found, Broken)]

    def build(
        self,
        stage: str,
        slug: str,
        spec: Mapping[str, Any],
        parents: tuple[str, ...],
        write: Callable[[Draft], None],
        device: str = "cpu",
        needs: int = 0,
        origins: Mapping[str, str] | None = None,
    ) -> Folder:
        """The folder of (stage, spec, parents): found in the cache, or written by `write(draft)`.

        `write` may find files of an interrupted attempt in `draft.path` and go on from them.

        Args:
            needs: bytes that will be written, as far as they are known beforehand.
            origins: key -> digest of the parents it is made from; one made from others is written again.

        Raises:
            DiskFull: before `write` where `needs` bytes are not free, else when they run out. CacheReadOnly.
        """
        key = stage_key(stage, spec, parents)
        if folder := self.find(stage, key, origins):
            return folder
        if not disk.is_writable(self.root / stage):
            if stage not in PASSING:
                raise _read_only(self.root)
            return Store(_passing(self.root)).build(stage, slug, spec, parents, write, device, needs, origins)
        final = self.folder_path(stage, slug, key)
        with disk.guarded(final, stage, needs or None), self._working(stage, key) as work:
            # Another process may have finished it while this one waited for the lock.
            if folder := self.find(stage, key, origins):
                return folder
            if not _is_finished(work, stage, key, origins):
                written = sum(path.stat().st_blocks * 512 for path in work.rglob("*") if path.is_file())
                disk.require(final, max(0, needs - written), stage)
                draft, started = Draft(work, {}), time.perf_counter()
                draft.forget_damaged()
                (work / MANIFEST).unlink(missing_ok=True)
                write(draft)
                for path in draft.results():
                    disk.sync(path)
                content = draft.content(stage, key, spec, parents, device, time.perf_counter() - started)
                content |= {ORIGINS: dict(origins)} if origins else {}
                content |= {"serial": self._next_serial(stage)} if stage == "run" else {}
                disk.write_text(work / MANIFEST, as_text(sealed(content)))
            self._publish(work, final)
        opened = _opened(final, stage)
        assert isinstance(opened, Folder), opened
        for name, entry in opened.manifest["files"].items():
            remember(final / name, Mark.of(final / name), entry["sha256"])  # it was read for its checksum just now
        return opened

    @contextmanager
    def _working(self, stage: str, key: str) -> Iterator[Path]:
        """The work folder of a build, nobody else's while it lasts."""
        work = self.root / stage / f"{WORK}{key}"
        try:
            work.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if disk.is_full(error):
                raise
            raise _read_only(self.root) from error  # a place where no folder can be, whatever its rights say
        with FileLock(f"{work}.lock"):
            work.mkdir(exist_ok=True)
            try:
                yield work
            finally:
                # What was interrupted stays, with its lock, to be gone on with; an empty folder is of no use.
                if work.is_dir() and not any(work.iterdir()):
                    work.rmdir()
                if not work.exists():
                    Path(f"{work}.lock").unlink(missing_ok=True)

    def _publish(self, work: Path, final: Path) -> None:
        """One rename, on the disk when this returns. What helped the build to go on is deleted before it."""
        for path in work.glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for folder in [path for path in work.rglob("*") if path.is_dir()]:
            disk.sync(folder)
        disk.sync(work)
        # A folder of this key that `find` passed over, under whatever slug, is broken or made from other parents.
        for stale in final.parent.glob(f"[!.]*--{final.name.rpartition('--')[2]}"):
            shutil.rmtree(stale)
        os.replace(work, final)
        disk.sync(final.parent)

    def _next_serial(self, stage: str) -> int:
        """Orders runs by their making even where the clock was set back in between."""
        return max((folder.manifest.get("serial", 0) for folder in self.folders(stage)), default=0) + 1

    def state(self, folder: Folder, facts: Mapping[str, Any]) -> Folder:
        """The finished folder with these facts added to its manifest.

        Only for facts that neither its key nor its files depend on. A read-only cache keeps the old ones.
        """
        manifest = sealed(folder.manifest | {"facts": folder.facts | dict(facts)})
        if disk.is_writable(folder.path):
            with disk.guarded(folder.path, folder.stage):
                disk.write_text(folder.path / MANIFEST, as_text(manifest))
        return Folder(folder.path, manifest)

    def remove(self, folder: Folder | Broken) -> int:
        """Delete a folder; returns the bytes freed. The manifest goes first, so a half-deleted folder is never
        trusted."""
        if not disk.is_writable(folder.path.parent):
            raise _read_only(self.root)
        size = _bytes_in(folder.path)
        (folder.path / MANIFEST).unlink(missing_ok=True)
        # Somebody else may remove it at the same time: then it is gone all the same.
        shutil.rmtree(folder.path, ignore_errors=True)
        return size

    def set_aside(self, broken: Broken) -> Path:
        """Rename a broken folder, so that what it holds can be looked at and the next build finds its place free."""
        if not disk.is_writable(broken.path.parent):
            raise _read_only(self.root)
        target = broken.path.with_name(f"{BROKEN}{broken.path.name}")
        if target.exists():
            shutil.rmtree(target)
        os.replace(broken.path, target)
        disk.sync(target.parent)
        return target

    def remove_unfinished(self) -> int:
        """Delete what interrupted builds left to go on from, but for those that somebody works on now, and what
        `verify --repair` set aside; returns the bytes freed."""
        if not disk.is_writable(self.root):
            raise _read_only(self.root)
        freed = _remove_unlocked(self.root, UNPACKING)
        for stage in STAGES:
            for aside in (self.root / stage).glob(f"{BROKEN}*"):
                freed += _bytes_in(aside)
                shutil.rmtree(aside, ignore_errors=True)
            freed += _remove_unlocked(self.root / stage, WORK)
        return freed

    def all_folders(self) -> Iterator[Folder]:
        """Every finished folder of every stage."""
        for stage in STAGES:
            yield from self.folders(stage)


def _opened(path: Path, stage: str) -> Folder | Broken:
    try:
        folder = Folder(path, read(path, stage))
    except Unusable as error:
        return Broken(stage, path, str(error), error.newer)
    for name, entry in folder.manifest["files"].items():
        try:
            size = (path / name).stat().st_size
        except OSError:
            return Broken(stage, path, f"its {name} is missing")
        if size != entry["bytes"]:
            return Broken(stage, path, f"its {name} has {size:,} bytes, {entry['bytes']:,} were written")
    return folder


def _is_finished(work: Path, stage: str, key: str, origins: Mapping[str, str] | None) -> bool:
    """Whether a work folder lacks nothing but its rename, the process having ended right before it."""
    try:
        folder = Folder(work, read(work, stage))
    except Unusable:
        return False
    return folder.key == key and folder.origins == dict(origins or {}) and not folder.verify()


def _remove_unlocked(parent: Path, prefix: str) -> int:
    """Delete the folders of that prefix that nobody works in now; returns the bytes freed."""
    freed = 0
    # A lock may have outlived its folder, and a folder its lock.
    left = {path.name.removesuffix(".lock") for path in parent.glob(f"{prefix}*")}
    for work in [parent / name for name in sorted(left)]:
        with suppress(Timeout), FileLock(f"{work}.lock", blocking=False):
            freed += _bytes_in(work)
            shutil.rmtree(work, ignore_errors=True)
            Path(f"{work}.lock").unlink(missing_ok=True)
    return freed


def _bytes_in(folder: Path) -> int:
    """Bytes of a folder's files; those that go away meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _read_only(root: Path) -> CacheReadOnly:
    return CacheReadOnly(
        "nothing can be written into the cache",
        got=root,
        todo="set RETRIEVAL_LENS_CACHE to a folder you may write to; a copy of this cache works there",
    )


_PASSING: dict[Path, Path] = {}
_PASSING_LOCK = Lock()


def _beside(root: Path) -> tuple[Path, ...]:
    """Where this process keeps answers beside a read-only cache, if it has any."""
    return (_PASSING[root],) if root in _PASSING else ()


def _passing(root: Path) -> Path:
    """A folder for answers beside a read-only cache, deleted with the process that made it; says so once."""
    with _PASSING_LOCK:
        if root not in _PASSING:
            folder, owner = Path(tempfile.mkdtemp(prefix="retrieval-lens-")), os.getpid()
            atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == owner else None)
            sys.stderr.write(f"retrieval-lens: nothing can be written into {root}; answers are computed, not kept\n")
            _PASSING[root] = folder
    return _PASSING[root]
