"""One training loop for both demo models: AdamW, warm-up and cosine, checkpoints that can be resumed.

In:  a model, a function from a step number to the loss of that step's batch, a `Schedule`.
Out: the trained model; a checkpoint file that always holds the newest whole state.

Data depends on the step number alone, so a resumed run sees what an uninterrupted one would have seen.
Matrix products run in bfloat16 (autocast) where the device has it, weights and optimizer state stay in float32.
Under `torchrun` every worker takes its part of each batch and gradients are averaged; on a busy CPU two workers of one
thread waste less than one worker of two threads.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

log = logging.getLogger("core.demo.train")


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int  # optimizer steps in all
    rate: float  # peak learning rate
    warmup: int = 200  # steps from zero to the peak
    floor: float = 0.02  # share of the peak left at the end
    decay: float = 0.05  # weight decay of matrices
    clip: float = 1.0  # limit on the norm of the gradient
    save_every: float = 120.0  # seconds between checkpoints
    log_every: int = 50  # steps between log lines

    def factor(self, step: int) -> float:
        """Share of the peak rate at a step: linear up, then half a cosine down to `floor`."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(where: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 on a device that has it, else in float32: a CPU without it emulates bfloat16, 100 to
    300 times slower than float32."""
    has = where.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(where.type, torch.bfloat16, enabled=has)


def worker() -> tuple[int, int]:
    """This worker's number and how many there are; (0, 1) unless started by torchrun."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size()


def average_gradients(model: torch.nn.Module) -> None:
    """Give every worker the mean of all workers' gradients."""
    workers = worker()[1]
    if workers == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)  # one message for all gradients: gloo pays for every call
    parts = flat.div_(workers).split([g.numel() for g in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def optimizer(model: torch.nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """AdamW over all parameters that learn; vectors (norms, biases) and embeddings of single numbers do not decay."""
    learning = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": schedule.decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98), fused=True)


def train(
    model: torch.nn.Module,
    loss_at: Callable[[int], torch.Tensor],
    schedule: Schedule,
    checkpoint: Path,
    after_save: Callable[[int], None] = lambda step: None,
) -> None:
    """Run to the end of the schedule, from the checkpoint if there is one."""
    learner = optimizer(model, schedule)
    first = _resume(model, learner, checkpoint)
    model.train()
    saved = noted = time.monotonic()
    mean = 0.0
    for step in range(first, schedule.steps):
        loss = _update(model, learner, loss_at(step), schedule, step)
        mean = loss if mean == 0.0 else 0.98 * mean + 0.02 * loss
        if (step + 1) % schedule.log_every == 0 and worker()[0] == 0:
            now = time.monotonic()
            log.info(
                "step %d/%d loss %.4f  %.2f s/step", step + 1, schedule.steps, mean, (now - noted) / schedule.log_every
            )
            noted = now
        if time.monotonic() - saved > schedule.save_every or step + 1 == schedule.steps:
            if worker()[0] == 0:
                _save(model, learner, step + 1, checkpoint)
                after_save(step + 1)
            model.train()  # `after_save` may have set it to evaluation
            saved = time.monotonic()


def _update(
    model: torch.nn.Module, learner: torch.optim.Optimizer, loss: torch.Tensor, schedule: Schedule, step: int
) -> float:
    """One step of the optimizer; returns the loss."""
    for group in learner.param_groups:
        group["lr"] = schedule.rate * schedule.factor(step)
    learner.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
    learner.step()
    return loss.item()


def _save(model: torch.nn.Module, learner: torch.optim.Optimizer, step: int, path: Path) -> None:
    """Write aside, then replace: the file is whole at every moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizer": learner.state_dict(), "step": step}, aside)
    os.replace(aside, path)
    log.info("checkpoint at step %d", step)


def _resume(model: torch.nn.Module, learner: torch.optim.Optimizer, path: Path) -> int:
    """Load the checkpoint, if any; returns the step to go on with."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    learner.load_state_dict(state["optimizer"])
    log.info("resumed at step %d", state["step"])
    return state["step"]
