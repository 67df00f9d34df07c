"""`[corpus]`: which items, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from core.config.checks import Between, check_fields
from core.config.choices import CorpusSource
from core.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    source: CorpusSource
    """Where the items come from."""
    path: str | None = None
    """Folder or file of the source; not used by `demo`."""
    task: Annotated[int, Between(1, 8)] = 4
    """Task type of M-BEIR (4: image -> text)."""
    limit: Annotated[int | None, Between(1, 10**9)] = None
    """At most this many queries; left out: all."""
    max_bad_share: Annotated[float, Between(0, 1)] = 0.05
    """Share of bad rows above which nothing is encoded."""
    allow_outside: bool = False
    """Whether files that a listing names, and links, may lead out of the folder. Only for a corpus that you trust: its
    listing decides which files of this machine are read."""

    def __post_init__(self) -> None:
        check_fields("corpus", self)
        if self.source != "demo" and not self.path:
            raise SpecError(
                f"[corpus] source {self.source!r} needs a path", got="no path", todo='add path = "..." to [corpus]'
            )
