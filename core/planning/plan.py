"""A plan: a folder and a model -> the spec of a run, the file that holds it, and what it will cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import log2
from pathlib import Path
from typing import Any

from core import disk
from core.config import OWN_MODEL, SAE_SOURCES, ModelSpec, RunSpec, SaeSpec, load_spec
from core.config.writing import as_toml, path_beside
from core.errors import SpecError
from core.machine import GIB
from core.paths import kind
from core.pipeline import facts_of_view
from core.planning.cost import Cost, Step, cost_of
from core.planning.survey import EXAMPLES, Survey, survey
from core.progress import Progress
from core.sae.train import duration
from core.store import Store

WIDTH_TIMES, MOST_WIDTH = 4, 32768
"""Concepts of an SAE that is trained on a folder, in dimensions of the model, as a power of two; and at most."""
TASK_WORDS = {
    0: "a pool of several modalities",
    1: "text -> image", 2: "text -> text", 3: "text -> image + text", 4: "image -> text", 5: "image -> image",
    6: "image + text -> text", 7: "image + text -> image", 8: "image + text -> image + text",
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What `retrieval-lens new` has found out. `spec` names the corpus by its whole path."""

    spec: RunSpec
    seen: Survey
    cost: Cost
    notes: tuple[str, ...]


def plan(
    folder: str,
    model: str | None,
    store: Store,
    progress: Progress,
    *,
    sae: str | None = None,
    task: int | None = None,
    limit: int | None = None,
    name: str | None = None,
    allow_outside: bool = False,
) -> Plan:
    """Look at a folder and say what a run of a model on it will take.

    Args:
        model: a row of the table, a hub id or a folder; None only for embeddings of one's own.
        sae: `[sae] source`; None: the one that is shipped for the model, else none.

    Raises:
        UserError: the folder holds no corpus, or model, SAE and corpus do not fit each other.
    """
    from core.models import describe
    from core.models.views import resolve_views
    from core.sae import check_source

    seen = survey(folder, task, limit, allow_outside)
    notes = []
    if seen.spec.is_own:
        if model is not None:
            notes.append("the vectors are there already: no model is loaded, and --model is left out")
        model = OWN_MODEL
    elif model is None:
        todo = "add --model; `retrieval-lens models` lists those that are known by name"
        raise SpecError("which model?", got="no --model", allowed="a row of the table, a hub id or a folder", todo=todo)
    chosen = _with_sae(model, sae)
    spec = RunSpec(name=name, corpus=seen.spec, model=ModelSpec(name=_whole(model)), sae=chosen)
    spec = replace(spec, name=spec.run_name)
    if model != OWN_MODEL:
        facts = describe(spec.model)
        read = facts_of_view(facts, resolve_views(spec.embedding, facts)[0])
        spec = _with_width(spec, read.hidden_size)
        check_source(spec.sae, read)  # refuse an SAE that cannot be had, before anything is written
    cost = cost_of(spec, seen, store, progress)
    if spec.sae.source == "none":
        notes.append("no SAE, so no concepts and no reasons for a ranking: --sae train makes one of these items")
    if not seen.has_task:
        notes.append("nothing to retrieve: put captions beside the images to evaluate")
    return Plan(spec, seen, cost, tuple(notes))


def text_of(plan: Plan, out: Path) -> str:
    """The spec file, its paths as they count from the file's folder, with what was found as comments."""
    spec, seen = plan.spec, plan.seen
    path = None if spec.corpus.path is None else path_beside(Path(spec.corpus.path), out)
    corpus = replace(spec.corpus, path=path)
    counts = ", ".join(f"{number:,} {modality}" for modality, number in seen.items.items())
    head = (f"Written by `retrieval-lens new`: {counts}.",)
    comments = {
        "corpus.source": seen.found.words,
        "corpus.task": f"{TASK_WORDS[spec.corpus.task]} (other tasks: docs/running.md)",
        "corpus": "limit = 100  # a first look: at most this many queries",
        "model.name": "a row of `retrieval-lens models`, a hub id or a folder",
        "sae.width": f"{WIDTH_TIMES} x d, as a power of two; the study has 32768",
        "sae.k": "active concepts per item; the study has 50",
        "sae.source": ", ".join(SAE_SOURCES).replace("'", ""),
    }
    if spec.sae.source != "train":
        del comments["sae.width"], comments["sae.k"]
    if spec.model.name == OWN_MODEL:
        comments["model.name"] = 'no model is loaded; its family may be stated: family = "generative"'
    return as_toml(replace(spec, corpus=corpus), head, comments)


def write(plan: Plan, out: Path) -> bool:
    """Write the spec file; False where a file with the same spec is there already, which stays as it is.

    Raises:
        SpecError: another file is in the way.
    """
    text = text_of(plan, out)
    if kind(out) == "nothing":
        out.parent.mkdir(parents=True, exist_ok=True)
        disk.write_text(out, text)
        return True
    if kind(out) == "file" and _same(out, plan.spec):
        return False
    raise SpecError("a file with another spec is in the way", got=out, todo="--out FILE writes to another place")


def survey_lines(seen: Survey) -> list[str]:
    """What was found, what is wrong with it, and what is not read, one line each."""
    parts = ", ".join(
        f"{number:,} {part.replace('_', ' ')} ({modality})"
        for part, by_modality in seen.counts.items()
        for modality, number in by_modality.items()
    )
    lines = [f"found: {seen.found.words}", f"items: {parts}"]
    lines += [f"bad: {row.where}: {row.reason}" for row in seen.bad[:EXAMPLES]]
    lines += [f"bad: and {len(seen.bad) - EXAMPLES:,} more rows"] if len(seen.bad) > EXAMPLES else []
    lines += [f"also there, not taken: {other.words}" for other in seen.instead]
    for group in seen.ignored:
        more = ", ..." if group.number > len(group.examples) else ""
        lines.append(f"ignored: {group.number:,} {group.why} ({', '.join(group.examples)}{more})")
    return lines


def cost_lines(cost: Cost) -> list[str]:
    """Time, memory and disk, one line each, with where each figure comes from."""
    if cost.cached:
        return ["cost: nothing, this run is in the cache"]
    total = "not known yet" if cost.seconds is None else f"about {duration(cost.seconds)}"
    memory = "not known" if cost.memory is None else f"about {_gib(cost.memory)}"
    return [
        f"time: {total}",
        *(f"  {_step(step)}" for step in cost.steps),
        f"memory: {memory} (parameters x bytes, a fifth more, and Python itself), {_gib(cost.free_memory)} free",
        f"disk: about {_gib(cost.disk)}, {_gib(cost.free_disk)} free",
        *(f"note: {note}" for note in cost.notes),
    ]


def to_json(plan: Plan, out: Path) -> dict[str, Any]:
    """The plan as plain JSON."""
    seen, cost = plan.seen, plan.cost
    return {
        "name": plan.spec.name,
        "found": seen.found.words,
        "parts": seen.counts,
        "bad": [asdict(row) for row in seen.bad],
        "ignored": [asdict(group) for group in seen.ignored],
        "cost": {
            "cached": cost.cached,
            "seconds": cost.seconds,
            "steps": [asdict(step) for step in cost.steps],
            "memory_bytes": cost.memory,
            "disk_bytes": cost.disk,
        },
        "lines": [*survey_lines(seen), *cost_lines(cost), *(f"note: {note}" for note in plan.notes)],
        "spec": text_of(plan, out),
    }


def _with_sae(model: str, sae: str | None) -> SaeSpec:
    """The SAE of the spec: as asked for, else the model's shipped one, else none.

    One that is trained gets a width for data of this size, `WIDTH_TIMES` x d: the study's 32,768 would take hours.
    """
    from core.models.table import find
    from core.sae.sources import shipped_saes

    if sae is None:
        row = find(model)
        return SaeSpec(source="shipped" if row and shipped_saes(row.name) else "none")
    return SaeSpec(source=_whole(sae), k=32) if sae == "train" else SaeSpec(source=_whole(sae))


def _with_width(spec: RunSpec, hidden_size: int) -> RunSpec:
    """A trained SAE with a width that fits a model of that many dimensions."""
    width = min(MOST_WIDTH, max(64, 2 ** round(log2(WIDTH_TIMES * hidden_size))))
    return replace(spec, sae=replace(spec.sae, width=width)) if spec.sae.source == "train" else spec


def _whole(name: str) -> str:
    """A path of a folder or file that is there, as a whole; any other name as it is."""
    path = Path(name)
    return str(path.resolve()) if "/" in name and kind(path) != "nothing" else name


def _same(out: Path, spec: RunSpec) -> bool:
    """Whether a file holds that spec."""
    try:
        return load_spec(out) == spec
    except SpecError:
        return False


def _step(step: Step) -> str:
    seconds = "not known" if step.seconds is None else duration(step.seconds)
    return f"{step.what}: {seconds} ({step.origin})"


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"
