"""A training that was interrupted: written aside, renamed, tensors and plain values only, deleted when the SAEs are
finished.

`<folder>/step-<n>/` holds `state.json` (step, positions of the stream, figures so far) and, for each SAE, sae-lens's
own files: weights (safetensors), optimiser, schedule and counters of silence (a `torch.save` that is read with
`weights_only`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.sae.architectures import TrainingPlan

STATE = "state.json"


@dataclass(frozen=True)
class LogPoint:
    """Training figures of one batch.

    Attributes:
        loss: the loss that is minimised: sae-lens's, or the study's.
        explained_variance: 1 - squared error / variance around the batch mean of each dimension.
        l0: mean active concepts per row.
        dead_share: share of concepts, 0-1, that have not fired in the dead window.
    """

    step: int
    loss: float
    explained_variance: float
    l0: float
    dead_share: float


@dataclass
class State:
    """Where a training is: steps done, positions of the stream's orders, figures by name of the SAE."""

    step: int
    positions: list[int]
    logs: dict[str, list[LogPoint]] = field(default_factory=dict)


def save(folder: Path, state: State, trainers: Mapping[str, Any], plans: Mapping[str, TrainingPlan]) -> None:
    """Write the state and forget the one before."""
    work, final = folder / "new", folder / f"step-{state.step:09d}"
    shutil.rmtree(work, ignore_errors=True)
    for name, trainer in trainers.items():
        trainer.sae.save_model(work / name)
        trainer.save_trainer_state(work / name)
    content = asdict(state) | {"plans": {name: plan.keyed() for name, plan in plans.items()}}
    (work / STATE).write_text(json.dumps(content), encoding="utf-8")
    older = _finished(folder)
    os.replace(work, final)
    for path in older:
        shutil.rmtree(path)


def load(folder: Path, trainers: Mapping[str, Any], plans: Mapping[str, TrainingPlan]) -> State | None:
    """Bring the trainers to where they were; None where there is nothing for these plans (what is for others is
    deleted)."""
    checkpoints = _finished(folder)
    if not checkpoints:
        return None
    content = json.loads((checkpoints[-1] / STATE).read_text(encoding="utf-8"))
    if any(content["plans"].get(name) != plan.keyed() for name, plan in plans.items()):
        shutil.rmtree(folder)
        return None
    for name, trainer in trainers.items():
        trainer.sae.load_weights_from_checkpoint(checkpoints[-1] / name)
        trainer.load_trainer_state(checkpoints[-1] / name)
    logs = {name: [LogPoint(**point) for point in content["logs"][name]] for name in plans}
    return State(content["step"], content["positions"], logs)


def steps_done(folder: Path) -> int:
    """Steps of the last checkpoint; 0 where there is none."""
    checkpoints = _finished(folder)
    return int(checkpoints[-1].name.removeprefix("step-")) if checkpoints else 0


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
