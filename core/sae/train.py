"""Training SAEs with sae-lens: one `SAETrainer` each, all fed the same batches of one stream, so that the model runs
once.

The settings of the default preset: Adam 8e-4, betas 0.9/0.999, batches of 4096 states, gradient norm clipped at 1
(sae-lens does), no decoder bias, no input bias, no normalisation, decoder rows of unit norm (sae-lens rescales by the
norms and folds them on saving). Different from the study: sae-lens sums the squared error over dimensions, has no L1
term (Top-K fixes the sparsity) and adds its loss for dead concepts. The preset `study` is the study's loss, see
`study.py`.

Training goes in segments of `SEGMENT` steps. Each begins the stream again at its recorded position, with a seed that
follows from the step; so what was interrupted and resumed at the end of a segment ends with the same weights as what
was not. A checkpoint is written at the end of a segment, at most every `CHECKPOINT_SECONDS`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.progress import Progress, Task
from core.sae import checkpoint
from core.sae.architectures import TrainingPlan, training_sae
from core.sae.checkpoint import LogPoint, State
from core.sae.stream import Stream

LOG_EVERY = 25
SEGMENT = 250
"""Steps between two beginnings of the stream; each leaves out the rows in the buffer, 8 to 16 batches."""
CHECKPOINT_SECONDS = 60


def train(
    jobs: Mapping[Path, TrainingPlan], stream: Stream, progress: Progress, unfinished: Path
) -> dict[Path, list[LogPoint]]:
    """Train and write the inference SAE of each plan into its folder; the figures logged on the way.

    Args:
        jobs: plans by folder; they differ in width, K, architecture or preset only.
        unfinished: where checkpoints are, and where an earlier one is looked for; the caller deletes it.
    """
    import torch

    plans = {plan.name: plan for plan in jobs.values()}
    with torch.random.fork_rng(devices=[]):
        trainers = {name: _trainer(plan) for name, plan in plans.items()}
        fresh = State(0, stream.positions, {name: [] for name in plans})
        state = checkpoint.load(unfinished, trainers, plans) or fresh
        _run(trainers, plans, state, stream, progress, unfinished)
    for folder, plan in jobs.items():
        trainers[plan.name].set_final_sae_metadata()
        trainers[plan.name].sae.to("cpu").save_inference_model(folder)
    return {folder: state.logs[plan.name] for folder, plan in jobs.items()}


def _trainer(plan: TrainingPlan) -> Any:
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
            if state.step % LOG_EVERY == 0 or state.step == plan.steps - 1:
                state.logs[name].append(_point(trainer, output, state.step))
                bar.note(_words(state.logs))
        state.step += 1
        bar.advance()
    state.positions = stream.positions


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
