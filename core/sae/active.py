"""The active concepts of a block of rows, found on the device the SAE is on: values and indices leave it, nothing else.

In: rows (b, d) as the SAE takes them, on any device. Out: `Active`, on the SAE's device. Steps, the formulas of
sae-lens's own `encode`: (1) sae-lens prepares the rows (normalisation, input bias); (2) the pre-activations of the
block are computed into one buffer, which the next block uses again; (3) Top-K keeps the K largest of each row that are
above 0; the other kinds keep what is above 0 and passes their threshold or gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Active:
    """Active concepts of b rows, row after row, columns of a row rising.

    Attributes:
        values: (m,) activations, above 0.
        columns: (m,) concepts.
        counts: (b,) active concepts of each row.
    """

    values: Tensor
    columns: Tensor
    counts: Tensor


class Activation:
    """Pre-activations and activation of one sae-lens SAE (`topk`, `jumprelu`, `standard`, `gated`)."""

    def __init__(self, sae: Any) -> None:
        import torch

        self.sae, self.kind = sae, sae.cfg.architecture()
        self._buffers: dict[str, Tensor] = {}
        with torch.no_grad():
            # sae-lens computes both again for every block.
            self._norms = sae.W_dec.norm(dim=-1) if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False) else None
            self._magnitude = sae.W_enc * sae.r_mag.exp() if self.kind == "gated" else sae.W_enc

    def __call__(self, rows: Tensor) -> Active:
        """The active concepts of rows (b, d)."""
        import torch

        with torch.inference_mode():
            prepared = self.sae.process_sae_in(rows.to(self.sae.device))
            return self._largest(prepared) if self.kind == "topk" else self._above(prepared)

    def _largest(self, prepared: Tensor) -> Active:
        """Top-K: K largest, then those above 0."""
        before = self._affine("acts", prepared, self.sae.W_enc, self.sae.b_enc)
        if self._norms is not None:
            before.mul_(self._norms)
        values, columns = before.topk(self.sae.cfg.k, dim=-1, sorted=False)
        columns, order = columns.sort(dim=-1)
        values = values.gather(-1, order).relu_()
        kept = values != 0  # not "> 0": a row with NaN stays one
        return Active(values[kept], columns[kept], kept.sum(-1))

    def _above(self, prepared: Tensor) -> Active:
        """ReLU, a threshold or a gate."""
        sae = self.sae
        if self.kind == "gated":
            acts = self._affine("acts", prepared, self._magnitude, sae.b_mag).relu_()
            acts.mul_(self._affine("gate", prepared, sae.W_enc, sae.b_gate) > 0)
        else:
            before = self._affine("acts", prepared, sae.W_enc, sae.b_enc)
            passed = before > sae.threshold if self.kind == "jumprelu" else None
            acts = before.relu_()
            if passed is not None:
                acts.mul_(passed)
        kept = acts != 0
        return Active(acts[kept], kept.nonzero()[:, 1], kept.sum(-1))

    def _affine(self, name: str, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """rows @ weight + bias (b, c), in the buffer of that name."""
        import torch

        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < len(rows):
            self._buffers[name] = buffer = rows.new_empty(len(rows), weight.shape[1])
        return torch.mm(rows, weight, out=buffer[: len(rows)]).add_(bias)
