"""What share of a removal's change of recall is the shift of the two means.

In: unit rows x of one side, their mean m, and the orthonormal rows V of a removed subspace. A removal takes two things
away, since V^T V x = V^T V m + V^T V (x - m): the mean's part in the subspace, the same for all rows of a side, and
each row's own. Settings that take away one of them, both or none are Y(d, m): d for the rows' own part, m for the
means'.

| setting | row before L2 norm | |
| --- | --- | --- |
| raw | x | Y(0, 0) |
| means alone | x - V^T V m | Y(0, 1) |
| rows alone: the removal with the means put back | x - V^T V (x - m) | Y(1, 0) |
| removal | x - V^T V x | Y(1, 1) |
| centred | x - m | the whole means away, no subspace |
| removal after centring | x - m - V^T V (x - m) | the whole means away, and the subspace |

Of the total change Y(1, 1) - Y(0, 0), the part through the means is the average of what they do first and of what they
do last: [Y(0, 1) - Y(0, 0) + Y(1, 1) - Y(1, 0)] / 2; the rest goes through the rows. That is the Shapley value, halfway
between the pure and the total indirect effect of mediation analysis (Robins and Greenland 1992; Pearl 2001). The share
is the part over the total: below 0 where the means work against the change, above 1 where the rows do. Through the
means minus through the rows is Y(0, 1) - Y(1, 0): the means explain more than half of a gain where `means alone`
retrieves better than `rows alone`, and more than half of a loss where it retrieves worse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks, unit_rows
from core.analysis.retrieval.resampling import Clusters, bootstrap_means, resampled_means

SETTINGS = ("raw", "means alone", "rows alone", "removal", "centred", "removal after centring")


def setting_rows(
    x: Float[np.ndarray, "n d"], basis: Float[np.ndarray, "r d"], setting: str
) -> Float[np.ndarray, "n d"]:
    """Unit rows (float32) of one side in one of `SETTINGS`; its mean is that of the unit rows. Computed in float64,
    block by block."""
    total = np.zeros(x.shape[1])
    for block in row_blocks(*x.shape):
        total += unit_rows(np.asarray(x[block], np.float64)).sum(axis=0)
    mean, out = total / len(x), np.empty(x.shape, np.float32)
    for block in row_blocks(*x.shape):
        rows = unit_rows(np.asarray(x[block], np.float64))
        taken = {
            "raw": np.zeros_like(mean),
            "means alone": _within(mean, basis),
            "rows alone": _within(rows - mean, basis),
            "removal": _within(rows, basis),
            "centred": mean,
            "removal after centring": mean + _within(rows - mean, basis),
        }[setting]
        out[block] = unit_rows(rows - taken)
    return out


def _within(rows: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return (rows @ basis.T) @ basis


@dataclass(frozen=True)
class Part:
    """A part of the total change, 0-1 per query on average, with its 95% interval, and its share of the total with
    that of the ratio."""

    change: float
    low: float
    high: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True, eq=False)
class Mediation:
    """The total change taken apart. Arrays are per query."""

    total: Float[np.ndarray, " n"]
    through_means: Float[np.ndarray, " n"]
    clusters: Clusters = None

    @property
    def through_rows(self) -> Float[np.ndarray, " n"]:
        return self.total - self.through_means

    def parts(self) -> tuple[Part, Part]:
        """Through the means and through the rows. Shares are NaN where the total's interval holds 0: there is no change
        to share out, and a ratio over it means nothing."""
        columns = np.column_stack([self.total, self.through_means, self.through_rows])
        means = columns.mean(axis=0)
        low, high = bootstrap_means(columns, clusters=self.clusters)
        changes = bool(low[0] > 0 or high[0] < 0)
        ends = np.full((2, 2), np.nan)
        if changes:
            drawn = resampled_means(columns, clusters=self.clusters)
            ratios = drawn[drawn[:, 0] != 0]  # a redraw without change has no share
            ends = np.percentile(ratios[:, 1:] / ratios[:, :1], [2.5, 97.5], axis=0).T
        shares = means[1:] / means[0] if changes else np.full(2, np.nan)
        first, second = (
            Part(float(means[i]), float(low[i]), float(high[i]), float(shares[i - 1]), *map(float, ends[i - 1]))
            for i in (1, 2)
        )
        return first, second


def mediated(
    raw: Float[np.ndarray, " n"],
    means_alone: Float[np.ndarray, " n"],
    rows_alone: Float[np.ndarray, " n"],
    removal: Float[np.ndarray, " n"],
    clusters: Clusters = None,
) -> Mediation:
    """The change from `raw` to `removal` taken apart; each array is a metric per query."""
    return Mediation(removal - raw, (means_alone - raw + removal - rows_alone) / 2, clusters)
