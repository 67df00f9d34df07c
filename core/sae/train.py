"""Training SAEs with sae-lens: one `SAETrainer` each, all fed the same batches of one stream, so that the model runs
once.

The settings of the default preset: Adam 8e-4, betas 0.9/0.999, batches of 4096 states, gradient norm clipped at 1
(sae-lens does), no decoder bias, no input bias, no normalisation, decoder rows of unit norm (sae-lens rescales by the
norms and folds them on saving). With `bias = "mean"` the decoder bias is the mean of the first rows of the stream, the
encoder subtracts it, and it is not learned: directions are then spent on differences between rows, not on what all have
in common. Different from the study: sae-lens sums the squared error over dimensions, has no L1
term (Top-K fixes the sparsity) and adds its loss for dead concepts. The preset `study` is the study's loss, see
`study.py`.

Training goes in segments of `SEGMENT` steps. Each begins the stream again at its recorded position, with a seed that
follows from the step; so what was interrupted and resumed at the end of a segment ends with the same weights as what
was not. A checkpoint is written at the end of a segment, at most every `CHECKPOINT_SECONDS`.

Before the first step it says how long it will take, from steps measured on throw-away SAEs of the same sizes. A loss
that is not finite ends it: nothing of it is kept.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import SaeError
from core.progress import Progress, Task
from core.sae import checkpoint
from core.sae.architectures import TrainingPlan, training_sae
from core.sae.checkpoint import LogPoint, State
from core.sae.stream import Stream, buffer_rows

LOG_EVERY = 25
MEAN_ROWS = 2**15
"""Rows that a decoder bias is the mean of, at least one batch: a standard error of 0.6% of the rows' own deviation."""
SEGMENT = 250
"""Steps between two beginnings of the stream; each leaves out the rows in the buffer, 8 to 16 batches."""
CHECKPOINT_SECONDS = 60
TRIAL_STEPS = 2
"""Steps that are timed before a training, after one that warms up."""
SHORT = 100
"""Steps from which on a training is timed beforehand."""


class LossNotFinite(SaeError):
    """A training whose loss, or whose weights, became infinite or undefined."""


def train(
    jobs: Mapping[Path, TrainingPlan], stream: Stream, progress: Progress, unfinished: Path
) -> dict[Path, list[LogPoint]]:
    """Train and write the inference SAE of each plan into its folder; the figures logged on the way.

    Args:
        jobs: plans by folder; they differ in width, K, architecture or preset only.
        unfinished: where checkpoints are, and where an earlier one is looked for; the caller deletes it.

    Raises:
        LossNotFinite: nothing is kept, no checkpoint either.
    """
    import torch

    plans = {plan.name: plan for plan in jobs.values()}
    with torch.random.fork_rng(devices=[]):
        if (left := _steps_left(plans, unfinished)) >= SHORT:
            progress.say(_announcement(plans, left, seconds_per_step(plans, stream)))
        trainers = {name: new_trainer(plan) for name, plan in plans.items()}
        fresh = State(0, stream.positions, {name: [] for name in plans})
        state = checkpoint.load(unfinished, trainers, plans)
        if state is None:
            state = fresh
            _centre(trainers, plans, stream)
        try:
            _run(trainers, plans, state, stream, progress, unfinished)
        except LossNotFinite:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    for folder, plan in jobs.items():
        trainers[plan.name].set_final_sae_metadata()
        trainers[plan.name].sae.to("cpu").save_inference_model(folder)
    return {folder: state.logs[plan.name] for folder, plan in jobs.items()}


def new_trainer(plan: TrainingPlan) -> Any:
    """sae-lens's trainer of an SAE with fresh weights, on the device at hand."""
    import torch
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    from core.models.device import device

    torch.manual_seed(plan.seed)
    sae = training_sae(plan, device())
    config = SAETrainerConfig(
        total_training_samples=plan.steps * plan.batch,
        train_batch_size_samples=plan.batch,
        lr=plan.learning_rate,
        lr_end=0.0,
        lr_decay_steps=round(plan.decay * plan.steps),
        adam_beta1=0.9,
        adam_beta2=0.999,
        device=device(),
        dead_feature_window=max(20, min(1000, plan.steps // 10)),
    )
    return SAETrainer(config, sae, iter(()))  # batches are handed to it


def _centre(trainers: Mapping[str, Any], plans: Mapping[str, TrainingPlan], stream: Stream) -> None:
    """Set the decoder bias of those SAEs that have one; afterwards the stream stands where it stood."""
    import torch

    biased = [trainers[name].sae for name, plan in plans.items() if plan.bias == "mean"]
    if not biased:
        return
    positions, batch = stream.positions, next(iter(plans.values())).batch
    drawn = islice(stream.begin(positions), max(1, -(-MEAN_ROWS // batch)))
    mean = torch.cat(list(drawn)).double().mean(0)
    stream.go_to(positions)
    with torch.no_grad():
        for sae in biased:
            sae.b_dec.copy_(mean)


def _run(
    trainers: Mapping[str, Any],
    plans: Mapping[str, TrainingPlan],
    state: State,
    stream: Stream,
    progress: Progress,
    unfinished: Path,
) -> None:
    """Train segment by segment; afterwards `state` stands at the last step."""
    plan = next(iter(plans.values()))
    written = time.monotonic()
    with progress.task("train SAE " + ", ".join(name.replace("-", " x ") for name in plans), plan.steps) as bar:
        bar.advance(state.step)
        while state.step < plan.steps:
            _segment(trainers, state, stream, plan, bar)
            if time.monotonic() - written >= CHECKPOINT_SECONDS:
                checkpoint.save(unfinished, state, trainers, plans)
                written = time.monotonic()


def _segment(trainers: Mapping[str, Any], state: State, stream: Stream, plan: TrainingPlan, bar: Task) -> None:
    """The loop of `SAETrainer.fit`, through its public steps, with our progress in place of its bar."""
    import torch

    torch.manual_seed(int(np.random.SeedSequence((plan.seed, state.step)).generate_state(1)[0]))
    batches = stream.begin(state.positions)
    for _ in range(min(SEGMENT, plan.steps - state.step)):
        batch = next(batches)
        for name, trainer in trainers.items():
            trainer.maybe_reset_sparsity()
            output = trainer.step(batch)
            trainer.n_training_steps += 1
            _check_finite(output.loss.item(), plan, state.step)
            if state.step % LOG_EVERY == 0 or state.step == plan.steps - 1:
                state.logs[name].append(_point(trainer, output, state.step))
                bar.note(_words(state.logs))
        state.step += 1
        bar.advance()
    for trainer in trainers.values():
        # The last update of a segment shows in no loss before the weights are written.
        _check_finite(sum(p.detach().abs().sum().item() for p in trainer.sae.parameters()), plan, state.step)
    state.positions = stream.positions


def _check_finite(value: float, plan: TrainingPlan, step: int) -> None:
    if not math.isfinite(value):
        raise LossNotFinite(
            f"the training of the SAE stopped at step {step:,} of {plan.steps:,}: its loss is not finite",
            got=f"{value} with learning_rate = {plan.learning_rate:g}",
            todo="set a smaller learning_rate under [sae], and check that the embeddings are finite",
        )


def seconds_per_step(plans: Mapping[str, TrainingPlan], stream: Stream) -> float:
    """Measured: making one batch, and one step of every SAE, on throw-away SAEs; the stream stands where it was."""
    positions, started = stream.positions, time.perf_counter()
    batch = next(stream.begin(positions))
    # The first batch fills the buffer; later ones take as many rows as they give.
    making = (time.perf_counter() - started) * stream.batch / buffer_rows(stream.size, stream.batch)
    stream.go_to(positions)
    return making + seconds_of_a_step(plans, batch)


def seconds_of_a_step(plans: Mapping[str, TrainingPlan], batch: Any) -> float:
    """Measured: one step of every SAE on a batch (b, d), on throw-away SAEs."""
    import torch

    stepping = 0.0
    for plan in plans.values():
        trainer = new_trainer(plan)
        trainer.step(batch)
        started = time.perf_counter()
        for _ in range(TRIAL_STEPS):
            trainer.step(batch).loss.item()  # a GPU has finished once its loss is read
        stepping += (time.perf_counter() - started) / TRIAL_STEPS
        del trainer
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return stepping


def _steps_left(plans: Mapping[str, TrainingPlan], unfinished: Path) -> int:
    return next(iter(plans.values())).steps - checkpoint.steps_done(unfinished)


def _announcement(plans: Mapping[str, TrainingPlan], steps: int, seconds: float) -> str:
    """How long the steps that are left will take, and what makes it shorter."""
    fewer = max(1, next(iter(plans.values())).steps // 4)
    names = ", ".join(f"{plan.width:,} x {plan.k}" for plan in plans.values())
    return (
        f"training the SAE {names}: {steps:,} steps, about {duration(steps * seconds)} ({seconds:.2g} s a step,"
        f" measured); shorter: steps = {fewer} under [sae] takes about {duration(fewer * seconds)}, a smaller width"
        " or batch less in proportion"
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _words(logs: Mapping[str, list[LogPoint]]) -> str:
    """Figures of the first SAE."""
    last = next(iter(logs.values()))[-1]
    return f"loss {last.loss:.4g}, EV {last.explained_variance:.3f}, L0 {last.l0:.1f}, dead {last.dead_share:.1%}"


def _point(trainer: Any, output: Any, step: int) -> LogPoint:
    figures = trainer.build_train_step_log_dict(output, trainer.n_training_samples)
    dead = figures["sparsity/dead_features"] / trainer.sae.cfg.d_sae
    return LogPoint(
        step, figures["losses/overall_loss"], figures["metrics/explained_variance"], figures["metrics/l0"], dead
    )
