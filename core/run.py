"""A run: one corpus x one model x one embedding setting, with what was derived from it.

In: a finished "run" folder of the cache. Out: lazy, read-only access to its parts. It computes nothing;
`core.pipeline` makes runs, `core.questions` asks them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import numpy as np

from core.artefact import MEND, origins_of
from core.config import OWN_MODEL, Dtype, Family, Place, RunSpec, stored_spec
from core.errors import CacheCorrupt, NotAvailable, RunNotFound, UserError
from core.fingerprint import stage_key
from core.memo import Memo
from core.records import PARTS, EmbeddingView, Part, Qrels, SaeRecord, Split
from core.store import Broken, Folder, Store, slugify
from core.waiting import about_to_compute

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from core.config.choices import Preset
    from core.corpus import Corpus
    from core.models import Adapter

T = TypeVar("T")
Holds = Literal["origin", "pictures", "model"]
"""What a folder of stage "carried" holds."""


def carried_spec(holds: Holds) -> dict[str, str]:
    """The spec of a folder of stage "carried"."""
    return {"holds": holds}


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
        from core.corpus.carried import Carried

        carried = Carried(self.carried("pictures")) if self.was_unpacked else None
        return open_corpus(self._parent("corpus", self.folder.facts["corpus"]), carried)

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

    def carried(self, holds: Holds) -> Folder | None:
        """What came with the run in an archive: its "pictures", its "model"; "origin" says that it came in one."""
        key = stage_key("carried", carried_spec(holds), (self.key,))
        return self.memo(("carried", holds), lambda: self.store.find("carried", key))

    @property
    def was_unpacked(self) -> bool:
        """Whether the run came in an archive: its paths are those of another machine."""
        return self.carried("origin") is not None

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
                    f"add layer {view.layer}, pooling {view.pooling!r}, mask {view.mask!r}, norm {view.norm!r},"
                    f" sublayer {view.sublayer!r} to [embedding] and run it again"
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
        rows, vocabulary = folder.array(str(WORD_VIEWS[place])), int(folder.facts["vocabulary"])
        if rows.size and not 0 <= rows["id"].min() <= rows["id"].max() < vocabulary:
            where = f"{folder.stage}/{folder.path.name}: its next words are none"
            raise CacheCorrupt(where, got=f"an id outside 0 to {vocabulary - 1}", todo=MEND)
        return as_sparse(rows, vocabulary)

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
        """The model, loaded once per process and shared by all runs that use it.

        Raises:
            NotAvailable: there is none here, see `no_model`. ModelError: it cannot be loaded.
        """
        from core.models import describe, load_model

        if missing := self.no_model():
            raise missing
        key = self.folder.facts["model_key"]
        spec = self.spec.model
        if carried := self.carried("model"):
            # A folder has no row in the table: the prompts are named as they were resolved.
            preset = cast("Preset", self.preset or spec.preset)
            spec = replace(spec, name=str(carried.path / "model"), revision=None, preset=preset)

        def load() -> Adapter:
            about_to_compute()
            if carried:
                carried.checked()
            elif self.was_unpacked and describe(replace(spec, dtype=self._compute)).key != key:
                raise self._without_model("the model of that name here is another one")
            return load_model(spec)

        return _ADAPTERS.get(key, load)

    def no_model(self) -> NotAvailable | None:
        """Why nothing new can be embedded in this run, as far as it shows without loading a model; None where it can.

        A run from an archive has its model if that came with it, is shipped with this program, or is in the hub's
        cache: a path that an archive names is one of another machine.
        """
        from core.models.table import find

        if self.model_name == OWN_MODEL:
            todo = "give the run a [model] and a corpus with items to see inside them"
            return NotAvailable(f"run {self.name!r} holds own embeddings, without a model", todo=todo)
        if not self.was_unpacked or self.carried("model"):
            return None
        row, name = find(self.spec.model.name), self.spec.model.name
        if row is not None and row.folder is not None:
            return None
        hub_id = row.hub_id if row else name
        if hub_id and hub_id.count("/") == 1 and not Path(hub_id).is_absolute():
            from huggingface_hub import try_to_load_from_cache

            revision = self.spec.model.revision or (row.revision if row else None) or "main"
            with suppress(ValueError):  # no hub id after all
                if isinstance(try_to_load_from_cache(hub_id, "config.json", revision=revision), str):
                    return None
        return self._without_model("it was left out when the run was packed")

    def _without_model(self, why: str) -> NotAvailable:
        fetch = f", or fetch {self.model_name} from the hub" if "/" in self.model_name else ""
        return NotAvailable(
            f"run {self.name!r} is here without its model: no typed queries, no Playground, no heat-maps, none of the"
            " model's own words; everything else works",
            got=f"{self.model_name}: {why}",
            todo=f"`retrieval-lens pack {self.name} --model --out FILE` where it was made{fetch}",
        )

    @property
    def _compute(self) -> Dtype:
        """Compute type of the embeddings."""
        return self.encode_folder(self.parts[0]).facts.get("compute", "auto")

    def memo(self, key: tuple[Hashable, ...], make: Callable[[], T], limit: int | None = None) -> T:
        """The value of `key`, made by `make()` once and shared by all threads (several sessions share a run).

        `key[0]` names the kind of value, such as "evaluation". `limit` bounds how many values of that kind stay in
        memory; the first call for a kind decides it. `make` may ask for other keys, but not for its own.
        """
        return self._memos.get(key[0], lambda: Memo(limit)).get(key, make)

    @property
    def mend(self) -> str:
        """The commands that make it whole again."""
        return f"`retrieval-lens verify --repair`, then `retrieval-lens run {self.name}`"

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
                broken = next((b.why for b in self.store.broken(stage) if b.key == key), "it is missing")
                raise CacheCorrupt(
                    f"run {self.name!r} needs {stage}/*--{key}, which cannot be used", got=broken, todo=self.mend
                )
            if not self.folder.made_from(origins_of((folder,))):
                raise CacheCorrupt(
                    f"run {self.name!r} was made from another {stage}/{folder.path.name}",
                    got="a manifest that has changed since, or a folder that was made again with other numbers",
                    todo=self.mend,
                )
            return folder

        return self.memo(("folder", stage, key), find)


@dataclass(frozen=True)
class BrokenRun:
    """A run of the cache that cannot be opened: its name as far as it can be read, its key, why, and what to do."""

    name: str
    key: str
    why: str
    todo: str
    folder: Broken


def list_runs(store: Store) -> list[Run]:
    """All runs of the cache that can be opened, newest first."""
    return [run for folder in store.folders("run") if not _problem(run := Run(folder, store))]


def broken_runs(store: Store) -> list[BrokenRun]:
    """Runs whose own folder is broken, or was made by a later release. What a run is made from is not looked at."""
    unreadable = [found for found in store.entries("run") if isinstance(found, Broken)]
    unreadable += [
        Broken("run", folder.path, problem)
        for folder in store.folders("run")
        if (problem := _problem(Run(folder, store)))
    ]
    return [BrokenRun(one.slug, one.key, one.why, _todo(one), one) for one in unreadable]


def _problem(run: Run) -> str:
    """Why a run cannot be opened though its manifest fits its sums, or is of a release without sums; "" if it can."""
    try:
        facts, spec = run.folder.facts, run.spec
        names = (facts["name"], facts["model"], facts["model_key"], facts["corpus"], spec.run_name)
        keys = (*facts["encode"].values(), *facts["codes"].values(), *([facts["sae"]] if facts["sae"] else []))
        if not all(isinstance(text, str) for text in (*names, *keys)) or not run.views or not run.parts:
            return "its facts are not those of a run"
    except (UserError, LookupError, TypeError, AttributeError, ValueError) as error:
        return f"its facts are not those of a run: {error}"
    return ""


def _todo(broken: Broken) -> str:
    if broken.newer:
        return "open it with the release that made it"
    return f"`retrieval-lens remove {broken.key}`, then run its spec again"


def open_run(name: str, store: Store | None = None) -> Run:
    """The run of that name, key, or unique prefix of a key (4 digits or more); the newest where a name is used twice.

    Without a store: the default one (cache/ of a checkout, else the user's cache directory).

    Raises:
        RunNotFound: none or several fit; the message lists the names there are. CacheCorrupt: it is broken.
    """
    store = store or Store.default()
    runs = list_runs(store)
    named = [r for r in runs if r.name == name]
    keyed = [r for r in runs if _is_prefix(name, r.key)]
    broken = [b for b in broken_runs(store) if b.name == slugify(name) or _is_prefix(name, b.key)]
    if named and (hidden := [b for b in broken if not b.folder.newer]):
        # The broken one may be the newest, whose numbers are meant; those of an older one would look like them.
        todo = f"{hidden[0].todo}; or name the one that is whole by its key, {named[0].key}"
        raise CacheCorrupt(f"one of the runs called {name!r} is broken", got=hidden[0].why, todo=todo)
    if named:
        return named[0]  # newest first: a run made again under its name is the one that is meant
    if len(keyed) == 1 and not broken:
        return keyed[0]
    if len(keyed) + len(broken) > 1:
        fitting = [f"{r.key} ({r.name})" for r in keyed] + [f"{b.key} ({b.name}, broken)" for b in broken]
        raise RunNotFound("several runs fit", got=repr(name), allowed=", ".join(fitting))
    if broken:
        raise CacheCorrupt(f"run {name!r} cannot be opened", got=broken[0].why, todo=broken[0].todo)
    known = ", ".join(sorted({r.name for r in runs})) or "none yet"
    raise RunNotFound(
        "no such run",
        got=repr(name),
        allowed=known,
        todo="`retrieval-lens runs` lists them, `retrieval-lens demo` makes some",
    )


def spec_of(name: str, store: Store) -> RunSpec | None:
    """The spec that the run of that name or key was made with; None where no run that can be opened fits, or a file of
    that name is there."""
    try:
        if Path(name).exists():
            return None
        run = open_run(name, store)
    except (UserError, OSError):  # OSError: too long for a path, and so for a name
        return None
    # The key knows no family, so the stored spec does not either: it is a fact of the run.
    family = run.folder.facts.get("family", "unknown")
    return replace(run.spec, model=replace(run.spec.model, family=family))


def _is_prefix(text: str, key: str) -> bool:
    return len(text) >= 4 and bool(re.fullmatch("[0-9a-f]+", text)) and key.startswith(text)
