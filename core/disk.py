"""Writing that survives: enough space, whole files, on the disk before anybody relies on them.

A file is written aside, flushed to the disk (`fsync`), then renamed; the folder is flushed too, since a rename is an
entry of the folder. What comes in over hours (the embeddings) is a memory map whose blocks are reserved beforehand:
writing into a map without blocks on a full disk kills the process (SIGBUS) instead of raising an error.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from core.errors import DiskFull

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
SLACK = 64 * 2**10
"""Bytes a stage writes besides its data: manifest, lock, folders."""
_SAID = ("no space left on device", "disk quota exceeded")
_TORN = ("pytorchstreamwriter failed writing", "unexpected pos", "iostream error", " requested and ")
"""What torch and numpy ("512 requested and 128 written") say where a write came up short; they keep the reason for
themselves. torch has three such sentences, by how far it came."""


def free(path: Path) -> int:
    """Bytes that can be written where `path` is or will be."""
    return shutil.disk_usage(existing(path)).free


def existing(path: Path) -> Path:
    """The path itself, or the nearest of its parents that exists."""
    path = path.absolute()
    return path if path.exists() else existing(path.parent)


def require(path: Path, needed: int, what: str) -> None:
    """Refuse a stage whose data do not fit, before it begins.

    Raises:
        DiskFull: how much is needed, how much is free, where.
    """
    if free(path) < needed + SLACK:
        raise no_space(path, what, needed + SLACK)


def no_space(path: Path, what: str, needed: int | None = None) -> DiskFull:
    """The error of a full disk."""
    place, left = existing(path), free(path)
    needs = f"{what} needs {mib(needed)}" if needed is not None else f"{what} needs more"
    return DiskFull(
        "not enough space on the disk",
        got=f"{needs}; {mib(left)} free in {place}",
        todo=(
            "make room (`retrieval-lens remove --unfinished`), or set RETRIEVAL_LENS_CACHE to a folder on a larger"
            " disk, and run it again: finished parts stay"
        ),
    )


def mib(size: int) -> str:
    """Bytes as MiB, a small size with its decimals."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**20:.3f} MiB"


def is_full(error: BaseException) -> bool:
    """Whether a failure comes from a full disk: libraries wrap the system's error in their own, or in words."""
    seen: BaseException | None = error
    while seen is not None:
        said = str(seen).lower()
        if (isinstance(seen, OSError) and seen.errno in NO_SPACE) or any(words in said for words in (*_SAID, *_TORN)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


@contextmanager
def guarded(path: Path, what: str, needed: int | None = None) -> Iterator[None]:
    """Turns the failure of a full disk into `DiskFull`."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if is_full(error):
            raise no_space(path, what, needed) from error
        raise


def is_writable(path: Path) -> bool:
    """Whether something can be made where `path` is or will be; also for root on a file system mounted read-only."""
    place = existing(path)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        # Some network file systems refuse it for folders: then the rename is as safe as they make it.
        with suppress(OSError) if path.is_dir() else _nothing():
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    temporary = aside(path)
    temporary.write_text(text, encoding="utf-8")
    put(temporary, path)


def aside(path: Path) -> Path:
    """Where a file is written before it is renamed: hidden, so that no manifest lists it, and of this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")


def put(temporary: Path, path: Path) -> None:
    """Rename a finished file to its place, both on the disk afterwards."""
    sync(temporary)
    os.replace(temporary, path)
    sync(path.parent)


def reserved_map(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> tuple[np.memmap, bool]:
    """A `.npy` to be filled over a long time, its blocks reserved; and whether it was there before.

    What is there counts only where header and size are right: an interrupted write can leave anything.
    """
    if (array := _opened(path, shape, dtype)) is not None:
        return array, True
    temporary = aside(path)
    with open(temporary, "wb") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(stream, header)
        stream.flush()
        _reserve(stream.fileno(), stream.tell(), int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    put(temporary, path)
    array = _opened(path, shape, dtype)
    assert array is not None
    return array, False


def _opened(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap | None:
    try:
        array = np.lib.format.open_memmap(path, "r+")
    except (OSError, ValueError, EOFError):  # missing, cut or no array
        return None
    # A file with holes may have the right size: one written by an earlier release has its blocks made here.
    right = array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
    if right:
        with open(path, "rb+") as stream:
            _reserve(stream.fileno(), array.offset, array.nbytes)
    return array if right else None


def _reserve(handle: int, start: int, size: int) -> None:
    """Blocks for `size` bytes from `start` on. Raises: OSError (ENOSPC) where there are too few."""
    if hasattr(os, "posix_fallocate"):
        if size:
            os.posix_fallocate(handle, start, size)
        return
    # macOS has no such call: zeros are written behind what is there.
    end = os.fstat(handle).st_size
    os.lseek(handle, end, os.SEEK_SET)
    for at in range(end, start + size, 2**20):
        os.write(handle, bytes(min(2**20, start + size - at)))
