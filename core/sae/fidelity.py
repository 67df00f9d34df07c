"""How well an SAE reconstructs some rows, right after training or loading.

(`core.analysis.concepts.fidelity` has the same measures for finished codes; this one reconstructs through sae-lens and
needs no stage.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    coded, width = encoder.encode(rows).codes, encoder.sae.cfg.d_sae
    exact = np.asarray(rows, np.float64)
    error = ((exact - encoder.reconstruct(rows)) ** 2).sum()
    total = ((exact - exact.mean(0)) ** 2).sum()
    fires = np.bincount(coded.indices, minlength=width) > 0
    return Fidelity(
        explained_variance=float(1 - error / total) if total > 0 else float("nan"),
        l0=coded.nnz / len(rows),
        dead_share=float((~fires).mean()),
        rows=len(rows),
    )
