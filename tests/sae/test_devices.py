"""Codes and training on a GPU that is not there: shapes of a 7B model on torch's fake `cuda`, where a tensor left on
the CPU is an error; and on a real one where it is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode

from core.sae import SaeEncoder
from core.sae.active import Activation
from core.sae.architectures import TrainingPlan
from core.sae.codes import BLOCK_VALUES
from core.sae.train import new_trainer

D, C, K = 3584, 32_768, 50
MISMATCH = "all tensors to be on the same device"


@pytest.fixture
def fake() -> Iterator[FakeTensorMode]:
    """Tensors without numbers, on whatever device they say they are on."""
    with FakeTensorMode(shape_env=ShapeEnv()) as mode:
        yield mode


def sae_of(architecture: str, device: str = "cuda", size: int = D, width: int = C) -> Any:
    import sae_lens as lens

    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "topk": (lens.TopKSAE, lens.TopKSAEConfig, {"k": min(K, width), "rescale_acts_by_decoder_norm": True}),
        "jumprelu": (lens.JumpReLUSAE, lens.JumpReLUSAEConfig, {}),
        "standard": (lens.StandardSAE, lens.StandardSAEConfig, {}),
        "gated": (lens.GatedSAE, lens.GatedSAEConfig, {}),
    }
    make, configure, own = kinds[architecture]
    return make(configure(d_in=size, d_sae=width, device=device, **own))


@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "standard", "gated"])
def test_codes_stay_on_the_device_of_the_sae(fake: FakeTensorMode, architecture: str) -> None:
    active = Activation(sae_of(architecture))(torch.empty(BLOCK_VALUES // C, D))
    assert {active.values.device.type, active.columns.device.type, active.counts.device.type} == {"cuda"}
    assert active.counts.shape == (BLOCK_VALUES // C,)
    assert active.values.ndim == active.columns.ndim == 1


def test_rows_left_on_the_cpu_are_seen(fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> None:
    activation = Activation(sae_of("topk"))
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_args, **_named: self)
    with pytest.raises(RuntimeError, match=MISMATCH):
        activation(torch.empty(4, D))


class Largest(TorchDispatchMode):
    """Remembers the most values a tensor had."""

    values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple | list) else [made]:
            if torch.is_tensor(one):
                self.values = max(self.values, one.numel())
        return made


@pytest.mark.parametrize("architecture", ["topk", "jumprelu"])
def test_no_more_than_a_block_of_pre_activations_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    size, width, rows, block = 8, 512, 300, 2**12
    sae_of(architecture, "cpu", size, width).save_model(tmp_path)
    encoder = SaeEncoder(tmp_path, "raw")
    monkeypatch.setattr("core.sae.codes.BLOCK_VALUES", block)
    with Largest() as largest:
        codes = encoder.encode(np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32)).codes
    assert codes.nnz > 0
    # A threshold may keep all: then a block's indices (row and column) are twice its values.
    assert block <= largest.values <= 2 * block < rows * width


@pytest.mark.parametrize("plan", [TrainingPlan(D, C, K, 100, bias="mean"), TrainingPlan(D, C, K, 100, preset="study")])
def test_a_training_step_stays_on_the_device(
    fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch, plan: TrainingPlan
) -> None:
    monkeypatch.setenv("RETRIEVAL_LENS_DEVICE", "cuda")
    trainer = new_trainer(plan)
    monkeypatch.setattr(type(trainer), "dead_neurons", None)  # how many there are is a number, and there are none here
    monkeypatch.setattr(torch.Tensor, "backward", lambda _loss: _like_gradients(trainer.sae))
    output = trainer.step(torch.empty(plan.batch, D))
    assert {p.device.type for p in trainer.sae.parameters()} == {"cuda"}
    assert output.loss.device.type == "cuda"
    assert output.feature_acts.shape == (plan.batch, C)
    moments = [m for state in trainer.optimizer.state.values() for name, m in state.items() if name != "step"]
    assert {m.device.type for m in moments} == {"cuda"}
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_args, **_named: self)
    with pytest.raises(RuntimeError, match=MISMATCH):
        trainer.step(torch.empty(plan.batch, D))


def _like_gradients(sae: Any) -> None:
    """Torch's engine runs backwards on real devices only: tensors of the shapes of its result."""
    for parameter in sae.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("architecture", ["topk", "jumprelu", "standard", "gated"])
def test_a_gpu_gives_the_codes_of_the_cpu(tmp_path: Path, architecture: str) -> None:
    torch.manual_seed(0)
    sae_of(architecture, "cpu", 256, 2048).save_model(tmp_path)
    rows = np.random.default_rng(0).normal(size=(500, 256)).astype(np.float32)
    ours, reference = (SaeEncoder(tmp_path, "raw", device).encode(rows).codes.toarray() for device in ("cuda", "cpu"))
    assert np.abs(ours - reference).max() < 1e-4 * np.abs(reference).max()
    assert ((ours > 0) != (reference > 0)).mean() < 1e-4  # what lies at the edge may round to either side
