"""How well an SAE reconstructs some rows, right after training or loading.

The figures are those of `core.analysis.concepts.fidelity`; here they are taken of an SAE on rows at hand, through
sae-lens, before any stage or run exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.analysis.concepts import fidelity as science

if TYPE_CHECKING:
    from core.sae.codes import SaeEncoder


@dataclass(frozen=True)
class Fidelity:
    """Figures over n rows.

    Attributes:
        explained_variance: 1 - sum of squared errors / sum of squared deviations from the mean of each dimension; 1 is
            perfect, 0 as good as the mean; NaN for constant rows. float64.
        l0: mean concepts that fire per row.
        dead_share: share of concepts, 0-1, that fire on none of the rows.
        rows: n.
    """

    explained_variance: float
    l0: float
    dead_share: float
    rows: int


def fidelity(encoder: SaeEncoder, rows: np.ndarray) -> Fidelity:
    """Figures of an SAE on rows (n, d) as stored; n > 0."""
    codes = encoder.encode(rows).codes
    return Fidelity(
        explained_variance=science.explained_variance_per_dimension(rows, encoder.reconstruct(rows)),
        l0=science.l0(codes),
        dead_share=science.dead_share(codes),
        rows=len(rows),
    )
