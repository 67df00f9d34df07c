"""Affine records that are no whitening: common directions projected out, the gap between the two sides closed.

In: moments of unit rows of the own and of the other side. Out: an `AffineRecord` as in whiten.py, (x - mean) @ matrix.
`fit_all_but_top` (Mu & Viswanath 2018), `fit_close_gap` (after Liang et al. 2022), `fit_mean_direction`; docs/study.md
section 6. Knows nothing of variants.
"""

import numpy as np

from core.analysis.variants.moments import Moments
from core.analysis.variants.whiten import AffineRecord
from core.errors import UserError

NO_GAP = 1e-12
"""Means of unit rows that are this close are the same: there is no direction between them."""


def fit_all_but_top(moments: Moments, components: int | None = None) -> AffineRecord:
    """All-but-the-top: (x - mean) (I - U U^T), U the top `components` principal directions (d, D) as columns.

    None: D = max(1, round(d / 100)), the rule of the paper. One direction must be left, and N rows have no more than N
        - 1:
    1 <= D <= min(d, N) - 1.
    """
    d = len(moments.mean)
    count = max(1, round(d / 100)) if components is None else components
    most = min(d, moments.n_samples) - 1
    if not 1 <= count <= most:
        raise UserError("cannot project out so many components", got=count, allowed=f"1 to {most}")
    top = moments.spectrum.vectors[:, :count]
    return AffineRecord(moments.mean, np.eye(d) - top @ top.T, "all-but-top", moments.n_samples)


def fit_close_gap(own: Moments, other: Moments) -> AffineRecord:
    """x - (mean_own - m), m = (mean_own + mean_other) / 2: both sides get the mean m, each moved by half the gap."""
    return AffineRecord((own.mean - other.mean) / 2, None, "close-gap", own.n_samples)


def fit_mean_direction(own: Moments, other: Moments) -> AffineRecord:
    """x (I - v v^T), v = (mean_own - mean_other) / ||.||: no centring; the same matrix for both sides. Equal means: the
    identity."""
    gap = own.mean - other.mean
    d, length = len(gap), float(np.linalg.norm(gap))
    if length <= NO_GAP:
        warning = ("both sides have the same mean: there is no direction between them",)
        return AffineRecord(np.zeros(d), np.eye(d), "remove-mean-direction", own.n_samples, warnings=warning)
    v = gap / length
    return AffineRecord(np.zeros(d), np.eye(d) - np.outer(v, v), "remove-mean-direction", own.n_samples)
