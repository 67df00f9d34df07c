"""Rows to choose a remedy on and rows to score it on, cross-validation between the first, one evaluation on the second.

No query is in both. Query statistics come from the rows to choose on, those of the candidates from the pool: both are
at hand before a new query comes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.analysis.arrays import unit_rows
from core.analysis.retrieval import Ranked, rank_variant, shared_answers
from core.analysis.retrieval.drift import DriftRecord, drift_between, fit_drift, random_halves
from core.analysis.retrieval.resampling import cluster_count, resampled_means
from core.analysis.variants import FitData, FittedVariant, SideTransform, VariantSpec, fit_variant
from core.analysis.variants.fitdata import SHARED_FITS, RowSet
from core.analysis.variants.moments import moments_of
from core.analysis.variants.portable import arrays_of, treat
from core.analysis.variants.statistics import row_moments
from core.memo import Memo
from core.questions.answers import fit_data, fitted, variant_of
from core.questions.retrieval import evaluate
from core.questions.statistics import with_support
from core.run import Run
from core.waiting import checkpoint

FOLDS = 5
FEWEST = 20
"""Queries to choose on, at least."""
TIMED = 200
"""Single queries that are timed."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What a remedy is chosen on, and what it is scored on."""

    choose: FitData
    """Its queries, their pool and their pairs."""
    score: FitData
    """Other queries against the pool; its support split is `choose`."""
    whole: bool
    """Whether `score` holds the run's own test queries and support split, so that its evaluations are the run's."""
    chosen_on: str
    scored_on: str
    notes: tuple[str, ...] = ()

    @property
    def clusters(self) -> np.ndarray | None:
        """Queries to choose on that share an answer."""
        pairs = self.choose.pairs
        return None if pairs is None else shared_answers(pairs, len(self.choose.queries))


def rows_of(run: Run, labelled: bool) -> Rows:
    """The support split to choose on and the test queries to score on; without a (labelled, where asked) support split,
    two halves of the test queries."""
    data = fit_data(run)
    has_labels = run.has_support and data.support_pairs is not None and len(data.support_pairs)
    if has_labels or (not labelled and data.support_queries is not None):
        candidates = data.support_candidates if run.has_support else data.candidates
        codes = data.support_candidate_codes if run.has_support else data.candidate_codes
        modality = data.support_candidate_modality if run.has_support else data.candidate_modality
        assert data.support_queries is not None and candidates is not None
        choose = replace(
            data,
            queries=data.support_queries,
            query_codes=data.support_query_codes,
            candidates=candidates,
            candidate_codes=codes,
            query_modality=data.support_query_modality,
            candidate_modality=modality,
            pairs=data.support_pairs,
            memo=Memo(SHARED_FITS),
        )
        words = f"the support split ({len(choose.queries):,} queries, {len(choose.candidates):,} candidates)"
        return Rows(choose, data, True, words, f"the test split ({len(data.queries):,} queries)")
    return _halves(data)


def _halves(data: FitData) -> Rows:
    """Test queries in two, whole clusters of them."""
    n = len(data.queries)
    pairs = np.zeros((0, 2), dtype=np.int64) if data.pairs is None else data.pairs
    first = random_halves(n, shared_answers(pairs, n), 1, seed=0)[0]
    choose = with_queries(replace(data, pairs=pairs), data, pairs, first)
    rest = with_queries(replace(data, pairs=pairs), data, pairs, ~first)
    score = replace(
        rest,
        support_queries=choose.queries,
        support_query_codes=choose.query_codes,
        support_query_modality=choose.query_modality,
        support_candidates=data.candidates,
        support_candidate_codes=data.candidate_codes,
        support_candidate_modality=data.candidate_modality,
        support_pairs=choose.pairs,
        memo=Memo(SHARED_FITS),
    )
    note = "this run has no labelled support split: half of its test queries are chosen on, the other half is scored"
    words = f"half of the test queries ({len(choose.queries):,})"
    return Rows(choose, score, False, words, f"the other half ({len(score.queries):,} queries)", (note,))


def with_queries(target: FitData, source: FitData, pairs: np.ndarray, mask: np.ndarray) -> FitData:
    """`target` with those queries of `source` that the mask (n,) keeps, and their pairs renumbered."""
    at = np.flatnonzero(mask)
    kept = pairs[mask[pairs[:, 0]]]
    kept = np.column_stack([np.searchsorted(at, kept[:, 0]), kept[:, 1]])
    codes = None if source.query_codes is None else source.query_codes[at]
    modality = None if source.query_modality is None else np.asarray(source.query_modality)[at]
    return replace(
        target,
        queries=source.queries[at],
        query_codes=codes,
        query_modality=modality,
        pairs=kept,
        memo=Memo(SHARED_FITS),
    )


def cross_validated(run: Run, rows: Rows, variants: Sequence[str]) -> list[Ranked]:
    """Every query to choose on, ranked under each variant fitted without its fold; one `Ranked` per variant."""
    data, clusters = rows.choose, rows.clusters
    n = len(data.queries)
    found = [(np.zeros((2, n), dtype=np.int64), np.zeros(n)) for _ in variants]
    for held in folds(n, clusters):
        part = fold(data, held)
        for variant, (ranks, ndcg) in zip(variants, found, strict=True):
            ranked = rank_on(part, with_support(run, variant))[0]
            ranks[0, held], ranks[1, held], ndcg[held] = ranked.first, ranked.pessimistic, ranked.ndcg10
    return [Ranked(ranks[0], ranks[1], ndcg, len(data.candidates), clusters) for ranks, ndcg in found]


def folds(n: int, clusters: np.ndarray | None, count: int = FOLDS, seed: int = 0) -> list[np.ndarray]:
    """Masks (n,) of the queries held out, one per fold; each query in one, those of a cluster together."""
    groups = cluster_count(n, clusters)
    of_group = np.random.default_rng(seed).permutation(groups) % min(count, groups)
    of_query = of_group if clusters is None else of_group[clusters]
    return [of_query == number for number in range(min(count, groups))]


def fold(data: FitData, held: np.ndarray) -> FitData:
    """The held-out queries to rank, all others as the support split to fit on."""
    assert data.pairs is not None
    rest = with_queries(data, data, data.pairs, ~held)
    return replace(
        with_queries(data, data, data.pairs, held),
        support_queries=rest.queries,
        support_query_codes=rest.query_codes,
        support_query_modality=rest.query_modality,
        support_candidates=data.candidates,
        support_candidate_codes=data.candidate_codes,
        support_candidate_modality=data.candidate_modality,
        support_pairs=rest.pairs,
        memo=Memo(SHARED_FITS),
    )


def rank_on(data: FitData, spec: VariantSpec) -> tuple[Ranked, FittedVariant]:
    """The queries of `data` ranked under a variant fitted on it; nothing is kept."""
    checkpoint()
    assert data.pairs is not None
    fit = fit_variant(spec, data)
    return rank_variant(fit, data, data.pairs), fit


def rank_scored(run: Run, rows: Rows, variant: str) -> tuple[Ranked, FittedVariant]:
    """The queries to score on under a variant: the run's own evaluation where they are its own."""
    spec = variant_of(run, variant)
    if rows.whole:
        return evaluate(run, spec).evaluation.ranked, fitted(run, spec)
    return rank_on(rows.score, spec)


def half_fitted(run: Run, rows: Rows, variant: str) -> tuple[Ranked, int]:
    """The same with candidate statistics from a random half of the pool, and how many that are: the others are new."""
    data = rows.score
    assert data.pairs is not None
    seen = np.flatnonzero(random_halves(len(data.candidates), None, 1, seed=1)[0])
    codes = None if data.candidate_codes is None else data.candidate_codes[seen]
    # Removals are fitted on the support pairs: pairs of the test split name rows that are not there.
    modality = None if data.candidate_modality is None else np.asarray(data.candidate_modality)[seen]
    part = replace(
        data,
        candidates=data.candidates[seen],
        candidate_codes=codes,
        candidate_modality=modality,
        pairs=None,
        memo=Memo(SHARED_FITS),
    )
    return rank_variant(fit_variant(variant_of(run, variant), part), data, data.pairs), len(seen)


def behind(hits: np.ndarray, best: int, clusters: np.ndarray | None) -> tuple[list[float], list[float]]:
    """How far each column of `hits` (n, m) is below column `best`, 0-1, and the standard error of that difference over
    resampled clusters."""
    below = hits[:, best : best + 1] - hits
    return below.mean(axis=0).tolist(), resampled_means(below, clusters=clusters).std(axis=0).tolist()


def cost(fit: FittedVariant, rows: Rows) -> float:
    """Microseconds to treat one query with the exported lines, the median of single ones."""
    arrays, seconds = arrays_of(fit), []
    for row in np.asarray(rows.score.queries[:TIMED]):
        started = time.perf_counter()
        treat(row, "query", arrays)
        seconds.append(time.perf_counter() - started)
    return 1e6 * float(np.median(seconds))


def drift_of(queries: np.ndarray, clusters: np.ndarray | None) -> DriftRecord:
    """Mean, variance and limit of the queries of a fit, raw rows (n, d)."""
    return fit_drift(unit_rows(np.asarray(queries, dtype=np.float64)), clusters)


def common_share(data: FitData, which: RowSet) -> tuple[float, float]:
    """||mean||^2 of the unit rows of a side: the share of their squared length that all of them have in common, 0-1;
    and how many times what rows around 0 would give by chance that is (tr(S) / n)."""
    moments = row_moments(which, data, SideTransform())
    squared, trace = float(moments.mean @ moments.mean), float(np.trace(moments.covariance))
    return squared, squared * moments.n_samples / trace if trace > 0 else float("inf")


def unlike_halves(run: Run, rows: Rows, variant: str) -> tuple[float, Ranked, Ranked]:
    """The queries to choose on, cut at the median of their first principal axis: the drift figure between both halves,
    and one half ranked with its own statistics and with those of the other."""
    data = rows.choose
    assert data.pairs is not None
    x = unit_rows(np.asarray(data.queries, dtype=np.float64))
    moments = moments_of(x)
    place = x @ moments.spectrum.vectors[:, 0]
    upper = place > np.median(place)
    means = x[upper].mean(axis=0), x[~upper].mean(axis=0)
    figure = drift_between(*means, float(np.trace(moments.covariance)), int(upper.sum()), int((~upper).sum()))
    spec = with_support(run, variant)
    stale = fold(data, upper)
    own = replace(
        stale,
        support_queries=stale.queries,
        support_query_codes=stale.query_codes,
        support_pairs=stale.pairs,
        memo=Memo(SHARED_FITS),
    )
    return figure, rank_on(own, spec)[0], rank_on(stale, spec)[0]
