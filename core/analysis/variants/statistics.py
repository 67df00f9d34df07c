"""What an affine step is fitted on: moments of the rows of each side as they arrive at it, and mean codes
(docs/study.md section 6).

`per-side` each side's own rows; `support` queries from the support split, candidates from the pool; `shared` one mean
and covariance over both sides; `candidates` the pool for both sides. Results that many variants share are cached in
`data.memo`. Knows nothing of what is fitted from them.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.analysis.arrays import row_blocks, unit_rows
from core.analysis.variants.fitdata import FitData, RowSet
from core.analysis.variants.moments import CovarianceAccumulator, Moments, merge_moments
from core.analysis.variants.transform import SideTransform, affine, edited_codes, prepare


@dataclass(frozen=True, eq=False)
class SideMoments:
    """What an affine fit may look at: moments of unit rows, after edits, removal and the affine steps before."""

    own: Moments
    other: Moments
    """Of the other side; the same as `own` for statistics=shared and statistics=candidates."""


def query_rows(statistics: str) -> RowSet:
    """Which rows stand for the query side."""
    if statistics == "support":
        return "support"
    return "candidates" if statistics == "candidates" else "queries"


def side_moments(
    statistics: str, before: Hashable, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[Moments, Moments]:
    """Moments for the query side and for the candidate side, of the rows as they arrive after the steps `before`."""
    of_candidate = data.memo.get((before, "candidates"), lambda: row_moments("candidates", data, candidate))
    which = query_rows(statistics)
    if which == "candidates":
        return of_candidate, of_candidate
    of_query = data.memo.get((before, which), lambda: row_moments(which, data, query))
    if statistics != "shared":
        return of_query, of_candidate
    both = data.memo.get((before, "shared"), lambda: merge_moments(of_query, of_candidate))
    return both, both


def row_moments(which: RowSet, data: FitData, side: SideTransform) -> Moments:
    """Moments of one set of rows under `side` (unit rows where it has no affine map), in one blocked pass."""
    x, codes = data.rows(which)
    accumulator = CovarianceAccumulator(x.shape[1] if side.matrix is None else side.matrix.shape[1])
    for block in row_blocks(*x.shape):
        h = prepare(x[block], side, None if codes is None else codes[block], data.dictionary)
        accumulator.add_batch(affine(h, side) if side.normalises else unit_rows(h))
    return accumulator.compute()


def mean_codes(
    statistics: str, before: Hashable, data: FitData, query: SideTransform, candidate: SideTransform
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Mean over the rows of the statistics of z' / ||h''||, for the query side and for the candidate side; both need
    codes."""
    which = query_rows(statistics)
    n_c, sum_c = data.memo.get((before, "codes", "candidates"), lambda: _code_sum("candidates", data, candidate))
    n_q, sum_q = data.memo.get((before, "codes", which), lambda: _code_sum(which, data, query))
    if statistics == "shared":
        n_q, sum_q = n_c, sum_c = n_q + n_c, sum_q + sum_c
    return sum_q / n_q, sum_c / n_c


def _code_sum(which: RowSet, data: FitData, side: SideTransform) -> tuple[int, Float[np.ndarray, " c"]]:
    """(n, sum over rows of z' / ||h''||); rows that edits and removal leave without length add nothing."""
    x, codes = data.rows(which)
    assert codes is not None  # asked for only where both sides have codes
    total = np.zeros(codes.shape[1])
    for block in row_blocks(*x.shape):
        norms = np.linalg.norm(prepare(x[block], side, codes[block], data.dictionary), axis=1)
        scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        total += scales @ edited_codes(codes[block], side.edits)
    return len(x), total
