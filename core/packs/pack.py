"""Write a run as one archive (`archive.py`), whole or not at all; two archives of one cache are equal byte by byte."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core import disk
from core.errors import CacheCorrupt, UserError
from core.inventory import missing_folders
from core.packs import content
from core.packs.archive import INDEX, Index, total, write
from core.packs.content import Source
from core.paths import kind
from core.run import Run
from core.store import Folder


@dataclass(frozen=True)
class Packed:
    """What `pack` wrote."""

    path: Path
    bytes: int
    sha256: str
    """Of the whole archive: to stand beside its link, since sums within an archive can be forged with it."""
    files: int
    answers: int
    """Cached answers that went along."""
    pictures: bool
    """Whether full pictures went along; thumbnails always do."""
    model: bool


def pack(run: Run, out: Path, thumbnails: bool = False, model: bool = False) -> Packed:
    """Write the run with all that its pages need into `out`, an earlier archive there replaced.

    Args:
        thumbnails: leave the full pictures out.
        model: take the model's files along.

    Raises:
        UserError: `out` lies in the cache, cannot be written or is something else than an archive. DiskFull.
        CacheCorrupt: something that the run was made from is missing or broken. CorpusError: a picture is gone.
    """
    with _one_line(out), disk.guarded(out, "the archive"):
        out = out.expanduser().resolve()
        _check_place(run, out)
        unwanted = {"pictures": thumbnails, "model": not model}
        folders = [f for f in content.folders_of(run) if not unwanted.get(f.manifest["spec"].get("holds"), False)]
        if lacks := missing_folders(run, {folder.key: folder for folder in folders}):
            stage, key = lacks[0]
            raise CacheCorrupt(f"run {run.name!r} needs {stage}/*--{key}, which cannot be used", todo=run.mend)
        sources = [source for folder in folders for source in content.of_folder(folder)]
        made = {
            "origin": [] if run.was_unpacked else content.origin(run),
            "pictures": [] if thumbnails or run.was_unpacked else content.pictures(run),
            "model": content.model(run) if model and not run.carried("model") else [],
        }
        sources += [source for more in made.values() for source in more]
        return _write(run, out, sorted(sources, key=lambda s: s.entry.name), _slugs(run, folders, sources))


def _slugs(run: Run, folders: list[Folder], sources: list[Source]) -> dict[tuple[str, str], str]:
    """(stage, key) -> slug of every folder."""
    known = {(folder.stage, folder.key): folder.path.name.rpartition("--")[0] for folder in folders}
    own = run.folder.path.name.rpartition("--")[0]
    return {(s.entry.stage, s.entry.key): known.get((s.entry.stage, s.entry.key), own) for s in sources}


def _write(run: Run, out: Path, sources: list[Source], slugs: dict[tuple[str, str], str]) -> Packed:
    by_name = {source.entry.name: source for source in sources}
    folders = tuple((stage, key, slug) for (stage, key), slug in sorted(slugs.items()))
    index = Index(run.name, run.key, folders, tuple(source.entry for source in sources))
    disk.require(out, total(index), "the archive")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = disk.aside(out)
    try:
        with open(temporary, "wb") as stream:
            checksum = write(stream, index, lambda entry: by_name[entry.name].chunks())
        disk.put(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return Packed(
        path=out,
        bytes=total(index),
        sha256=checksum,
        files=len(index.entries),
        answers=sum(stage == "answer" for stage, _, _ in folders),
        pictures=any(entry.file.endswith("-pictures.npy") for entry in index.entries),
        model=any(entry.file.startswith("model/") for entry in index.entries),
    )


def _check_place(run: Run, out: Path) -> None:
    cache = run.store.root.resolve()
    if cache in out.parents or out == cache:
        raise UserError("cannot pack into the cache", got=out, allowed="a file outside the cache")
    what = kind(out)
    if what == "nothing" and not out.is_symlink():
        return
    if what != "file" or not _is_archive(out):
        got = f"{out}, {'a folder' if what == 'folder' else 'which is there and is none'}"
        raise UserError("cannot pack over what is no archive", got=got, allowed="a new file, or an earlier archive")


def _is_archive(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(INDEX) + 1) == f"{INDEX}\0".encode()


@contextmanager
def _one_line(out: Path) -> Iterator[None]:
    """A place that may not be written is the user's to mend."""
    try:
        yield
    except OSError as error:
        unusable = disk.READ_ONLY | {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR}
        mine = error.filename is not None and os.path.dirname(os.fspath(out)) in str(error.filename)
        if error.errno not in unusable or not mine:
            raise
        raise UserError("cannot pack", got=f"{out}: {error.strerror}", allowed="a file you may write") from error
