"""Tokens whose norm dwarfs the rest of their item: attention sinks and massive activations.

Some hidden states of large decoders are orders of magnitude larger than all others, in the first token, in separators,
and in image tokens of the background ("massive activations", Sun et al. 2024, arXiv 2402.17762; "visual attention
sinks", Kang et al. 2025, arXiv 2503.03321). They hardly depend on the input, and they dominate a mean over
tokens. They are measured at every stored layer while encoding, and the mask `no-outliers` leaves them out. The final
norm evens most of them out: look at layers before the last. At layer 0, the decoder's input, image features and word
embeddings can differ in scale as a whole; the mask then leaves out the images.

The threshold is ours: in a mean, a token of 20 times the median norm weighs as much as 20 others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.records import EmbeddingView, StatePlace

if TYPE_CHECKING:
    from torch import Tensor

OUTLIER_RATIO = 20.0
"""A token is an outlier where its L2 norm exceeds this many times the median norm of its item's tokens at that
layer."""

NO_OUTLIERS = "no-outliers"
"""Mask: all tokens but outliers. The token of median norm is never one, so no item is left empty."""

MEASURE = "outliers"
"""A pooling that gives two figures instead of an embedding: the largest norm ratio and the number of outliers."""


def measured(place: StatePlace) -> EmbeddingView:
    """The view that gives the two figures of a place."""
    return EmbeddingView(place.layer, MEASURE, "all", place.norm, place.sublayer)


def norm_ratios(states: Tensor, attended: Tensor) -> Tensor:
    """Norm of each token over the median norm of its item, (b, t) float32; 0 for padding. Of two middle norms the
    smaller is the median.

    Args:
        states: (b, t, d), any float type.
        attended: (b, t) bool, False for padding.
    """
    norms = states.float().norm(dim=2)
    inside = norms.cpu().masked_fill(~attended.cpu(), float("nan"))
    median = inside.nanmedian(dim=1, keepdim=True).values.clamp_min(1e-30).to(norms.device)
    return (norms / median).masked_fill(~attended, 0.0)


def ordinary(states: Tensor, attended: Tensor) -> Tensor:
    """(b, t) bool: tokens that are attended and no outliers."""
    return attended & (norm_ratios(states, attended) <= OUTLIER_RATIO)


def measure(states: Tensor, attended: Tensor) -> Tensor:
    """(b, 2) float32: the largest norm ratio of each item, and how many of its tokens are outliers."""
    import torch

    ratios = norm_ratios(states, attended)
    return torch.stack([ratios.amax(1), (ratios > OUTLIER_RATIO).sum(1).float()], dim=1)


def ordinary_rows(states: np.ndarray, item: np.ndarray) -> np.ndarray:
    """(t,) bool: the same for token states (t, d) laid end to end, `item` (t,) saying whose they are."""
    norms = np.linalg.norm(np.asarray(states, np.float32), axis=1)
    medians = {one: np.quantile(norms[item == one], 0.5, method="lower") for one in np.unique(item)}
    return norms <= OUTLIER_RATIO * np.array([medians[one] for one in item], norms.dtype)
