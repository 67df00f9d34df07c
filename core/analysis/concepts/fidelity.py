"""How well a dictionary stands for the embeddings: explained variance, L0, dead share.

In: rows x (n, d), their reconstructions x_hat (n, d), codes (n, c). Streams in batches. Knows nothing of how the codes
were made. What these come to on a retrieval task: `core/analysis/retrieval/reconstruction.py`.
"""

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import Codes, row_blocks
from core.analysis.concepts.measures import frequency
from core.errors import ShapeMismatch


class ExplainedVariance:
    """Explained variance per dimension, pooled: 1 - sum_j SSE_j / sum_j SST_j over all rows added.

    SSE_j = sum_i (x_ij - x_hat_ij)^2; SST_j = sum_i (x_ij - mean_j)^2, around the mean of **each dimension** (around
    one global mean an offset of the data alone would look like a good fit). 1 = perfect, 0 = as good as the mean,
    negative = worse. No unit. float64; SST by a running mean (Chan), so neither large offsets nor the split into
    batches matter. NaN for constant or no input.
    """

    def __init__(self, d: int) -> None:
        self.n = 0
        self._mean, self._sst, self._sse = np.zeros(d), np.zeros(d), np.zeros(d)

    def add_batch(self, x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"]) -> None:
        """Take in n rows and their reconstructions."""
        if x.shape[1] != len(self._mean):
            raise ShapeMismatch("rows do not fit", got=f"width {x.shape[1]}", allowed=f"width {len(self._mean)}")
        if not len(x):
            return
        rows = np.asarray(x, dtype=np.float64)
        mean, n = rows.mean(axis=0), len(rows)
        shift = mean - self._mean
        self._sst += np.sum((rows - mean) ** 2, axis=0) + shift**2 * (self.n * n / (self.n + n))
        self._mean += shift * (n / (self.n + n))
        self._sse += np.sum((rows - x_hat) ** 2, axis=0)
        self.n += n

    def compute(self) -> float:
        """The pooled value."""
        total = float(self._sst.sum())
        return 1.0 - float(self._sse.sum()) / total if total > 0 else float("nan")

    def per_dimension(self) -> Float[np.ndarray, " d"]:
        """1 - SSE_j / SST_j; NaN where the dimension is constant."""
        return 1.0 - np.divide(self._sse, self._sst, out=np.full_like(self._sse, np.nan), where=self._sst > 0)


def explained_variance_per_dimension(x: Float[np.ndarray, "n d"], x_hat: Float[np.ndarray, "n d"]) -> float:
    """`ExplainedVariance` of two whole arrays, pooled over dimensions."""
    calculator = ExplainedVariance(x.shape[1])
    for block in row_blocks(*x.shape):
        calculator.add_batch(x[block], x_hat[block])
    return calculator.compute()


def l0(codes: Codes) -> float:
    """Mean number of concepts that fire (z > 0) per item. NaN without items."""
    return float(np.count_nonzero(codes.data > 0)) / codes.shape[0] if codes.shape[0] else float("nan")


def dead_share(*codes: Codes) -> float:
    """Share of concepts that fire on no item of any part, 0-1. NaN without items."""
    fires = frequency(*codes)
    return float("nan") if np.isnan(fires).any() else float(np.mean(fires == 0))
