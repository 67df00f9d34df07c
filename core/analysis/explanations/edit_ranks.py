"""Ranks of all queries under many edits of concepts, exact, without redoing what an edit leaves alone.

An edit scales concepts on every row of both sides, as the step `set(12=0)` of a variant does. Only rows in which one of
its concepts fires change. In: both sides of a fitted variant, relevant pairs, edits. Out: ranks, a row per edit.

1. Rows of both sides before any edit, and their scores, a block of queries at a time.
2. Per edit: the changed rows by `transform`; scores of the changed queries, and of all others with changed candidates.
3. Rank = 1 + candidates ahead. Where neither the query nor its best relevant candidate changed, only changed candidates
   are counted again.

**Statistics** of affine steps: `kept` as fitted before the edit; the map is fixed. `refitted` on the edited rows, as
the variant with the edit does. Without an affine step there is nothing to refit. One `center` moves its mean with the
rows that change: scores follow from the products of uncentred unit rows, which change as in step 2. Anything else that
is refitted has no short cut (`can_refit`).
Scores are summed in float64 and rounded to float32; equal scores rank by candidate order, as in ranking.py.
Knows nothing of runs, labels or tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from core.analysis.arrays import unit_rows
from core.analysis.engine import block_bytes
from core.analysis.explanations.failures import SideRows
from core.analysis.variants.expression import VariantSpec
from core.analysis.variants.fitdata import FitData, RowSet
from core.analysis.variants.statistics import PER_MODALITY, query_rows
from core.analysis.variants.transform import ROUNDING, SideTransform, prepare, transform
from core.waiting import checkpoint

Edit = tuple[tuple[int, float], ...]
"""(concept, factor) of every concept that it scales; 0 switches a concept off, 1 undoes an edit of the variant."""
FIXED_REMOVALS = ("remove", "remove-directions")
"""Removals whose subspace does not depend on the rows."""


def can_refit(spec: VariantSpec) -> bool:
    """Whether `ranks_under_edits` refits this variant exactly: no affine step, or a single `center`, and no removal
    that is ranked on the rows."""
    affine, removals = spec.of_stage("affine"), spec.of_stage("removal")
    plain = not affine or [step.name for step in affine] == ["center"]
    pooled = any(("statistics", PER_MODALITY) in step.options for step in affine)
    return plain and not pooled and all(step.name in FIXED_REMOVALS for step in removals)


def with_edit(side: SideTransform, edit: Edit) -> SideTransform:
    """The transform of a side with more concepts scaled; a concept that is scaled already takes the new factor."""
    edits = tuple(sorted((k, factor) for k, factor in (dict(side.edits) | dict(edit)).items() if factor != 1.0))
    parts = tuple((name, replace(part, edits=edits)) for name, part in side.by_modality)
    return replace(side, edits=edits, by_modality=parts)


def ranks_under_edits(
    query: SideRows,
    candidate: SideRows,
    pairs: Int[np.ndarray, "p 2"],
    edits: Sequence[Edit],
    dictionary: Float[np.ndarray, "c d"],
) -> Int[np.ndarray, "e n"]:
    """Rank of the first relevant candidate of every query under each edit, statistics kept; 1 is best, 0 where the
    pool holds none.

    Equal to ranking the rows of `with_edit` anew, but for scores that differ by rounding alone.
    """
    q, c = _Side(query, dictionary), _Side(candidate, dictionary)
    changes = [(q.changed(edit), c.changed(edit)) for edit in edits]
    ranks = np.zeros((len(edits), len(q.rows)), dtype=np.int64)
    for block in _query_blocks(len(q.rows), len(c.rows)):
        relevance = _Relevance.of(pairs, block)
        base = _Base.of(q.rows[block], c.rows, relevance)
        for i, (of_query, of_candidate) in enumerate(changes):
            checkpoint()
            ranks[i, block] = _updated(base, of_query.within(block), of_candidate)
    return ranks


def ranks_refitted(
    spec: VariantSpec, data: FitData, query: SideRows, candidate: SideRows, edits: Sequence[Edit]
) -> Int[np.ndarray, "e n"]:
    """The same with statistics refitted on the edited rows: ranks of the variant with the edit. `can_refit(spec)`.

    `query` and `candidate`: the sides of `spec` fitted on `data`.
    """
    assert can_refit(spec) and data.dictionary is not None and data.pairs is not None
    if not spec.of_stage("affine"):
        return ranks_under_edits(query, candidate, data.pairs, edits, data.dictionary)
    statistics = str(dict(spec.of_stage("affine")[0].options)["statistics"])
    means = _Means(statistics, data, query.transform)
    # Unit rows after edits and removal: what the mean is subtracted from.
    q, c = (_Side(_uncentred(side), data.dictionary, unit=False) for side in (query, candidate))
    ranks = np.zeros((len(edits), len(q.rows)), dtype=np.int64)
    changes = [(q.changed(edit), c.changed(edit), means.after(edit)) for edit in edits]
    for block in _query_blocks(len(q.rows), len(c.rows)):
        relevance, gram = _Relevance.of(data.pairs, block), q.rows[block] @ c.rows.T
        for i, (of_query, of_candidate, (query_mean, candidate_mean)) in enumerate(changes):
            checkpoint()
            mine = of_query.within(block)
            rows, pool = mine.into(q.rows[block]), of_candidate.into(c.rows)
            products = gram.copy()
            products[:, of_candidate.at] = rows @ of_candidate.rows.T
            products[mine.at] = mine.rows @ pool.T
            ranks[i, block] = relevance.ranks(_centred_scores(products, rows, pool, query_mean, candidate_mean))
    return ranks


# -- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Changed:
    """Rows of one side that an edit changes: their numbers, ascending, and what they become."""

    at: Int[np.ndarray, " m"]
    rows: Float[np.ndarray, "m d"]

    def within(self, block: slice) -> "_Changed":
        """Those of a block, counted from its first row."""
        low, high = np.searchsorted(self.at, [block.start, block.stop])
        return _Changed(self.at[low:high] - block.start, self.rows[low:high])

    def into(self, rows: np.ndarray) -> np.ndarray:
        """All rows, with the changed ones in place."""
        out = rows.copy()
        out[self.at] = self.rows
        return out


class _Side:
    """One side as the variant leaves it, float64 from float32 as ranking.py sees it, and what an edit changes.

    `unit`: rows of unit length after all steps; else those of a transform without its last one (see `_uncentred`).
    """

    def __init__(self, side: SideRows, dictionary: np.ndarray, unit: bool = True) -> None:
        self.side, self.dictionary, self.unit = side, dictionary, unit
        self.columns = csr_array(side.codes).tocsc()
        self.rows = self._of(np.arange(len(side.rows)), side.transform)

    def changed(self, edit: Edit) -> _Changed:
        """The rows in which a concept whose factor changes fires."""
        before = dict(self.side.transform.edits)
        moved = [k for k, factor in edit if factor != before.get(k, 1.0)]
        at = [self.columns.indices[self.columns.indptr[k] : self.columns.indptr[k + 1]] for k in moved]
        rows = np.unique(np.concatenate(at)) if at else np.zeros(0, dtype=np.int64)
        return _Changed(rows, self._of(rows, with_edit(self.side.transform, edit)))

    def _of(self, rows: np.ndarray, through: SideTransform) -> np.ndarray:
        x, codes = self.side.rows[rows], self.side.codes[rows]
        if not self.unit:
            return unit_rows(prepare(x, through, codes, self.dictionary))
        modality = None if self.side.modality is None else np.asarray(self.side.modality)[rows]
        return transform(x, through, codes, self.dictionary, modality=modality).astype(np.float64)


def _uncentred(side: SideRows) -> SideRows:
    """The side without its affine map."""
    kept = SideTransform(edits=side.transform.edits, removed_basis=side.transform.removed_basis)
    return replace(side, transform=kept)


class _Means:
    """The means that one `center` subtracts from each side, before and after an edit."""

    def __init__(self, statistics: str, data: FitData, before: SideTransform) -> None:
        self.statistics = statistics
        plain = SideTransform(edits=before.edits, removed_basis=before.removed_basis)
        assert data.dictionary is not None
        self.sides: dict[RowSet, _Side] = {}
        for which in (query_rows(statistics), "candidates"):
            x, codes = data.rows(which)
            assert codes is not None  # edits need the codes of both sides
            self.sides[which] = _Side(SideRows(x, codes, plain), data.dictionary, unit=False)
        self.sums = {which: side.rows.sum(axis=0) for which, side in self.sides.items()}

    def after(self, edit: Edit) -> tuple[np.ndarray, np.ndarray]:
        """(mean of the query side, mean of the candidate side) with the edit."""
        sums = {}
        for which, side in self.sides.items():
            changed = side.changed(edit)
            sums[which] = self.sums[which] + (changed.rows - side.rows[changed.at]).sum(axis=0)
        n = {which: len(side.rows) for which, side in self.sides.items()}
        mine = query_rows(self.statistics)
        if self.statistics == "shared":
            both = (sums[mine] + sums["candidates"]) / (n[mine] + n["candidates"])
            return both, both
        return sums[mine] / n[mine], sums["candidates"] / n["candidates"]


# -- scores and ranks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Relevance:
    """The relevant pairs of a block of queries."""

    rows: Int[np.ndarray, " p"]
    columns: Int[np.ndarray, " p"]
    n: int

    @classmethod
    def of(cls, pairs: np.ndarray, block: slice) -> "_Relevance":
        mine = pairs[(pairs[:, 0] >= block.start) & (pairs[:, 0] < block.stop)]
        return cls(mine[:, 0] - block.start, mine[:, 1], block.stop - block.start)

    def target(self, values: Float[np.ndarray, " p"]) -> tuple[np.ndarray, np.ndarray]:
        """(score, column) of the best relevant candidate of every query, of equal ones the first; -inf, -1 where the
        pool holds none."""
        score = np.full(self.n, -np.inf, dtype=np.float32)
        np.maximum.at(score, self.rows, values)
        best = values == score[self.rows]
        column = np.full(self.n, np.iinfo(np.int64).max)
        np.minimum.at(column, self.rows[best], self.columns[best])
        return score, np.where(np.isfinite(score), column, -1)

    def ranks(self, scores: Float[np.ndarray, "n m"]) -> Int[np.ndarray, " n"]:
        """Ranks from all scores."""
        score, column = self.target(scores[self.rows, self.columns])
        return np.where(column < 0, 0, _ahead(scores, np.arange(scores.shape[1]), score, column) + 1)


@dataclass(frozen=True, eq=False)
class _Base:
    """A block of queries before any edit."""

    queries: Float[np.ndarray, "n d"]
    pool: Float[np.ndarray, "m d"]
    relevance: _Relevance
    scores: Float[np.ndarray, "n m"]
    ahead: Int[np.ndarray, " n"]
    """Candidates before the best relevant one; -1 where the pool holds none."""

    @classmethod
    def of(cls, queries: np.ndarray, pool: np.ndarray, relevance: _Relevance) -> "_Base":
        scores = _rounded(queries @ pool.T)
        return cls(queries, pool, relevance, scores, relevance.ranks(scores) - 1)


def _updated(base: _Base, mine: _Changed, theirs: _Changed) -> Int[np.ndarray, " n"]:
    """Ranks of a block after some of its queries and some candidates changed."""
    relevance, scores = base.relevance, base.scores
    new = _rounded(mine.into(base.queries) @ theirs.rows.T)  # of the changed candidates, for every query
    whole = _rounded(mine.rows @ base.pool.T)  # of the changed queries, for every candidate
    whole[:, theirs.at] = new[mine.at]
    values = scores[relevance.rows, relevance.columns]
    place = np.full(scores.shape[1], -1)
    place[theirs.at] = np.arange(len(theirs.at))
    moved = place[relevance.columns] >= 0
    values[moved] = new[relevance.rows[moved], place[relevance.columns[moved]]]
    line = np.full(relevance.n, -1)
    line[mine.at] = np.arange(len(mine.at))
    of_changed = line[relevance.rows] >= 0
    values[of_changed] = whole[line[relevance.rows[of_changed]], relevance.columns[of_changed]]
    before = relevance.target(scores[relevance.rows, relevance.columns])
    score, column = relevance.target(values)
    ranks = base.ahead.copy()
    # Neither query nor target changed: only candidates that changed can have passed it.
    steady = (line < 0) & (score == before[0]) & (column == before[1])
    at = np.flatnonzero(steady)
    ranks[at] += _ahead(new[at], theirs.at, score[at], column[at])
    ranks[at] -= _ahead(scores[np.ix_(at, theirs.at)], theirs.at, score[at], column[at])
    again = np.flatnonzero(~steady & (line < 0))
    anew = scores[again]
    anew[:, theirs.at] = new[again]
    everything = np.arange(scores.shape[1])
    ranks[again] = _ahead(anew, everything, score[again], column[again])
    ranks[mine.at] = _ahead(whole, everything, score[mine.at], column[mine.at])
    return np.where(column < 0, 0, ranks + 1)


def _ahead(scores: np.ndarray, columns: np.ndarray, score: np.ndarray, column: np.ndarray) -> np.ndarray:
    """How many candidates stand before the target: a larger score, or an equal one and an earlier place."""
    target = score[:, None]
    return ((scores > target) | ((scores == target) & (columns < column[:, None]))).sum(axis=1)


def _centred_scores(
    products: np.ndarray, rows: np.ndarray, pool: np.ndarray, query_mean: np.ndarray, candidate_mean: np.ndarray
) -> np.ndarray:
    """Cosines of (rows - query mean) and (pool - candidate mean), float32, from the products rows @ pool.T; 0 where a
    row has no direction, by the rule of transform.py."""
    products -= (rows @ candidate_mean)[:, None]
    products += (query_mean @ candidate_mean) - (pool @ query_mean)[None]
    products *= _inverse_lengths(rows, query_mean)[:, None]
    products *= _inverse_lengths(pool, candidate_mean)[None]
    return _rounded(products)


def _inverse_lengths(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows - mean, axis=1)
    alive: Bool[np.ndarray, " n"] = rows.any(axis=1) & (lengths > ROUNDING)
    return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=alive)


def _rounded(scores: np.ndarray) -> np.ndarray:
    """As float32; -0.0 becomes 0.0."""
    return scores.astype(np.float32) + np.float32(0.0)


def _query_blocks(n: int, m: int) -> Iterator[slice]:
    """Blocks of queries whose scores fit into four blocks of memory."""
    step = max(1, 4 * block_bytes() // 8 // max(1, m))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
