"""Every error a user can meet, as one tree.

RetrievalLensError
└── UserError            the input is at fault: one line of what, got, allowed, next; exit code 1
    ├── SpecError        a key or value of a spec file or of the command line
    ├── CorpusError      a corpus that cannot be used
    ├── ModelError       a model that cannot be loaded or is not known
    ├── SaeError         a dictionary that cannot be loaded, trained or that does not fit
    ├── ShapeMismatch    two arrays that do not belong together
    ├── VariantError     a chain of transforms that cannot be read or fitted
    ├── TooLarge         more memory than this machine has
    ├── RunNotFound      no run (or more than one) of that name or key
    ├── NotAvailable     an ingredient the run does not have, and the command that adds it
    ├── CacheCorrupt     a folder of the cache that is not what its manifest says
    ├── EngineError      workers that cannot be started or reached, or that fail all the time
    ├── CacheReadOnly    a cache in which nothing can be written
    └── DiskFull         not enough space for what is to be written

Anything else that escapes is a fault of ours: exit code 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from core.text import printable, shortened

MOST = 600
"""Characters of `got` that a message repeats; `allowed` is written by us and stays whole."""


class RetrievalLensError(Exception):
    """Base of all errors raised on purpose."""


class UserError(RetrievalLensError):
    """The user's input is at fault. Its message is one line that is safe to print, whatever was given.

    Args:
        what: what failed, one clause.
        got: what was given.
        allowed: what would have been right.
        todo: what to do next.
    """

    def __init__(self, what: str, *, got: object = None, allowed: object = None, todo: str | None = None) -> None:
        self.what, self.got, self.allowed, self.todo = what, got, allowed, todo
        parts = [what]
        parts += [f"got {shortened(str(got), MOST)}"] if got is not None else []
        parts += [f"allowed: {allowed}"] if allowed is not None else []
        parts += [f"next: {todo}"] if todo else []
        super().__init__(printable("; ".join(parts)))


class SpecError(UserError):
    """A key or value of a spec file or of the command line."""


class CorpusError(UserError):
    """A corpus that cannot be used."""


class ModelError(UserError):
    """A model that cannot be loaded or is not known."""


class SaeError(UserError):
    """A dictionary that cannot be loaded, trained or that does not fit."""


class ShapeMismatch(UserError):
    """Two arrays that do not belong together."""


class VariantError(UserError):
    """A chain of transforms that cannot be read or fitted."""


class TooLarge(UserError):
    """More memory than this machine has, estimated before it was tried."""


class RunNotFound(UserError):
    """No run, or more than one, of that name or key."""


class NotAvailable(UserError):
    """An ingredient the run does not have, and the command that adds it."""


class CacheCorrupt(UserError):
    """A folder of the cache that is not what its manifest says."""


class EngineError(UserError):
    """Workers of `--engine ray` that cannot be started or reached, or that fail all the time."""


class CacheReadOnly(UserError):
    """A cache in which nothing can be written."""


class DiskFull(UserError):
    """Not enough space for what is to be written."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The allowed words, the one nearest to `word` first: `'layers' (nearest), 'masks'`."""
    known = sorted(known)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    rest = [repr(k) for k in known if k not in close]
    return ", ".join([f"{close[0]!r} (nearest)", *rest] if close else rest)
