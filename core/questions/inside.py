"""A run whose model is changed inside: which layers have a dictionary, the changed model, and the run's rows by it.

In: a run and the `inside` steps of a variant. Out: a run like it, whose embeddings, codes and offsets are those of the
changed model, so that whatever is asked of a run can be asked of it. The embeddings are a folder of stage "encode" of
their own (resumable, batched, one pass), keyed by the items, the model, the steps and the dictionaries. Only the run's
first view is made, and the support split only where the rest of the variant is fitted on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.analysis.variants import VariantSpec, parse_variant
from core.config import OWN_MODEL
from core.errors import NotAvailable, VariantError
from core.fingerprint import canonical, hash_bytes, hash_folder, stage_key
from core.models.inside import Intervention, intervened
from core.progress import NoProgress, Progress, Task
from core.records import EmbeddingView, Part, StatePlace
from core.run import Run, list_runs
from core.sae import shipped_saes
from core.sae.files import read_facts, read_shape
from core.sae.inside import ConceptShift
from core.store import Folder
from core.waiting import about_to_compute, checkpoint

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from core.corpus import Corpus
    from core.models import Adapter

TEST_PARTS: tuple[Part, ...] = ("queries", "candidates")
KEPT = 4
"""Changed runs of one run that stay in memory, with their fits."""


@dataclass(frozen=True)
class LayerSae:
    """A dictionary for the token states of one place of a run's model."""

    place: StatePlace
    name: str
    """Where it comes from, in words."""
    folder: Callable[[], Path]
    input: str
    """"raw" or "normalised"."""
    width: int
    """Concepts."""
    identity: str
    """What its numbers depend on."""

    @property
    def layer(self) -> int:
        return self.place.layer


def layer_saes(run: Run) -> dict[int, LayerSae]:
    """Layer -> its dictionary: the run's own where the run reads; elsewhere one shipped for the model, else that of the
    newest run of the same model that reads there."""
    found: dict[int, LayerSae] = {}
    if run.sae is not None:
        found[run.view.layer] = _of_run(run, "the run's own SAE")
    for layer, sae in run.memo(("shipped by layer",), lambda: _shipped(run.model_name)).items():
        found.setdefault(layer, sae)
    model = run.folder.facts["model_key"]
    for other in list_runs(run.store):
        same = other.folder.facts["model_key"] == model and other.folder.facts["sae"] is not None
        if same and other.view.layer not in found:
            found[other.view.layer] = _of_run(other, f"the SAE of run {other.name}")
    return dict(sorted(found.items()))


def _shipped(model_name: str) -> dict[int, LayerSae]:
    """Layer -> the first SAE shipped for the model that reads it; read once per run, for its files are hashed."""
    found: dict[int, LayerSae] = {}
    for name, folder in shipped_saes(model_name).items():
        facts = read_facts(folder)
        layer = int(facts.get("layer", -1))
        if layer not in found:
            given = (str(facts.get("input", "raw")), read_shape(folder)[0], hash_folder(folder))
            found[layer] = LayerSae(StatePlace(layer), f"shipped: {name}", partial(Path, folder), *given)
    return found


def _of_run(run: Run, name: str) -> LayerSae:
    folder, sae = run.sae_folder, run.need_sae()
    return LayerSae(run.view.place, name, folder.checked, sae.input, sae.width, folder.key)


def identities(run: Run) -> dict[str, str]:
    """Layer -> identity of its dictionary, as keys of answers hold them."""
    return {str(layer): sae.identity for layer, sae in layer_saes(run).items()}


def check_model(run: Run) -> None:
    """Refuse a run whose model cannot be changed inside.

    Raises:
        NotAvailable: no model (own embeddings, or one left out of an archive), or one that pools no token states.
    """
    todo = "edit the pooled rows instead: set(12=0)"
    if run.model_name == OWN_MODEL:
        raise NotAvailable(f"run {run.name!r} holds own embeddings: there is no model to change inside", todo=todo)
    if run.view.pooling == "projected":
        raise NotAvailable(
            f"{run.model_name} gives final vectors and pools no token states: nothing to change inside",
            got="a dual encoder, or a sentence-transformers model",
            todo=todo,
        )
    if missing := run.no_model():
        raise missing


def why_not(run: Run) -> str:
    """Why the concepts of the run's own SAE cannot be changed inside its model, in one line; "" where they can."""
    try:
        check_model(run)
        run.need_sae()
    except NotAvailable as error:
        return error.what
    return ""


def check_inside(run: Run, spec: VariantSpec) -> None:
    """Refuse steps within the model that this run cannot take.

    Raises:
        NotAvailable: see `check_model`. VariantError: a layer without a dictionary, or a concept it does not have.
    """
    check_model(run)
    known = layer_saes(run)
    for step in spec.of_stage("inside"):
        layer = int(dict(step.options)["layer"])
        if layer not in known:
            raise VariantError(
                f"no SAE of {run.model_name} reads layer {layer}",
                got=f"layer={layer}",
                allowed=", ".join(f"layer={one} ({sae.name})" for one, sae in known.items()) or "no layer has one",
            )
        if unknown := [k for k, _ in (*step.concepts, *step.clamped) if k >= known[layer].width]:
            allowed = f"0 to {known[layer].width - 1} at layer {layer}"
            raise VariantError("no such concept", got=unknown[0], allowed=allowed)


def check_unchanged(spec: VariantSpec, what: str) -> None:
    """NotAvailable where a variant changes the model: what is asked for reads the rows of the unchanged one."""
    if spec.inside.steps:
        raise NotAvailable(
            f"{what} are of the model as it is, and this variant changes concepts inside it",
            got=str(spec.inside),
            todo="look at the raw similarity, or at a variant without inside(...)",
        )


def model_under(run: Run, spec: VariantSpec) -> Adapter:
    """The run's model with the changes of a variant; itself where it has none inside. Loaded once per process.

    Raises:
        NotAvailable, VariantError: see `check_inside`.
    """
    inside = spec.inside
    if not inside.steps:
        return run.adapter()
    check_inside(run, inside)

    def make() -> Adapter:
        about_to_compute()
        known, changes = layer_saes(run), []
        for step in inside.steps:
            sae, tokens = known[int(dict(step.options)["layer"])], str(dict(step.options)["tokens"])
            shift = ConceptShift(sae.folder(), sae.input, step.concepts, step.clamped)
            changes.append(Intervention(sae.place, tokens, shift))
        return intervened(run.adapter(), changes, _model_key(run, inside))

    return run.memo(("changed model", inside, canonical(identities(run))), make, limit=KEPT)


def _model_key(run: Run, inside: VariantSpec) -> str:
    """What the changed model's embeddings are known by."""
    known = identities(run)
    layers = {str(dict(step.options)["layer"]) for step in inside.steps}
    spec = {
        "model": run.folder.facts["model_key"],
        "inside": inside.explicit(),
        "dictionaries": {layer: known[layer] for layer in layers},
    }
    return hash_bytes(canonical(spec).encode())[:16]


# -- the run by the changed model ------------------------------------------------------------------------------------


def under(run: Run, spec: VariantSpec) -> Run:
    """The run as a variant's rows have it: itself, or the run by the changed model.

    Raises:
        NotAvailable, VariantError: see `check_inside`.
    """
    if not spec.inside.steps or isinstance(run, ChangedRun):
        return run
    check_inside(run, spec)
    outside = spec.outside
    support = outside.needs_support or bool(outside.of_stage("removal")) or "per-modality" in str(outside)

    def make() -> ChangedRun:
        return ChangedRun(run.folder, run.store, original=run, spec_inside=spec.inside, with_support=support)

    return run.memo(("changed run", spec.inside, support, canonical(identities(run))), make, limit=KEPT)


def inside_of(run: Run) -> str:
    """What is changed within the model of a run, as `FitData.inside` says it."""
    return str(run.spec_inside) if isinstance(run, ChangedRun) else "none"


@dataclass(frozen=True)
class ChangedRun(Run):
    """A run whose rows are those of its model with changes inside; everything else is the run's own."""

    original: Run = field(kw_only=True)
    spec_inside: VariantSpec = field(kw_only=True)
    with_support: bool = field(kw_only=True)
    """Whether the support split is part of it."""

    @property
    def corpus(self) -> Corpus:
        return self.original.corpus

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.original.parts if self.with_support else tuple(p for p in self.original.parts if p in TEST_PARTS)

    def adapter(self) -> Adapter:
        return model_under(self.original, self.spec_inside)

    def encode_folder(self, part: Part) -> Folder:
        return self.memo(("changed", part), lambda: _encoded(self, part, NoProgress()))

    def embeddings(self, part: Part, view: EmbeddingView | None = None) -> np.ndarray:
        if view not in (None, self.view):
            raise NotAvailable(
                "only the run's first view is made by a changed model", got=str(view), allowed=str(self.view)
            )
        return self.encode_folder(part).array(str(self.view))

    def codes(self, part: Part) -> csr_matrix:
        from core.sae import load_codes

        return self.memo(("codes", part), lambda: load_codes(self._coded(part)))

    def offset(self, part: Part) -> np.ndarray:
        return self._coded(part).array("offset")

    def _coded(self, part: Part) -> Folder:
        from core.sae import encode_codes

        def make() -> Folder:
            return encode_codes(
                self.original.sae_folder, self.encode_folder(part), str(self.view), self.store, NoProgress()
            )

        return self.memo(("coded", part), make)


def _key(run: ChangedRun, part: Part) -> str:
    from core.encode import encoding_spec

    content, model = run.corpus.items(part).content, _model_key(run.original, run.spec_inside)
    return stage_key("encode", encoding_spec(content, model, [run.view]))


def _encoded(run: ChangedRun, part: Part, progress: Progress) -> Folder:
    """The part's embeddings by the changed model, from the cache or made now; an interrupted making is gone on with."""
    from core.encode import encode_part

    if folder := run.store.find("encode", _key(run, part)):
        return folder
    about_to_compute()
    facts, limit = run.adapter().facts, run.spec.embedding.batch_tokens
    return encode_part(run.corpus.items(part), facts, run.adapter, [run.view], run.store, Stopping(progress), limit)


def keys(run: Run, spec: VariantSpec) -> tuple[str, ...]:
    """Keys of the embeddings that an answer under this variant rests on; none where the rows are the run's own."""
    rows = under(run, spec)
    return tuple(_key(rows, part) for part in rows.parts) if isinstance(rows, ChangedRun) else ()


@dataclass(frozen=True)
class Estimate:
    """What must still be encoded through the changed model, and how long that takes."""

    items: int
    seconds: float
    """By how fast the run itself was encoded; 0 where nothing is missing, NaN where that is not known."""

    @property
    def words(self) -> str:
        if not self.items:
            return "its rows are in the cache"
        took = "" if np.isnan(self.seconds) else f", about {max(1, round(self.seconds)):,} s as the run itself took"
        return f"{self.items:,} items go through the changed model{took}"


def estimate(run: Run, spec: VariantSpec) -> Estimate:
    """How much a variant must still encode."""
    rows, items, seconds = under(run, spec), 0, 0.0
    if not isinstance(rows, ChangedRun):
        return Estimate(0, 0.0)
    for part in rows.parts:
        if rows.store.find("encode", _key(rows, part)) is None:
            facts, n = run.encode_folder(part).facts, len(run.corpus.items(part))
            items += n
            seconds += n / facts["items_per_second"] if facts.get("items_per_second") else float("nan")
    return Estimate(items, seconds)


def make(run: Run, spec: VariantSpec, progress: Progress) -> Estimate:
    """Encode what a variant needs through the changed model; says before how long that takes, and resumes.

    Raises:
        NotAvailable, VariantError: see `check_inside`.
    """
    needed, rows = estimate(run, spec), under(run, spec)
    if isinstance(rows, ChangedRun) and needed.items:
        progress.say(f"{spec.inside}: {needed.words}")
        for part in rows.parts:
            _encoded(rows, part, progress)
    return needed


def missing(run: Run, variant: str) -> Estimate:
    """`estimate` of a variant given as text."""
    return estimate(run, parse_variant(run.spec.variants.get(variant, variant)))


def make_rows(run: Run, variant: str) -> Estimate:
    """`make` of a variant given as text, without progress."""
    return make(run, parse_variant(run.spec.variants.get(variant, variant)), NoProgress())


@dataclass(frozen=True)
class Stopping:
    """Progress that stops where nobody waits any more (`core/waiting.py`)."""

    behind: Progress

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """The same bar; each step of it is a checkpoint."""
        with self.behind.task(name, total) as bar:
            yield _Checked(bar)

    def say(self, text: str) -> None:
        """The same line."""
        self.behind.say(text)


@dataclass(frozen=True)
class _Checked:
    behind: Task

    def advance(self, n: int = 1) -> None:
        checkpoint()
        self.behind.advance(n)

    def note(self, text: str) -> None:
        self.behind.note(text)
