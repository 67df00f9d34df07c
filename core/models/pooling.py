"""Token states -> one row: four poolings over a mask, in float32.

In: states (b, t, d) of any float type, keep (b, t) bool with at least one True per row. Out: (b, d) float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.models.outliers import MEASURE, NO_OUTLIERS, measure, ordinary_rows

if TYPE_CHECKING:
    from torch import Tensor

    from core.records import TokenStates

MASKED_ROLES: dict[str, frozenset[str]] = {
    "all": frozenset({"image", "text", "prompt", "template"}),
    "no-image": frozenset({"text", "prompt", "template"}),
    "no-prompt": frozenset({"image", "text", "template"}),
    "text": frozenset({"text"}),
}
"""Token roles each mask keeps; the mask that goes by norms is in `outliers.py`."""


def kept_tokens(tokens: TokenStates, mask: str) -> np.ndarray:
    """(n_tokens,) bool: which token states a mask keeps."""
    if mask == NO_OUTLIERS:
        return ordinary_rows(tokens.states, tokens.item)
    return np.array([role in MASKED_ROLES[mask] for role in tokens.role], bool)


def mean(states: Tensor, keep: Tensor) -> Tensor:
    """Mean of the kept states."""
    weights = keep.float()
    return (states.float() * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)


def last(states: Tensor, keep: Tensor) -> Tensor:
    """State of the last kept token."""
    import torch

    at = (keep * torch.arange(1, keep.shape[1] + 1, device=keep.device)).argmax(1)
    return states[torch.arange(len(states), device=states.device), at].float()


def maximum(states: Tensor, keep: Tensor) -> Tensor:
    """Largest kept value of each dimension."""
    return states.float().masked_fill(~keep[..., None], float("-inf")).amax(1)


def minimum(states: Tensor, keep: Tensor) -> Tensor:
    """Smallest kept value of each dimension."""
    return states.float().masked_fill(~keep[..., None], float("inf")).amin(1)


POOLINGS = {"mean": mean, "last": last, "max": maximum, "min": minimum, MEASURE: measure}
"""Every pooling by name. `MEASURE`, the last, is not for specs: it gives the two figures of `outliers.py`."""
