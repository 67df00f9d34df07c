"""What an affine step is fitted on: moments of the rows of each side as they arrive at it, and mean codes
(docs/study.md section 6).

`per-side` each side's own rows; `support` queries from the support split, candidates from the pool; `shared` one mean
and covariance over both sides; `candidates` the pool for both sides; `per-modality` one mean and covariance for the
rows of each modality, whichever side they stand on, from the support split where there is one (after GR-CLIP, Li et al.
2025, arXiv 2507.19054: the mean of each modality is subtracted from its rows). A modality with fewer than
`LEAST_ROWS` rows to fit on takes the moments of all these rows together. Results that many variants share are cached
in `data.memo`. Knows nothing of what is fitted from them.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.analysis.arrays import read_blocks, row_blocks, unit
from core.analysis.engine import NUMPY, Array, Engine, engine
from core.analysis.variants.fitdata import FitData, RowSet
from core.analysis.variants.moments import CovarianceAccumulator, Moments, merge_moments
from core.analysis.variants.transform import SideTransform, affine, edited_codes, prepare
from core.records import MODALITIES

LEAST_ROWS = 2
"""Of a modality, to have statistics of its own: one row has no covariance, and centring would leave nothing of it."""
PER_MODALITY = "per-modality"


@dataclass(frozen=True, eq=False)
class ModalityMoments:
    """Moments of the rows of one modality, or of all rows where it has too few of its own."""

    moments: Moments
    own_rows: int
    """Rows of this modality among those that are fitted on."""

    @property
    def pooled(self) -> bool:
        """Whether the moments are of all rows together."""
        return self.own_rows < LEAST_ROWS


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
    x, _ = data.rows(which)
    width = side.width(x.shape[1])
    place = engine(2.0 * len(x) * width * width)
    accumulator = CovarianceAccumulator(width, place)
    for _, rows in _arriving(which, data, side, place):
        accumulator.add_batch(rows)
    return accumulator.compute()


def modality_moments(
    before: Hashable, data: FitData, query: SideTransform, candidate: SideTransform
) -> dict[str, ModalityMoments]:
    """Moments of the rows of every modality of `MODALITIES`, as they arrive after the steps `before`.

    Raises:
        NotAvailable: the modality of the rows is not known. UserError: fewer than two rows in all.
    """
    return data.memo.get((before, PER_MODALITY), lambda: _by_modality(data, query, candidate))


def _by_modality(data: FitData, query: SideTransform, candidate: SideTransform) -> dict[str, ModalityMoments]:
    width = query.width(data.queries.shape[1])
    sums, everything = {m: CovarianceAccumulator(width) for m in MODALITIES}, CovarianceAccumulator(width)
    for which, side in zip(data.modality_sets(), (query, candidate), strict=True):
        modality = data.modality(which)
        for block, rows in _arriving(which, data, side):
            everything.add_batch(rows)
            for name, accumulator in sums.items():
                accumulator.add_batch(rows[modality[block] == name])
    pooled = everything.compute()
    return {m: ModalityMoments(pooled if s.n < LEAST_ROWS else s.compute(), s.n) for m, s in sums.items()}


def _arriving(
    which: RowSet, data: FitData, side: SideTransform, place: Engine = NUMPY
) -> Iterator[tuple[slice, Array]]:
    """Blocks of rows as they arrive at a step: after edits and removal, unit length, and the affine steps so far."""
    x, codes = data.rows(which)
    modality = data.modality(which) if side.by_modality else None
    for block, rows in read_blocks(x):
        h = prepare(rows, side, None if codes is None else codes[block], data.dictionary, place)
        named = None if modality is None else modality[block]
        yield block, affine(h, side, named) if side.normalises else unit(h)


def modality_mean_codes(
    before: Hashable, data: FitData, query: SideTransform, candidate: SideTransform
) -> dict[str, Float[np.ndarray, " c"]]:
    """Mean of z' / ||h''|| over the rows that the statistics of each modality are of; both sides need codes."""

    def compute() -> dict[str, np.ndarray]:
        counts, sums = dict.fromkeys(MODALITIES, 0), {m: np.zeros(len(data.concept_rows())) for m in MODALITIES}
        for which, side in zip(data.modality_sets(), (query, candidate), strict=True):
            modality = data.modality(which)
            for name in MODALITIES:
                n, total = _code_sum(which, data, side, np.flatnonzero(modality == name))
                counts[name] += n
                sums[name] += total
        everything = np.sum([*sums.values()], axis=0) / sum(counts.values())
        return {m: everything if counts[m] < LEAST_ROWS else sums[m] / counts[m] for m in MODALITIES}

    return data.memo.get((before, "codes", PER_MODALITY), compute)


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


def _code_sum(
    which: RowSet, data: FitData, side: SideTransform, only: Int[np.ndarray, " m"] | None = None
) -> tuple[int, Float[np.ndarray, " c"]]:
    """(n, sum over rows of z' / ||h''||) of all rows, or of some; rows that edits and removal leave without length add
    nothing."""
    x, codes = data.rows(which)
    assert codes is not None  # asked for only where both sides have codes
    if only is not None:
        x, codes = x[only], codes[only]
    total = np.zeros(codes.shape[1])
    for block in row_blocks(*x.shape):
        norms = np.linalg.norm(prepare(x[block], side, codes[block], data.dictionary), axis=1)
        scales = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        total += scales @ edited_codes(codes[block], side.edits)
    return len(x), total
