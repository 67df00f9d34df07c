"""What a change of concepts adds to token states: h' = h + sum_k (z'_k - z_k) D_k, in embedding units.

z_k is the activation of concept k on the state itself, as `SaeEncoder` gives it. z'_k is z_k times a factor, or a set
value. What the SAE does not explain of h stays in it, so where no concept changes nothing does. Steering with a
dictionary in this way, error kept, is that of Marks et al. 2025 (Sparse feature circuits, arXiv 2403.19647).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.memo import Memo
from core.sae.codes import BLOCK_VALUES, SaeEncoder
from core.sae.files import unit_dictionary

if TYPE_CHECKING:
    from torch import Tensor


_ENCODERS = Memo(4)
"""SAEs in memory: many changes of one model take the same."""


class TokenCodes:
    """Activations of chosen concepts on token states, in torch, on whatever device the states are."""

    def __init__(self, folder: Path, input_: str, concepts: Sequence[int]) -> None:
        self.concepts = list(concepts)
        self._encoder = _ENCODERS.get((str(folder), input_), lambda: SaeEncoder(folder, input_))
        self._unit = self._encoder._unit[self.concepts]
        self._width = int(self._encoder.sae.cfg.d_sae)

    def __call__(self, states: Tensor) -> Tensor:
        """(n, m) activations in embedding units, float32, of states (n, d) float32."""
        import torch

        self._encoder.sae.to(states.device)
        step = max(1, BLOCK_VALUES // self._width)
        with torch.inference_mode():  # an SAE that was loaded in that mode cannot be used outside of it
            blocks = [self._block(states[start : start + step]) for start in range(0, len(states), step)]
        return torch.cat(blocks) if blocks else states.new_zeros((0, len(self.concepts)))

    def _block(self, states: Tensor) -> Tensor:
        import torch

        encoder, scale = self._encoder, torch.ones_like(states[:, :1])
        if encoder.input == "normalised":
            norms = states.norm(dim=1, keepdim=True)
            scale = torch.where(norms > 0, norms, 1.0)
        codes = encoder.sae.encode(states / scale).float()[:, self.concepts]
        normalisation = encoder.config.get("normalize_activations", "none")
        if normalisation == "layer_norm":  # read right after `encode`: the SAE remembers the factors of its last call
            codes = codes * encoder.sae.ln_std
        elif normalisation == "constant_norm_rescale":
            codes = codes / encoder.sae.x_norm_coeff
        return codes * torch.as_tensor(self._unit, device=states.device) * scale


class ConceptShift:
    """What a change of concepts adds to token states; a function of `models.inside.Intervention`."""

    def __init__(
        self,
        folder: Path,
        input_: str,
        factors: Sequence[tuple[int, float]],
        clamped: Sequence[tuple[int, float]] = (),
    ) -> None:
        """`factors` (concept, factor), 0 switches it off; `clamped` (concept, activation in embedding units)."""
        named = [k for k, _ in (*factors, *clamped)]
        self._codes = TokenCodes(folder, input_, named)
        self._rows = unit_dictionary(folder)[named]
        # z' - z = scale z + shift: factor s gives (s - 1) z + 0, a set value v gives -z + v
        self._scale = np.array([s - 1.0 for _, s in factors] + [-1.0 for _ in clamped], np.float32)
        self._shift = np.array([0.0 for _ in factors] + [v for _, v in clamped], np.float32)

    def __call__(self, states: Tensor) -> Tensor:
        """(n, d) of states (n, d), float32."""
        import torch

        scale, shift, rows = (torch.as_tensor(a, device=states.device) for a in (self._scale, self._shift, self._rows))
        return (self._codes(states) * scale + shift) @ rows
