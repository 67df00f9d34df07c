"""The study's SAE as a sae-lens training class (docs/study.md section 3).

z = TopK(ReLU(W h + b)), ĥ = z D, D = rows of `W_dec` at unit length, loss = mean of (h - ĥ)² + 0.01 mean of |z|. What
sae-lens's Top-K does otherwise and this does not: sum of squared errors over the dimensions, decoder norms as part of
the selection, a loss for dead concepts. Not stated in the paper and chosen here: the encoder starts as the transposed
dictionary. Saved: unit rows.

Imports torch and sae-lens: to be imported inside functions.
"""

from __future__ import annotations

from typing import Any

from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.saes.sae import TrainStepInput
from torch import Tensor
from torch.nn.functional import normalize

SPARSITY = 1e-2
"""Weight of mean |z| in the loss."""


class StudySAE(TopKTrainingSAE):
    """Top-K with the study's loss and a dictionary that has unit rows at every step."""

    def __init__(self, cfg: TopKTrainingSAEConfig) -> None:
        super().__init__(cfg)
        self.mse_loss_fn = mean_squared_share

    def decode(self, feature_acts: Tensor) -> Tensor:
        """(n, d) from codes (n, c)."""
        return feature_acts @ normalize(self.W_dec, dim=-1) + self.b_dec

    def calculate_aux_loss(
        self, step_input: TrainStepInput, feature_acts: Tensor, hidden_pre: Tensor, sae_out: Tensor
    ) -> dict[str, Tensor]:
        """The sparsity term; sae-lens adds it to the squared error."""
        return {"sparsity_loss": SPARSITY * feature_acts.abs().mean()}

    def process_state_dict_for_saving_inference(self, state_dict: dict[str, Any]) -> None:
        """Nothing to fold before saving: the rows have unit length already."""
        super().process_state_dict_for_saving_inference(state_dict)
        state_dict["W_dec"] = normalize(state_dict["W_dec"], dim=-1)


def mean_squared_share(output: Tensor, exact: Tensor) -> Tensor:
    """(n, d): each dimension's share of the mean squared error, so that sae-lens's sum over dimensions is the mean."""
    return (output - exact) ** 2 / exact.shape[-1]
