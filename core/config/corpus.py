"""`[corpus]`: which items, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast, get_args

from core.config.checks import Between, Shape, Words, check_fields
from core.config.choices import CorpusSource
from core.errors import SpecError

MTEB = "mteb"
SOURCES = tuple(f"{word}:TASK" if word == MTEB else word for word in get_args(CorpusSource))
SUBSET = Shape(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", "1 to 64 letters, digits, '.', '_', '+' or '-'")
WITHOUT_PATH = ("demo", MTEB)
"""Sources that need no path."""


@dataclass(frozen=True, kw_only=True)
class CorpusSpec:
    source: Annotated[str, Words(SOURCES)]
    """Where the items come from; `mteb:TASK` is a retrieval task of the package mteb, by its name there."""
    path: str | None = None
    """Folder or file of the source. Not used by `demo`; of an mteb task: a folder of predictions or embeddings that
    mteb has written for it."""
    task: Annotated[int, Between(0, 8)] = None  # type: ignore[assignment]  # a number once it is made, but for mteb
    """Task type of M-BEIR (4: image -> text); left out: 4, with `beir` 2, with `mixed` 0, with `mteb:TASK` as that
    task says. 0: none of these, a pool of several modalities."""
    split: Annotated[str | None, SUBSET] = None
    """Split of an mteb task, or file of qrels of a `beir` folder; left out: `test`, or the only one there is."""
    language: Annotated[str | None, SUBSET] = None
    """Language of an mteb task, as its subset there (`de`) or as a code (`deu`, `deu-Latn`); left out: the only one."""
    limit: Annotated[int | None, Between(1, 10**9)] = None
    """At most this many queries; left out: all."""
    max_bad_share: Annotated[float, Between(0, 1)] = 0.05
    """Share of bad rows above which nothing is encoded."""
    allow_outside: bool = False
    """Whether files that a listing names, and links, may lead out of the folder. Only for a corpus that you trust: its
    listing decides which files of this machine are read."""

    def __post_init__(self) -> None:
        check_fields("corpus", self)
        if self.kind not in WITHOUT_PATH and not self.path:
            raise SpecError(
                f"[corpus] source {self.source!r} needs a path", got="no path", todo='add path = "..." to [corpus]'
            )
        for key, readers in (("split", (MTEB, "beir")), ("language", (MTEB,))):
            if getattr(self, key) and self.kind not in readers:
                allowed = "mteb:TASK" + (" or beir" if "beir" in readers else "")
                raise SpecError(
                    f"[corpus] {key} is for {allowed}", got=f"source = {self.source!r}", todo="leave it out"
                )
        if self.kind == "beir" and self.task not in {None, 2}:
            raise SpecError("a beir folder holds texts", got=f"task = {self.task}", allowed="2", todo="leave it out")
        if self.task is None and self.kind != MTEB:
            object.__setattr__(self, "task", {"beir": 2, "mixed": 0}.get(self.kind, 4))

    @property
    def kind(self) -> CorpusSource:
        """What reads it: the source without the name of a task."""
        return cast(CorpusSource, self.source.partition(":")[0])

    @property
    def mteb_task(self) -> str:
        """Name of the mteb task; "" for every other source."""
        return self.source.partition(":")[2]

    @property
    def is_own(self) -> bool:
        """Whether its items come with vectors, so that there is no model to load."""
        return self.kind == "embeddings" or (self.kind == MTEB and bool(self.path))
