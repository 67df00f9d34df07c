"""The study's training: loss, gradient clipping and Adam as plain torch has them, on a dictionary with unit rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.progress import NoProgress
from core.sae import SaeEncoder
from core.sae.architectures import TrainingPlan, training_sae
from core.sae.files import read_config, read_weight
from core.sae.stream import Order, Stream, pooled_rows
from core.sae.train import train

D, C, K, BATCH, STEPS = 8, 24, 3, 16, 30
PLAN = TrainingPlan(D, C, K, STEPS, seed=3, batch=BATCH, preset="study")
ROWS = np.random.default_rng(0).normal(size=(BATCH, D)).astype(np.float32)


class Plain(torch.nn.Module):
    """z = TopK(ReLU(W h + b)), the dictionary normalised where it is used."""

    def __init__(self, encoder: torch.Tensor, dictionary: torch.Tensor) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(D, C)
        self.linear.weight.data, self.linear.bias.data = encoder.clone(), torch.zeros(C)
        self.rows = torch.nn.Parameter(dictionary.clone())

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        best = self.linear(x).relu().topk(K, dim=1)
        z = torch.zeros(len(x), C).scatter(1, best.indices, best.values)
        return z, z @ (self.rows / self.rows.norm(dim=1, keepdim=True))


def plainly_trained() -> tuple[Plain, list[float]]:
    """The definition of docs/study.md section 3, step by step, from the same first weights."""
    torch.manual_seed(PLAN.seed)
    start = training_sae(PLAN, "cpu")
    model, losses = Plain(start.W_enc.data.T, start.W_dec.data), []
    optimiser = torch.optim.Adam(model.parameters(), lr=8e-4, betas=(0.9, 0.999), eps=1e-8)
    x = torch.from_numpy(ROWS)
    for _ in range(STEPS):
        z, found = model(x)
        loss = torch.nn.functional.mse_loss(found, x) + 1e-2 * z.abs().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return model, losses


def trained(folder: Path, plan: TrainingPlan) -> list[float]:
    """Every batch is a permutation of the same rows, of which loss and gradient know nothing."""
    order = Order(BATCH, 0)
    stream = Stream(lambda: pooled_rows([ROWS], BATCH, order), (order,), D, BATCH, normalise=False)
    return [point.loss for point in train({folder: plan}, stream, NoProgress(), folder / "checkpoint")[folder]]


def test_weights_and_losses_are_those_of_plain_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.sae.train.LOG_EVERY", 1)
    monkeypatch.setattr(
        "core.sae.stream.shuffled_batches", lambda rows, *_: (torch.from_numpy(chunk) for chunk in rows)
    )
    losses = trained(tmp_path, PLAN)
    model, expected = plainly_trained()
    assert losses == pytest.approx(expected, rel=1e-4)
    unit = torch.nn.functional.normalize(model.rows.data, dim=1).numpy()
    assert np.abs(read_weight(tmp_path, "W_enc").T - model.linear.weight.data.numpy()).max() < 1e-5
    assert np.abs(read_weight(tmp_path, "b_enc") - model.linear.bias.data.numpy()).max() < 1e-5
    assert np.abs(read_weight(tmp_path, "W_dec") - unit).max() < 1e-5
    assert (
        np.abs(
            SaeEncoder(tmp_path, "raw").encode(ROWS).codes.toarray() - model(torch.from_numpy(ROWS))[0].detach().numpy()
        ).max()
        < 1e-5
    )


def test_what_is_saved_has_no_bias_no_scaling_and_unit_rows(tmp_path: Path) -> None:
    trained(tmp_path, replace(PLAN, steps=3))
    config = read_config(tmp_path)
    assert (config["architecture"], config["k"]) == ("topk", K)
    assert (
        not config["apply_b_dec_to_input"]
        and not config["rescale_acts_by_decoder_norm"]
        and config["normalize_activations"] == "none"
    )
    assert not read_weight(tmp_path, "b_dec").any()
    assert np.allclose(np.linalg.norm(read_weight(tmp_path, "W_dec"), axis=1), 1, atol=1e-6)


def test_the_loss_differs_from_that_of_sae_lens(tmp_path: Path) -> None:
    study, own = trained(tmp_path / "a", PLAN), trained(tmp_path / "b", replace(PLAN, preset="sae-lens"))
    assert own[0] > 3 * study[0]
