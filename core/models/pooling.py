"""Token states -> one row: four poolings over a mask, in float32.

In: states (b, t, d) of any float type, keep (b, t) bool with at least one True per row. Out: (b, d) float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.errors import NotAvailable
from core.models.outliers import MEASURE, NO_OUTLIERS, measure, ordinary_rows

if TYPE_CHECKING:
    from torch import Tensor

    from core.models.tokens import Labels
    from core.records import Item, TokenStates

MASKED_ROLES: dict[str, frozenset[str]] = {
    "all": frozenset({"image", "text", "prompt", "template"}),
    "no-image": frozenset({"text", "prompt", "template"}),
    "no-prompt": frozenset({"image", "text", "template"}),
    "text": frozenset({"text"}),
}
"""Token roles each mask keeps; the mask that goes by norms is in `outliers.py`."""


def kept_tokens(tokens: TokenStates, mask: str) -> np.ndarray:
    """(n_tokens,) bool: which of the token states of some items, laid end to end, a mask keeps."""
    if mask == NO_OUTLIERS:
        return ordinary_rows(tokens.states, tokens.item)
    return np.array([role in MASKED_ROLES[mask] for role in tokens.role], bool)


def tokens_in_mask(mask: str, attended: Tensor, labels: list[Labels], items: list[Item]) -> Tensor:
    """(b, t) bool: which tokens of a padded batch a mask keeps; `labels` are only read where the mask goes by roles.

    Raises:
        NotAvailable: the mask leaves no token of an item.
    """
    import torch

    if mask == "all":
        return attended
    keep = torch.zeros_like(attended)
    for row, one in enumerate(labels):
        counted = [role in MASKED_ROLES[mask] for role in one.roles]
        if not any(counted):
            raise NotAvailable(
                f"mask {mask!r} leaves no token of item {items[row].id!r}",
                got=f"an item of modality {items[row].modality}",
                todo="leave this mask out of [embedding] masks, or these items out of the corpus",
            )
        # The tokens of an item lie where it is attended to, whatever side the padding stands on.
        keep[row, attended[row].nonzero()[: len(counted), 0]] = torch.tensor(counted, device=keep.device)
    return keep


def mean(states: Tensor, keep: Tensor) -> Tensor:
    """Mean over the tokens in the mask."""
    weights = keep.float()
    return (states.float() * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)


def last(states: Tensor, keep: Tensor) -> Tensor:
    """State of the last token in the mask."""
    import torch

    at = (keep * torch.arange(1, keep.shape[1] + 1, device=keep.device)).argmax(1)
    return states[torch.arange(len(states), device=states.device), at].float()


def maximum(states: Tensor, keep: Tensor) -> Tensor:
    """Largest value of each dimension over the tokens in the mask."""
    return states.float().masked_fill(~keep[..., None], float("-inf")).amax(1)


def minimum(states: Tensor, keep: Tensor) -> Tensor:
    """Smallest value of each dimension over the tokens in the mask."""
    return states.float().masked_fill(~keep[..., None], float("inf")).amin(1)


POOLINGS = {"mean": mean, "last": last, "max": maximum, "min": minimum, MEASURE: measure}
"""Every pooling by name. `MEASURE`, the last, is not for specs: it gives the two figures of `outliers.py`."""
