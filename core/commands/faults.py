"""Whose fault an exception is: what the machine or the user brought about becomes one line and exit code 1.

Everything else that escapes a command is a fault of ours and ends with exit code 3.
"""

from __future__ import annotations

import errno
from pathlib import Path

from core.errors import UserError
from core.paths import within
from core.store import cache_root
from core.text import printable

OF_THE_MACHINE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP,
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EBUSY, errno.ESTALE,
}  # fmt: skip
"""Errors of a file system that no program can help: no permission, no space, no such folder to make one in."""


def user_error(error: Exception) -> UserError | None:
    """The error in four parts where machine or user are at fault, else None."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, MemoryError):
        todo = "close other programs, or set a smaller batch, width or limit in the spec"
        return UserError("there is not enough memory", got=str(error) or None, todo=todo)
    if isinstance(error, OSError):
        return _of_the_disk(error)
    return None


def _of_the_disk(error: OSError) -> UserError | None:
    """An error of the file system, where no program could help it."""
    if not isinstance(error.filename, str | bytes) or error.errno is None:
        return None
    path = Path(error.filename if isinstance(error.filename, str) else error.filename.decode(errors="surrogateescape"))
    root = cache_root()
    # A missing folder is the machine's fault only where a cache was to be made: elsewhere a file of ours is missing.
    of_cache = within(root, path) or root.is_relative_to(path)
    if error.errno not in OF_THE_MACHINE and not (of_cache and error.errno == errno.ENOENT):
        return None
    got = f"{printable(path)}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError("the disk is full", got=got, todo="make room, and give the same command again")
    if of_cache:
        todo = "set RETRIEVAL_LENS_CACHE to a folder that you may write to"
        return UserError("the cache cannot be used", got=got, allowed="a folder, or a path to make one at", todo=todo)
    return UserError("a file or folder cannot be used", got=got, todo="check the path and its permissions")
