"""A run: one corpus x one model x one embedding setting, with what was derived from it.

In: a finished "run" folder of the cache. Out: lazy, read-only access to its parts. It computes nothing;
`core.pipeline` makes runs, `core.questions` asks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from core.config import OWN_MODEL, Family, Place, RunSpec, stored_spec
from core.errors import CacheCorrupt, NotAvailable, RunNotFound
from core.memo import Memo
from core.records import PARTS, EmbeddingView, Part, Qrels, SaeRecord, Split
from core.store import Folder, Store
from core.waiting import about_to_compute

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from core.corpus import Corpus
    from core.models import Adapter

T = TypeVar("T")

_ADAPTERS = Memo()
"""Model key -> adapter: a model of many gigabytes is loaded once per process, whatever number of runs uses it."""


@dataclass(frozen=True)
class SaeOption:
    """One dictionary of a run: "width x K", both numbers (K 0 where the architecture fixes none), and its folder of the
    cache."""

    name: str
    width: int
    k: int
    folder: Folder


@dataclass(frozen=True)
class Run:
    """One run of the cache, opened."""

    folder: Folder
    store: Store
    _memos: Memo = field(default_factory=Memo, repr=False, compare=False)
    """Kind of value -> the memo of that kind."""

    @property
    def key(self) -> str:
        return self.folder.key

    @property
    def name(self) -> str:
        return self.folder.facts["name"]

    @property
    def model_name(self) -> str:
        return self.folder.facts["model"]

    @property
    def family(self) -> Family:
        """What kind of model made the vectors: stated by the spec, else by the table of models, else unknown.

        Never inferred from the embeddings: own vectors may come from any model.
        """
        from core.models.table import family_of

        stated = self.folder.facts.get("family", "unknown")
        known = (family_of(name) for name in (self.model_name, self.spec.model.name))
        return next((family for family in (stated, *known) if family != "unknown"), "unknown")

    @cached_property
    def spec(self) -> RunSpec:
        spec = stored_spec(self.folder.manifest["spec"])
        if self.folder.facts.get("steps_left_out"):  # the key, and with it the manifest, holds a number in its place
            spec = replace(spec, sae=replace(spec.sae, steps=None))
        return spec

    @cached_property
    def corpus(self) -> Corpus:
        from core.corpus import open_corpus

        return open_corpus(self._parent("corpus", self.folder.facts["corpus"]))

    @property
    def views(self) -> tuple[EmbeddingView, ...]:
        """Ways of embedding that were stored; the first is the default."""
        return tuple(EmbeddingView(**v) for v in self.folder.facts["views"])

    @property
    def view(self) -> EmbeddingView:
        return self.views[0]

    @property
    def preset(self) -> str:
        """Style of the prompts, as resolved from the spec's (which may say "auto"); "" for a model that takes none."""
        return self.encode_folder(self.parts[0]).facts.get("preset", "")

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(p for p in PARTS if p in self.folder.facts["encode"])

    @property
    def has_support(self) -> bool:
        """Whether there are support pairs (queries and candidates with qrels)."""
        return "support_queries" in self.parts and "support_candidates" in self.parts

    def embeddings(self, part: Part, view: EmbeddingView | None = None) -> np.ndarray:
        """(n, d) fp32 raw pooled embeddings of a part, a read-only memmap."""
        view = view or self.view
        if view not in self.views:
            raise NotAvailable(
                f"run {self.name!r} has no embeddings of {view}",
                allowed=", ".join(map(str, self.views)),
                todo=(
                    f"add layer {view.layer}, pooling {view.pooling!r}, mask {view.mask!r} to [embedding] and run it"
                    " again"
                ),
            )
        return self.encode_folder(part).array(str(view))

    def words(self, part: Part, place: Place) -> csr_matrix:
        """(n, v) next-word distributions of a part, 256 square roots of probabilities in each row
        (`core/models/answer.py`)."""
        from core.models.answer import WORD_VIEWS, as_sparse

        if place not in self.spec.embedding.words:
            raise NotAvailable(
                f"run {self.name!r} stores no next words at {place!r}",
                allowed=", ".join(map(repr, self.spec.embedding.words)) or "none",
                todo='put words = ["answer", "last"] under [embedding] of its spec and run it again',
            )
        folder = self.encode_folder(part)
        return as_sparse(folder.array(str(WORD_VIEWS[place])), folder.facts["vocabulary"])

    def encode_folder(self, part: Part) -> Folder:
        """The folder that holds the embeddings of a part."""
        return self._parent("encode", self._of_part("encode", part))

    def codes(self, part: Part) -> csr_matrix:
        """(n, c) sparse codes of a part in embedding units with unit dictionary rows (docs/study.md section 3)."""
        from core.sae import load_codes

        key = self._of_part("codes", part)
        return self.memo(("codes", part), lambda: load_codes(self._parent("codes", key)))

    def offset(self, part: Part) -> np.ndarray:
        """(1, d) or (n, d): what the codes do not carry, h = z D + u + e."""
        return self._parent("codes", self._of_part("codes", part)).array("offset")

    @cached_property
    def sae(self) -> SaeRecord | None:
        """The dictionary, or None for a run without one."""
        key = self.folder.facts["sae"]
        if key is None:
            return None
        folder = self._parent("sae", key)
        facts = folder.facts
        return SaeRecord(folder.array("dictionary"), facts["k"], facts["input"], facts["source"], facts["trained_on"])

    def saes(self) -> tuple[SaeOption, ...]:
        """The run's dictionary, then those of other width or K that were trained beside it; empty for a run without
        one."""
        own = self.folder.facts["sae"]
        keys = self.folder.facts.get("saes") or ([own] if own else [])
        folders = [self._parent("sae", key) for key in keys]
        return tuple(
            SaeOption(f"{f.facts['width']} x {f.facts['k']}", f.facts["width"], f.facts["k"], f) for f in folders
        )

    @property
    def sae_folder(self) -> Folder:
        """The folder of the SAE."""
        if self.folder.facts["sae"] is None:
            raise self.no_sae()
        return self._parent("sae", self.folder.facts["sae"])

    def need_sae(self) -> SaeRecord:
        """The dictionary; NotAvailable where the run was made without one."""
        if self.sae is None:
            raise self.no_sae()
        return self.sae

    def no_sae(self) -> NotAvailable:
        return NotAvailable(
            f"run {self.name!r} has no SAE",
            got='[sae] source = "none"',
            todo='set [sae] source = "train" and run it again',
        )

    def qrels(self, split: Split = "test") -> Qrels:
        """Relevant pairs as rows; split "test" or "support"."""
        return self.memo(("qrels", split), lambda: self.corpus.qrels(split))

    def adapter(self) -> Adapter:
        """The model, loaded once per process and shared by all runs that use it."""
        from core.models import load_model

        if self.model_name == OWN_MODEL:
            todo = "give the run a [model] and a corpus with items to see inside them"
            raise NotAvailable(f"run {self.name!r} holds own embeddings, without a model", todo=todo)
        key = self.folder.facts["model_key"]

        def load() -> Adapter:
            about_to_compute()
            return load_model(self.spec.model)

        return _ADAPTERS.get(key, load)

    def memo(self, key: tuple[Hashable, ...], make: Callable[[], T], limit: int | None = None) -> T:
        """The value of `key`, made by `make()` once and shared by all threads (several sessions share a run).

        `key[0]` names the kind of value, such as "evaluation". `limit` bounds how many values of that kind stay in
        memory; the first call for a kind decides it. `make` may ask for other keys, but not for its own.
        """
        return self._memos.get(key[0], lambda: Memo(limit)).get(key, make)

    def _of_part(self, stage: str, part: Part) -> str:
        key = self.folder.facts[stage].get(part)
        if key is None and stage == "codes" and self.folder.facts["sae"] is None:
            raise self.no_sae()
        if key is None:
            raise NotAvailable(f"run {self.name!r} has no {part.replace('_', ' ')}", allowed=", ".join(self.parts))
        return key

    def _parent(self, stage: str, key: str) -> Folder:
        def find() -> Folder:
            folder = self.store.find(stage, key)
            if folder is None:
                raise CacheCorrupt(
                    f"run {self.name!r} needs {stage}/*--{key}, which is missing or not whole",
                    todo=f"make the run again; `retrieval-lens verify {self.name}` says what is broken",
                )
            return folder

        return self.memo(("folder", stage, key), find)


def list_runs(store: Store) -> list[Run]:
    """All runs of the cache, newest first."""
    return [Run(folder, store) for folder in store.folders("run")]


def open_run(name: str, store: Store | None = None) -> Run:
    """The run of that name, key, or unique prefix of a key (4 digits or more); the newest where a name is used twice.

    Without a store: the default one (cache/ of a checkout, else the user's cache directory).

    Raises:
        RunNotFound: none or several fit; the message lists the names there are.
    """
    runs = list_runs(store or Store.default())
    if named := [r for r in runs if r.name == name]:
        return named[0]  # newest first: a run made again under its name is the one that is meant
    keyed = [r for r in runs if len(name) >= 4 and re.fullmatch("[0-9a-f]+", name) and r.key.startswith(name)]
    if len(keyed) == 1:
        return keyed[0]
    if keyed:
        raise RunNotFound("several runs fit", got=repr(name), allowed=", ".join(f"{r.key} ({r.name})" for r in keyed))
    known = ", ".join(sorted({r.name for r in runs})) or "none yet"
    raise RunNotFound(
        "no such run",
        got=repr(name),
        allowed=known,
        todo="`retrieval-lens runs` lists them, `retrieval-lens demo` makes some",
    )
