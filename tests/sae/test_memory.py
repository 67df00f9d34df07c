"""What a training takes: against sums worked out by hand, and refused where it is not there."""

from __future__ import annotations

import pytest

from core.errors import TooLarge
from core.sae import memory
from core.sae.architectures import TrainingPlan
from core.sae.memory import check_training, training_bytes


def plan(width: int, batch: int = 2) -> TrainingPlan:
    return TrainingPlan(size=4, width=width, k=1, steps=1, batch=batch)


def test_the_sum_by_hand() -> None:
    # 2 x 4 x 8 weights and 8 biases, four times; 3 x 2 x 8 activations; 16 batches in the buffer and one at hand.
    assert training_bytes([plan(8)]) == 4 * (4 * 72 + 48 + (32 + 2) * 4)
    # A second dictionary shares the batch and the buffer.
    assert training_bytes([plan(8), plan(16)]) - training_bytes([plan(8)]) == 4 * (4 * 144 + 96)


def test_the_default_of_a_7b_model_takes_a_few_gibibytes() -> None:
    default = TrainingPlan(size=3584, width=32768, k=50, steps=1)
    assert 4 < training_bytes([default]) / 2**30 < 8


def test_what_does_not_fit_is_refused_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_gib", lambda: 1.0)
    check_training([plan(8)])
    check_training([])
    with pytest.raises(
        TooLarge, match=r"training 1 SAE \(width 4194304, batch 1048576\).*got about 49,.*1.0 GiB.*next"
    ):
        check_training([plan(2**22, 2**20)])
