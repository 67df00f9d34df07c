"""Training a Top-K SAE with sae-lens: `TopKTrainingSAE` in a `SAETrainer`, fed from our own stream.

The study's settings: Adam 8e-4, betas 0.9/0.999, batches of 4096 states, gradient norm clipped at 1 (sae-lens does), no decoder bias, no
input bias, no normalisation, decoder rows of unit norm (sae-lens rescales by the norms and folds them on saving). Different from the study:
sae-lens sums the squared error over dimensions, has no L1 term (Top-K fixes the sparsity) and adds its loss for dead concepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 4096
LEARNING_RATE = 8e-4
LOG_EVERY = 25


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained.

    Attributes:
        size: d of the rows.
        width: concepts c.
        k: active concepts.
        steps: batches of `batch` rows.
        decay: last share of the steps, 0-1, over which the learning rate falls to 0 (the study: 0).
        seed: of the initial weights and the shuffling.
    """

    size: int
    width: int
    k: int
    steps: int
    seed: int = 0
    batch: int = BATCH
    learning_rate: float = LEARNING_RATE
    decay: float = 0.0


@dataclass(frozen=True)
class LogPoint:
    """Training figures of one batch.

    Attributes:
        loss: sae-lens's overall loss.
        explained_variance: 1 - squared error / variance around the batch mean of each dimension.
        l0: mean active concepts per row.
        dead_share: share of concepts, 0-1, that have not fired in the dead window.
    """

    step: int
    loss: float
    explained_variance: float
    l0: float
    dead_share: float


def train(plan: TrainingPlan, batches: Iterator[Tensor], folder: Path, progress: Progress) -> list[LogPoint]:
    """Train and write the inference SAE (sae-lens `topk`) into `folder`; the figures logged on the way."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        trainer = _trainer(plan, batches)
        log = _run(trainer, plan, progress)
    trainer.set_final_sae_metadata()
    trainer.sae.to("cpu").save_inference_model(folder)
    return log


def as_facts(log: list[LogPoint]) -> list[dict[str, float]]:
    """The log as plain JSON."""
    return [asdict(point) for point in log]


def _trainer(plan: TrainingPlan, batches: Iterator[Tensor]) -> Any:
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    from core.models.loading import device

    sae = TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=plan.size, d_sae=plan.width, k=plan.k, device=device(), apply_b_dec_to_input=False, normalize_activations="none",
            rescale_acts_by_decoder_norm=True,
        )
    )  # fmt: skip
    sae.b_dec.requires_grad_(False)  # stays 0: the study has no decoder bias
    window = max(20, min(1000, plan.steps // 10))
    decay_steps = round(plan.decay * plan.steps)
    config = SAETrainerConfig(
        total_training_samples=plan.steps * plan.batch, train_batch_size_samples=plan.batch, lr=plan.learning_rate, lr_end=0.0,
        lr_decay_steps=decay_steps, adam_beta1=0.9, adam_beta2=0.999, device=device(), dead_feature_window=window,
    )  # fmt: skip
    return SAETrainer(config, sae, batches)


def _run(trainer: Any, plan: TrainingPlan, progress: Progress) -> list[LogPoint]:
    """The loop of `SAETrainer.fit`, through its public steps, with our progress in place of its bar."""
    log: list[LogPoint] = []
    with progress.task(f"train SAE {plan.width} x {plan.k}", plan.steps) as bar:
        for step in range(plan.steps):
            trainer.maybe_reset_sparsity()
            output = trainer.step(next(trainer.data_provider))
            trainer.n_training_steps += 1
            if step % LOG_EVERY == 0 or step == plan.steps - 1:
                log.append(_point(trainer, output, step))
                bar.note(f"loss {log[-1].loss:.4g}, EV {log[-1].explained_variance:.3f}, dead {log[-1].dead_share:.1%}")
            bar.advance()
    return log


def _point(trainer: Any, output: Any, step: int) -> LogPoint:
    figures = trainer.build_train_step_log_dict(output, trainer.n_training_samples)
    dead = figures["sparsity/dead_features"] / trainer.sae.cfg.d_sae
    return LogPoint(step, figures["losses/overall_loss"], figures["metrics/explained_variance"], figures["metrics/l0"], dead)
