"""SAE training beside a plain torch loop and beside the rate at which a model makes states; codes beside the dense way.

The plain loop does what a training step must: pre-activations, the K largest, ReLU, reconstruction, squared error,
backward, gradient norm clipped, Adam. The project's step is sae-lens's: also the loss for dead concepts, the rescaling
by decoder norms, and what it counts on the way. Both take the same batches. The dense way of codes is sae-lens's own
`encode`, whose dense result becomes a sparse matrix on the CPU.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from core.commands.benches.apart import alone, peak_gib
from core.commands.benches.encoding import WARM_UP, demo_items

REPEATS = 5
"""Timed runs of each side; the median counts."""
STEPS = 3
"""Training steps of a timed run, after one that does not count."""


def sae_rates(
    width: int = 32_768, k: int = 50, size: int = 1024, batch: int = 4096, model: str = "demo-mllm", items: int = 192
) -> dict[str, Any]:
    """States per second of both trainings and of the model, rows per second of both ways to codes, ratios, peak memory.

    Args:
        size: d of the states.
        model: whose states arrive; `items` of the demo world.
    """
    sides = {name: alone(side, width, k, size, batch) for name, side in SIDES.items()}
    arriving = alone(_arriving, model, items)
    rates = {name: one["rows"] / one["seconds"] for name, one in sides.items()}
    return {
        "width": width,
        "k": k,
        "d": size,
        "batch": batch,
        "device": sides["train"]["device"],
        "train_states_per_second": rates["train"],
        "plain_train_states_per_second": rates["plain_train"],
        "train_ratio": rates["train"] / rates["plain_train"],
        "arriving_from": model,
        "arriving_states_per_second": arriving["rate"],
        "train_over_arriving": rates["train"] / arriving["rate"],
        "codes_rows_per_second": rates["codes"],
        "dense_codes_rows_per_second": rates["dense_codes"],
        "codes_ratio": rates["codes"] / rates["dense_codes"],
        **{f"{name}_peak_gib": one["peak_gib"] for name, one in sides.items()},
    }


def _states(rows: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, size), np.float32)


def _timed(work: Callable[[], object], rows: int) -> dict[str, Any]:
    """The median of `REPEATS` runs, after one that does not count."""
    from core.models.device import device

    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return {"seconds": median(seconds), "rows": rows, "peak_gib": peak_gib(), "device": device()}


def _train(width: int, k: int, size: int, batch: int) -> dict[str, Any]:
    """The project's training: batches from its stream, sae-lens's step."""
    from core.sae.architectures import TrainingPlan
    from core.sae.stream import Order, Stream, pooled_rows
    from core.sae.train import new_trainer

    plan, rows = TrainingPlan(size, width, k, steps=1000, batch=batch), _states(4 * batch, size)
    order = Order(len(rows), 0)
    batches = Stream(lambda: pooled_rows([rows], batch, order), (order,), size, batch, normalise=False).begin([0])
    trainer = new_trainer(plan)

    def steps() -> None:
        for _ in range(STEPS):
            loss = trainer.step(next(batches)).loss
            trainer.n_training_steps += 1
        loss.item()

    return _timed(steps, STEPS * batch)


def _plain_train(width: int, k: int, size: int, batch: int) -> dict[str, Any]:
    """The loop of the module docstring, batches cut from a shuffled array."""
    import torch

    from core.models.device import device

    torch.manual_seed(0)
    states = torch.from_numpy(_states(4 * batch, size))
    decoder = torch.nn.functional.normalize(torch.randn(width, size, device=device()), dim=1).requires_grad_()
    encoder = decoder.detach().T.clone().requires_grad_()
    bias = torch.zeros(width, device=device(), requires_grad=True)
    parameters = [encoder, bias, decoder]
    optimiser = torch.optim.Adam(parameters, lr=8e-4)

    def steps() -> None:
        for _ in range(STEPS):
            x = states[torch.randperm(len(states))[:batch]].to(device())
            values, columns = (x @ encoder + bias).topk(k, dim=1, sorted=False)
            codes = torch.zeros(batch, width, device=x.device).scatter(1, columns, values.relu())
            loss = ((codes @ decoder - x) ** 2).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
        loss.item()

    return _timed(steps, STEPS * batch)


def _saved(folder: str, width: int, k: int, size: int) -> Path:
    """A random Top-K SAE as sae-lens saves it."""
    from sae_lens import TopKSAE, TopKSAEConfig

    TopKSAE(TopKSAEConfig(d_in=size, d_sae=width, k=k)).save_model(folder)
    return Path(folder)


def _codes(width: int, k: int, size: int, batch: int) -> dict[str, Any]:
    """The project's codes."""
    from core.sae import SaeEncoder

    rows = _states(batch, size)
    with tempfile.TemporaryDirectory() as folder:
        encoder = SaeEncoder(_saved(folder, width, k, size), "raw")
    return _timed(lambda: encoder.encode(rows), batch)


def _dense_codes(width: int, k: int, size: int, batch: int) -> dict[str, Any]:
    """The dense way."""
    import torch
    from sae_lens import SAE
    from scipy.sparse import csr_matrix

    from core.models.device import device

    rows = torch.from_numpy(_states(batch, size))
    with tempfile.TemporaryDirectory() as folder:
        sae: Any = SAE.load_from_disk(_saved(folder, width, k, size), device=device())

    def encode() -> object:
        with torch.inference_mode():
            return csr_matrix(sae.encode(rows.to(device())).cpu().numpy())

    return _timed(encode, batch)


SIDES: dict[str, Callable[[int, int, int, int], dict[str, Any]]] = {
    "train": _train,
    "plain_train": _plain_train,
    "codes": _codes,
    "dense_codes": _dense_codes,
}


def _arriving(model: str, number: int) -> dict[str, Any]:
    """Token states per second as training takes them from a model."""
    from core.config import ModelSpec
    from core.models import load_model
    from core.records import EmbeddingView
    from core.sae.stream import Order, token_rows

    adapter, items = load_model(ModelSpec(name=model)), demo_items(number)
    adapter.token_states(items[:WARM_UP])
    stream = token_rows(adapter, lambda rows: [items[row] for row in rows], Order(number, 0), EmbeddingView())
    started, states, read = time.perf_counter(), 0, 0
    while read < number:
        states += len(next(stream))
        read += min(64, number - read)
    return {"rate": states / (time.perf_counter() - started)}
