"""A training that was interrupted: written aside, flushed, renamed, tensors and plain values only, deleted when the
SAEs are finished.

`<folder>/step-<n>/` holds `state.json` (step, positions of the stream, figures so far) and, for each SAE, sae-lens's
own files: weights (safetensors), optimiser, schedule and counters of silence (a `torch.save` that is read with
`weights_only`). `sums.json` holds the checksum of each: a checkpoint that is not as it was written is not gone on
from.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core import disk
from core.fingerprint import hash_file
from core.sae.architectures import TrainingPlan

STATE, SUMS = "state.json", "sums.json"


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
    (work / SUMS).write_text(json.dumps(_sums(work)), encoding="utf-8")
    for path in [*work.rglob("*"), work]:
        disk.sync(path)
    older = [path for path in _finished(folder) if path != final]
    shutil.rmtree(final, ignore_errors=True)
    os.replace(work, final)
    disk.sync(folder)
    for path in older:
        shutil.rmtree(path)


def load(folder: Path, trainers: Mapping[str, Any], plans: Mapping[str, TrainingPlan]) -> State | None:
    """Bring the trainers to where they were; None where there is nothing whole for these plans (what is for others, or
    damaged, is deleted)."""
    whole = [path for path in _finished(folder) if _is_whole(path)]
    content = json.loads((whole[-1] / STATE).read_text(encoding="utf-8")) if whole else None
    if content is None or any(content["plans"].get(name) != plan.keyed() for name, plan in plans.items()):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    for name, trainer in trainers.items():
        trainer.sae.load_weights_from_checkpoint(whole[-1] / name)
        trainer.load_trainer_state(whole[-1] / name)
    logs = {name: [LogPoint(**point) for point in content["logs"][name]] for name in plans}
    return State(content["step"], content["positions"], logs)


def steps_done(folder: Path) -> int:
    """Steps of the last checkpoint; 0 where there is none."""
    checkpoints = _finished(folder)
    return int(checkpoints[-1].name.removeprefix("step-")) if checkpoints else 0


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _sums(folder: Path) -> dict[str, str]:
    """Name -> checksum of every file but the sums themselves."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in sorted(files)}


def _is_whole(folder: Path) -> bool:
    try:
        return json.loads((folder / SUMS).read_text(encoding="utf-8")) == _sums(folder)
    except (OSError, ValueError):
        return False
