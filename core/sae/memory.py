"""How much memory a training takes, and its refusal where that is not free: estimated before anything is encoded.

Rule (`training_bytes`), in float32: encoder and decoder of every dictionary four times (weights, gradients, Adam's two
moments), three arrays of batch x width (before and after the activation, and its gradient), the batch itself, and the
buffer that shuffles rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.machine import GIB, check_memory
from core.models.device import free_gib
from core.sae.architectures import TrainingPlan
from core.sae.stream import buffer_rows

FLOAT = 4
COPIES = 4
"""Weights, gradients, and Adam's two moments."""
ACTIVATIONS = 3


def training_bytes(plans: Sequence[TrainingPlan]) -> int:
    """Bytes that training all plans in one pass takes."""
    parameters = sum(2 * plan.size * plan.width + plan.width for plan in plans)
    activations = sum(ACTIVATIONS * plan.batch * plan.width for plan in plans)
    rows = max((buffer_rows(plan.size, plan.batch) + plan.batch) * plan.size for plan in plans)
    return FLOAT * (COPIES * parameters + activations + rows)


def check_training(plans: Sequence[TrainingPlan]) -> None:
    """Refuse dictionaries that do not fit into the memory of the device they would be trained on.

    Raises:
        TooLarge: and what would help.
    """
    if not plans:
        return
    widths = ", ".join(str(width) for width in dict.fromkeys(plan.width for plan in plans))
    what = f"training {len(plans)} SAE{'s' if len(plans) > 1 else ''} (width {widths}, batch {plans[0].batch})"
    todo = "a smaller width or batch in [sae], or fewer of widths and ks"
    check_memory(what, training_bytes(plans), free_gib() * GIB, todo)
