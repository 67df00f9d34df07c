"""SAEs trained on a run's own items: those of the spec that are not in the cache yet, all in one pass.

Each becomes a folder of stage "sae" of its own, whose key names only what its numbers depend on; so a spec that adds a
width trains that one alone, and the same dictionary is found from any spec. The first of those missing leads: its work
folder holds the checkpoint from which an interrupted training goes on.

Steps that the spec leaves out follow from the number of rows there are to learn from: `PASSES` over them, in bounds.
A few hundred steps are needed to learn anything at all; beyond 4,000 (16 million rows) a run on a large corpus would
take days that nobody asked for. Small corpora keep their token states on disk (`states.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import SaeSpec
from core.fingerprint import stage_key
from core.models.base import Adapter, ModelFacts
from core.progress import Progress
from core.records import EmbeddingView, Item, Part
from core.sae import states
from core.sae.architectures import TrainingPlan
from core.sae.files import CONFIG, WEIGHTS, finish
from core.sae.memory import check_training
from core.sae.stream import LEARNED_FROM, Order, Stream, alternate, pooled_rows, token_rows
from core.store import Draft, Folder, Store

if TYPE_CHECKING:
    from core.corpus import Corpus

PASSES = 10
"""Times that each row is learned from where `[sae] steps` is left out."""
LEAST_STEPS, MOST_STEPS = 500, 4000
"""Bounds of the steps that follow from it."""
CHECKPOINT, BESIDE = "checkpoint", "beside"
"""Inside the work folder of the leading SAE, until all are finished."""


def steps_for(rows: int, batch: int) -> int:
    """Steps of `batch` rows that make `PASSES` passes over `rows`, rounded up, from `LEAST_STEPS` to `MOST_STEPS`."""
    return min(MOST_STEPS, max(LEAST_STEPS, -(-PASSES * rows // batch)))


def plans(spec: SaeSpec, facts: ModelFacts, steps: int) -> tuple[TrainingPlan, ...]:
    """Every width with every K, the run's own first."""
    widths = dict.fromkeys((spec.width_for(dual=facts.projects), *spec.widths))
    return tuple(
        TrainingPlan(
            facts.hidden_size,
            width,
            k,
            steps,
            spec.seed,
            spec.batch,
            spec.learning_rate,
            spec.decay,
            spec.architecture,
            spec.preset,
            spec.bias,
        )
        for width in widths
        for k in dict.fromkeys((spec.k, *spec.ks))
    )


@dataclass(frozen=True)
class Training:
    """What the SAEs of one spec learn from, and where they are kept; a dual encoder has pooled embeddings only, as in
    the study."""

    spec: SaeSpec
    corpus: Corpus
    facts: ModelFacts
    model: Callable[[], Adapter]
    encoded: Mapping[Part, Folder]
    view: EmbeddingView
    store: Store
    progress: Progress
    makers: states.Makers | None = None
    """Who makes token states; None: the model in this process."""

    def folders(self) -> tuple[Folder, ...]:
        """The SAEs of the spec, found or trained, the run's own first."""
        wanted = plans(self.spec, self.facts, self.spec.steps or steps_for(self._rows(), self.spec.batch))
        # A loop: where another process finished the leader meanwhile, a pass trains nothing of what is still missing.
        while missing := [
            plan for plan in sorted(wanted, key=lambda plan: (plan.width, plan.k)) if self.find(plan) is None
        ]:
            self._make(missing)
        return tuple(folder for plan in wanted if (folder := self.find(plan)))

    def find(self, plan: TrainingPlan) -> Folder | None:
        """The finished SAE of a plan."""
        return self.store.find("sae", stage_key("sae", self._key_spec(plan), self._parents))

    @property
    def data(self) -> str:
        """tokens, pooled or mixture."""
        return "pooled" if self.view.pooling == "projected" else self.spec.data

    @property
    def _parents(self) -> tuple[str, ...]:
        return tuple(folder.key for folder in self.encoded.values())

    def _key_spec(self, plan: TrainingPlan) -> dict[str, Any]:
        return plan.keyed() | {"data": self.data, "input": self.spec.input, "view": str(self.view)}

    def _steps_from(self, plan: TrainingPlan) -> str:
        """Where the number of steps comes from, in words."""
        if self.spec.steps is not None:
            return "the spec"
        return (
            f"{PASSES} passes over {self._rows():,} rows in batches of {plan.batch:,}, from {LEAST_STEPS:,} to"
            f" {MOST_STEPS:,} steps"
        )

    def _rows(self) -> int:
        """How many rows there are to learn from: token states, pooled embeddings, or both in equal parts."""
        if self.data == "pooled":
            return int(self._ends[-1])
        return self._states().facts["states"] * (2 if self.data == "mixture" else 1)

    def _states(self) -> Folder:
        """The folder of token states, or of their number; found without the model."""
        if folder := states.find(self.view, self._parents, self.store):
            return folder
        size = self.facts.hidden_size
        source = states.Source(self._items, int(self._ends[-1]), self.model, size, self.view, self.makers)
        slug = f"{self.facts.name}-{self.corpus.name}"
        return states.obtain(source, slug, self._parents, self.store, self.progress)

    @cached_property
    def _tables(self) -> list[Any]:
        return [self.corpus.items(part) for part in self.encoded]

    @cached_property
    def _ends(self) -> np.ndarray:
        """Where each table ends in all tables put one after another."""
        return np.cumsum([len(table) for table in self._tables])

    def _items(self, rows: np.ndarray) -> list[Item]:
        """Items by their number in all tables put one after another."""
        which = np.searchsorted(self._ends, rows, side="right")
        starts = np.concatenate([[0], self._ends[:-1]])
        return [self._tables[a].item(int(row - starts[a])) for a, row in zip(which, rows, strict=True)]

    def _make(self, missing: Sequence[TrainingPlan]) -> None:
        """Train all at once; the leader's folder is finished last, so that an interruption never trains the others
        again."""
        from core.sae.train import LossNotFinite, train

        check_training(missing)
        leader, *others = missing

        def write(draft: Draft) -> None:
            jobs = {draft.path: leader} | {draft.path / BESIDE / plan.name: plan for plan in others}
            try:
                logs = train(jobs, self._stream(), self.progress, draft.path / CHECKPOINT)
            except LossNotFinite:
                shutil.rmtree(draft.path)  # its checkpoint would only lead there again
                raise
            for folder, plan in jobs.items():
                if plan is not leader:
                    self._build(plan, partial(_take, folder=folder, facts=self._facts_of(plan, logs[folder]), k=plan.k))
            for name in (BESIDE, CHECKPOINT):
                shutil.rmtree(draft.path / name, ignore_errors=True)
            finish(draft, self._facts_of(leader, logs[draft.path]), leader.k)

        self._build(leader, write)

    def _build(self, plan: TrainingPlan, write: Callable[[Draft], None]) -> Folder:
        # Encoder, decoder and dictionary; in the meantime a checkpoint: two matrices with two moments each.
        needs = (3 + 6) * plan.width * plan.size * np.dtype(np.float32).itemsize
        name = f"{self.facts.name}-{plan.name}"
        return self.store.build("sae", name, self._key_spec(plan), self._parents, write, needs=needs)

    def _facts_of(self, plan: TrainingPlan, log: list[Any]) -> dict[str, Any]:
        counted = ", ".join(f"{len(self.corpus.items(part))} {part.replace('_', ' ')}" for part in self.encoded)
        return {
            "input": self.spec.input,
            "source": "trained here",
            "trained_on": (
                f"{LEARNED_FROM[self.data]} of {counted} of {self.corpus.name}; {self.facts.name}, {self.view.words}"
            ),
            "training": plan.keyed() | {"data": self.data},
            "steps_from": self._steps_from(plan),
            "log": [asdict(point) for point in log],
        }

    def _stream(self) -> Stream:
        arrays = [folder.array(str(self.view)) for folder in self.encoded.values()]
        total, seed, batch = int(self._ends[-1]), self.spec.seed, self.spec.batch
        # Seeds of their own: a mixture does not go through items and embeddings in the same order.
        by_item, by_row = Order(total, seed), Order(total, seed + 1)

        def tokens() -> Any:
            if (folder := self._states()).facts["kept"]:
                return states.stored_rows(folder, by_item)
            if self.makers is not None:
                return self.makers.rows(by_item)
            return token_rows(self.model(), self._items, by_item, self.view)

        def pooled() -> Any:
            return pooled_rows(arrays, batch, by_row)

        rows = {"tokens": tokens, "pooled": pooled, "mixture": lambda: alternate(tokens(), pooled())}[self.data]
        return Stream(rows, (by_item, by_row), self.facts.hidden_size, batch, self.spec.input == "normalised")


def _take(draft: Draft, folder: Path, facts: Mapping[str, Any], k: int) -> None:
    """Finish an SAE that was trained beside another."""
    for name in (CONFIG, WEIGHTS):
        shutil.copyfile(folder / name, draft.path / name)
    finish(draft, facts, k)
