"""What a run will take: seconds, memory and disk, each with where the figure comes from.

Seconds: pictures are read once when the corpus is taken in and once for the model (a second time where an SAE learns
from token states), items are encoded at the rate of `rates.py`, and a training takes its steps at the seconds of a
step, measured on a throw-away SAE of the same size. What happens later, on pages, is not in it.

Memory: what this process has taken before it loads the model, the model by `models/memory.py`, and a training by
`sae/memory.py` on top, since the model stays loaded. Disk: embeddings, codes, dictionaries, thumbnails and kept token
states, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core import disk
from core.config import OWN_MODEL, RunSpec
from core.corpus.corpus import find_corpus
from core.errors import UserError
from core.machine import GIB, free_memory, used_memory
from core.models.base import ModelFacts
from core.models.memory import hub_parameters, memory_gib, stored_parameters
from core.pipeline import facts_of_view, finished
from core.planning.rates import Rate, Sample, rates, sampled
from core.planning.survey import Survey
from core.progress import Progress
from core.records import EmbeddingView, Modality
from core.sae.architectures import TrainingPlan
from core.store import Store

FLOAT = 4
CODE_BYTES = 8
"""Of one active concept of one item: its number and its value."""


@dataclass(frozen=True)
class Step:
    """A part of a run: what is done, seconds (None: nobody can say yet), and where the figure comes from."""

    what: str
    seconds: float | None
    origin: str


@dataclass(frozen=True)
class Cost:
    """What a run will take.

    Attributes:
        cached: whether the whole run is in the cache already.
        memory: bytes needed and free; the need is None where nobody knows the number of parameters.
        disk: bytes needed and free.
        notes: what will refuse the run, or should be known.
    """

    cached: bool
    steps: tuple[Step, ...]
    memory: float | None
    free_memory: float
    disk: int
    free_disk: int
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Of all steps; None where one is not known."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(known) if len(known) == len(self.steps) else None


@dataclass(frozen=True)
class _Weights:
    """A model's weights: whether they are on this machine, and billions of parameters where somebody knows."""

    here: bool
    parameters: float | None


def cost_of(spec: RunSpec, seen: Survey, store: Store, progress: Progress) -> Cost:
    """What a run of that spec will take on this machine.

    Raises:
        UserError: the model is not known, or the spec does not fit it.
    """
    from core.models import check_model, describe
    from core.models.views import resolve_views

    free = Cost(_is_cached(spec, seen, store), (), None, free_memory(), 0, disk.free(store.root))
    if free.cached or spec.model.name == OWN_MODEL:
        items = sum(seen.items.values())
        return replace(free, steps=(Step(f"taking in {items:,} items", 0.0, "nothing is encoded"),), memory=0.0)
    facts, used = describe(spec.model), used_memory()
    views, weights, sample = resolve_views(spec.embedding, facts), _weights(spec, facts), sampled(seen.source, 4)
    notes = [f"{sample.unreadable} pictures of the first cannot be decoded"] if sample.unreadable else []
    known: dict[Modality, Rate] = {}
    why = ""
    try:
        check_model(spec.model)
        if weights.here:
            known = rates(spec, facts, views, seen.items.keys(), lambda: sample, store, progress)
        else:
            known, why = {}, "the weights are not on this machine yet: they are fetched first"
            size = f", about {weights.parameters * 2e9 / GIB:,.0f} GiB" if weights.parameters else ""
            notes.append(f"the weights of {facts.name} come from the hub{size}")
    except UserError as error:
        why = error.what
        notes.append(str(error))
    steps, learning = _steps(spec, seen, facts, views, sample, known, why)
    model = None if weights.parameters is None else memory_gib(weights.parameters, facts.dtype) * GIB + used
    return replace(
        free,
        steps=tuple(steps),
        memory=None if model is None else model + learning.memory,
        disk=_disk(spec, seen, facts, views, sample) + learning.disk,
        notes=tuple([*notes, *learning.notes]),
    )


def _is_cached(spec: RunSpec, seen: Survey, store: Store) -> bool:
    """Whether there is a finished run of that spec on the folder as it is now."""
    corpus = find_corpus(spec.corpus, seen.source, store)
    return corpus is not None and any(run.facts["corpus"] == corpus.key for run in finished(spec, store))


def _weights(spec: RunSpec, facts: ModelFacts) -> _Weights:
    """From the headers of the files where they are here, else from the table or the hub."""
    from core.models.facts import located
    from core.models.table import find

    location, _ = located(spec.model)
    stored = stored_parameters(location.path)
    if stored is not None:
        return _Weights(True, stored)
    row = find(spec.model.name)
    known = row.parameters if row else None
    if known is None and not location.local:
        known = hub_parameters(location.source, location.revision)
    return _Weights(location.local, known)


@dataclass(frozen=True)
class _Learning:
    """What a training adds: bytes of memory and of disk, and what will refuse it."""

    memory: float = 0.0
    disk: int = 0
    notes: tuple[str, ...] = ()


def _steps(
    spec: RunSpec,
    seen: Survey,
    facts: ModelFacts,
    views: tuple[EmbeddingView, ...],
    sample: Sample,
    known: Mapping[Modality, Rate],
    why: str,
) -> tuple[list[Step], _Learning]:
    pictures = sum(number for modality, number in seen.items.items() if modality != "text")
    reading = pictures * sample.seconds_per_picture
    steps = [Step(f"reading {pictures:,} pictures, twice", 2 * reading, "the first pictures, measured now")]
    steps = steps if pictures else []
    encoding = 0.0
    for modality, number in seen.items.items():
        rate = known.get(modality)
        seconds = None if rate is None else number / rate.per_second
        origin = why or "not measured" if rate is None else f"{rate.per_second:,.1f} a second, {rate.origin}"
        steps.append(Step(f"encoding {number:,} items ({modality})", seconds, origin))
        encoding += seconds or 0.0
    if spec.sae.source != "train":
        return steps, _Learning()
    tokens = {modality: rate.tokens for modality, rate in known.items()}
    if len(tokens) < len(seen.items):
        return [*steps, Step("training the SAE", None, why or "not measured")], _Learning()
    return _with_training(steps, spec, seen, facts_of_view(facts, views[0]), tokens, encoding + reading)


def _with_training(
    steps: list[Step],
    spec: RunSpec,
    seen: Survey,
    facts: ModelFacts,
    tokens: Mapping[Modality, float],
    one_pass: float,
) -> tuple[list[Step], _Learning]:
    """The steps of a training: the states it learns from, and the learning itself."""
    from core.models.device import free_gib
    from core.sae.memory import training_bytes
    from core.sae.states import STORED_BYTES
    from core.sae.trained import plans, steps_for

    states = sum(number * tokens[modality] for modality, number in seen.items.items())
    pooled = facts.kind == "dual" or spec.sae.data == "pooled"
    rows = int(sum(seen.items.values()) if pooled else states * (2 if spec.sae.data == "mixture" else 1))
    number = spec.sae.steps or steps_for(rows, spec.sae.batch)
    wanted = plans(spec.sae, facts, number)
    kept = 0 if pooled or states * facts.hidden_size * FLOAT > STORED_BYTES else int(states * facts.hidden_size * FLOAT)
    if not pooled:
        passes = 1.0 if kept else number * spec.sae.batch / max(states, 1)
        steps = [*steps, Step(f"token states for the SAE, {passes:.1f} passes", passes * one_pass, "the rates above")]
    needed = training_bytes(wanted)
    weights = sum(3 * plan.width * plan.size * FLOAT for plan in wanted)  # encoder, decoder, dictionary
    sizes = ", ".join(f"{plan.width:,} x {plan.k}" for plan in wanted)
    what = f"training the SAE {sizes}, {number:,} steps"
    if needed > free_gib() * GIB:
        note = f"the training of an SAE {sizes} needs {needed / GIB:.1f} GiB: set a smaller width or batch under [sae]"
        return [*steps, Step(what, None, "does not fit into memory")], _Learning(needed, weights + kept, (note,))
    each = _seconds_of_a_step(wanted)
    return [*steps, Step(what, number * each, f"{each:.2g} s a step, measured now")], _Learning(needed, weights + kept)


def _seconds_of_a_step(wanted: Sequence[TrainingPlan]) -> float:
    """On random rows: what a step takes depends on sizes alone."""
    import torch

    from core.models.device import device
    from core.sae.train import seconds_of_a_step

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        batch = torch.randn(wanted[0].batch, wanted[0].size, device=device())
        return seconds_of_a_step({plan.name: plan for plan in wanted}, batch)


def _disk(spec: RunSpec, seen: Survey, facts: ModelFacts, views: tuple[EmbeddingView, ...], sample: Sample) -> int:
    """Bytes of embeddings, thumbnails and codes; those of a training come on top."""
    items = sum(seen.items.values())
    pictures = sum(number for modality, number in seen.items.items() if modality != "text")
    embeddings = items * len(views) * facts.hidden_size * FLOAT
    codes = 0 if spec.sae.source == "none" else items * spec.sae.k * CODE_BYTES
    return int(embeddings + pictures * sample.thumbnail_bytes + codes)
