"""Pools of several modalities: how often the wanted modality is missed, where queries lean, which concepts carry it.

The definitions are in `core/analysis/retrieval/mixed_pools.py`. Every question is refused (NotAvailable) for a run
whose candidates are of one modality: there the wanted one cannot be missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import retrieval as science
from core.analysis.concepts.modality_split import IMAGE_BELOW, TEXT_ABOVE
from core.analysis.explanations.failures import FailureSummary, summarise_failures
from core.analysis.retrieval.mixed_pools import NEAREST
from core.analysis.variants import VariantSpec, apply_variant, fit_variant
from core.analysis.variants.fitdata import without_support
from core.errors import NotAvailable
from core.questions.answers import (
    cached_table,
    explicit,
    fit_data,
    fitted,
    item_frame,
    query_clusters,
    side_of,
    transformed,
    variant_of,
)
from core.questions.comparisons import PairedGain, RecallRow, rank_under, tidy
from core.questions.concepts import table as concept_table
from core.questions.failures import side_rows
from core.run import Run

VARIANTS = ("none", "center", "center(statistics=per-modality)", "realign", "realign(statistics=per-modality)")
"""Raw, and each transform with the statistics of its side and with those of its modality."""


@dataclass(frozen=True)
class Setting:
    """A variant, whose rows it is fitted on, and what it is compared with."""

    label: str
    variant: str
    per_side: str | None = None
    """Label of the same transform with statistics per side; None where it is one of those, or raw."""
    own_rows: bool = False
    """Fitted on the test queries and the pool although there is a support split, as statistics per side are."""


RAW, CENTRED, REALIGN = "raw", "centred per side", "ReAlign per side"
SETTINGS = (
    Setting(RAW, "none"),
    Setting(CENTRED, "center"),
    Setting("centred per modality", "center(statistics=per-modality)", CENTRED),
    Setting("centred per modality, own rows", "center(statistics=per-modality)", CENTRED, own_rows=True),
    Setting("centred per side, then per modality", "center+center(statistics=per-modality)", CENTRED),
    Setting(REALIGN, "realign"),
    Setting("ReAlign per modality", "realign(statistics=per-modality)", REALIGN),
    Setting("ReAlign per modality, own rows", "realign(statistics=per-modality)", REALIGN, own_rows=True),
)
"""What `by_wanted` compares."""
PER_SIDE = {one.label: one.per_side for one in SETTINGS if one.per_side is not None}
"""Setting with statistics per modality -> the same with statistics per side."""
ALL = "all"
LISTED = 200
"""Concepts of a table that are kept."""
KINDS = ("image concepts", "text concepts", "concepts of both", "concepts without a score")
"""Concepts by their modality score: below 0.1, above 0.9, between, and those that no pure text or image fires."""
REST = ("offset", "query_error", "candidate_error")


def need_mixed_pool(run: Run) -> None:
    """NotAvailable for a run whose candidates are of one modality, or that has no relevant pairs."""
    present = run.corpus.items("candidates").by_modality
    if sum(n > 0 for n in present.values()) < 2:
        raise NotAvailable(
            f"all candidates of run {run.name!r} are of one modality, so the wanted one cannot be missed",
            got=", ".join(f"{n} {name}" for name, n in present.items() if n),
            todo="choose a run whose pool holds texts, images or both together, such as demo-mixed",
        )
    if not len(run.qrels("test")):
        raise NotAvailable(f"run {run.name!r} has no relevant pairs, so no query wants a modality")


def is_mixed_pool(run: Run) -> bool:
    """Whether its candidates are of several modalities and a query wants one of them."""
    try:
        need_mixed_pool(run)
    except NotAvailable:
        return False
    return True


def need_concepts_and_mixed_pool(run: Run) -> None:
    """NotAvailable without an SAE, or for a run that `need_mixed_pool` refuses."""
    run.need_sae()
    need_mixed_pool(run)


def pool_answers(run: Run, variant: str | VariantSpec = "none") -> science.PoolAnswers:
    """Which modality answers every test query under a variant; kept in memory."""
    need_mixed_pool(run)
    spec = variant_of(run, variant)

    def compute() -> science.PoolAnswers:
        queries, candidates = transformed(run, spec, "queries"), transformed(run, spec, "candidates")
        modality = run.corpus.items("candidates").modality
        return science.pool_answers(queries, candidates, modality, run.qrels("test").pairs)

    return run.memo(("pool-answers", spec), compute, limit=len(VARIANTS))


def by_wanted(run: Run) -> pd.DataFrame:
    """Recall and misses by the modality that a query wants, and over all of them, under every setting of `SETTINGS`.

    DataFrame[label, variant, fitted_on, wanted, queries, candidates, recall@1, recall@1_low, ..., missed, missed_low,
    missed_high, fewer_missed, fewer_missed_low, fewer_missed_high, fewer_missed_p, gain, ..., beyond_per_side, ...].
    `wanted`: "all", or a modality; a query that wants several counts in each. missed: share of these queries whose
    best-ranked candidate is of no wanted modality, 0-1. fewer_missed: the share missed raw minus that under the
    setting. gain: recall@1 minus that of the raw embeddings; beyond_per_side: minus that of the same transform per
    side, NaN in the rows of those themselves. All paired by query with 95% intervals. Settings on own rows are absent
    where there is no support split: then all are.

    Raises:
        NotAvailable: candidates of one modality, or no relevant pairs.
    """
    need_mixed_pool(run)
    arguments = {"settings": [[one.label, variant_of(run, one.variant).explicit()] for one in SETTINGS]}
    return cached_table(run, "mixed-pool", arguments, lambda: _by_wanted(run))


def bias(run: Run, variants: Sequence[str] = VARIANTS) -> pd.DataFrame:
    """Mean modality bias of the queries: DataFrame[variant, modality, share_of_pool, share_of_nearest, bias, bias_low,
    bias_high, queries, nearest].

    share_of_nearest: mean share of the modality among the k nearest; bias: that minus its share of the pool, with a 95%
    interval over queries. attrs["sizes"]: variant -> mean size of a query's bias, 0-1; attrs["by_chance"]: that of k
    candidates drawn at random.
    """
    need_mixed_pool(run)
    arguments = {"variants": explicit(run, *variants), "nearest": NEAREST}
    return cached_table(run, "modality-bias", arguments, lambda: _bias(run, tuple(variants)))


@dataclass(frozen=True, eq=False)
class Carriers:
    """What carries the preference for a rival of an unwanted modality, over all queries whose wanted one is missed.

    `kinds`: DataFrame[carrier, term, term_low, term_high, of_margin, concepts, queries]: mean sum of the terms of each
    kind of concept, of the offset and of the two SAE errors; they sum to the mean margin, exactly. of_margin: term /
    margin.
    `concepts`: DataFrame[concept, label, modality_score, term_mean, decided, share_of_failures, queries], most negative
    first.
    """

    kinds: pd.DataFrame
    concepts: pd.DataFrame
    margin: float
    queries: int
    residual: float
    """Mean margin minus the sum of all terms: rounding only."""


def carriers(run: Run, variant: str | VariantSpec = "none") -> Carriers:
    """Take the margin between the best relevant candidate and the rival apart, for every query whose wanted modality is
    missed (docs/study.md section 4).

    Raises:
        NotAvailable: no SAE, candidates of one modality, or no query that misses the wanted modality.
    """
    need_concepts_and_mixed_pool(run)
    spec = variant_of(run, variant)
    arguments = {"variant": spec.explicit()}
    kinds = cached_table(run, "carriers-kinds", arguments, lambda: _kinds(run, spec))
    concepts = cached_table(run, "carriers-concepts", arguments, lambda: _concepts(run, spec))
    known = kinds.attrs
    return Carriers(kinds, concepts, known["margin"], known["queries"], known["residual"])


def queries(run: Run, variant: str | VariantSpec = "none", limit: int = 200) -> pd.DataFrame:
    """Test queries by the size of their bias, largest first: DataFrame[row, id, modality, text, wanted, answered,
    missed, bias_size, bias_MODALITY ...]. `wanted`: the modalities wanted, joined by " or "; "" where none is.

    attrs["total"]: how many there are before `limit`.
    """
    answers = pool_answers(run, variant)
    order = np.argsort(-answers.bias_size, kind="stable")
    rows, names = order[:limit], np.array(answers.modalities)
    frame = item_frame(run, "queries", rows).assign(
        wanted=[" or ".join(names[answers.wanted[q]]) for q in rows],
        answered=names[answers.answered[rows]],
        missed=answers.missed[rows],
        bias_size=answers.bias_size[rows],
        **{f"bias_{name}": answers.bias[rows, m] for m, name in enumerate(answers.modalities)},
    )
    frame.attrs = {"total": len(order)}
    return frame


def _by_wanted(run: Run) -> pd.DataFrame:
    settings = [one for one in SETTINGS if run.has_support or not one.own_rows]
    measured = {one.label: _measured(run, one) for one in settings}
    raw, rows = measured[RAW][1], list[dict[str, Any]]()
    groups = {ALL: np.flatnonzero(raw.judged)}
    groups |= {name: np.flatnonzero(raw.wanted[:, m]) for m, name in enumerate(raw.modalities)}
    for one in settings:
        ranked, answers = measured[one.label]
        named = {"label": one.label, "variant": one.variant, "fitted_on": _fitted_on(run, one)}
        for wanted, chosen in groups.items():
            if len(chosen):
                after = _of(ranked, chosen)
                row = named | {"wanted": wanted} | RecallRow.of([after]).columns()
                row |= _missed(raw.missed[chosen], answers.missed[chosen], after.clusters, same=one.label == RAW)
                for gain, other in (("gain", RAW if one.label != RAW else None), ("beyond_per_side", one.per_side)):
                    before = None if other is None else [_of(measured[other][0], chosen)]
                    found = PairedGain.between(before, [after], "recall@1") if before else PairedGain.nothing()
                    row |= found.columns(gain)
                rows.append(row)
    return tidy(rows)


def _measured(run: Run, setting: Setting) -> tuple[science.Ranked, science.PoolAnswers]:
    """The ranking of the test queries, and which modality answers them."""
    if not setting.own_rows:
        return rank_under(run, setting.variant)[0], pool_answers(run, setting.variant)
    data = without_support(fit_data(run))
    rows = apply_variant(fit_variant(variant_of(run, setting.variant), data), data)
    pairs, modality = run.qrels("test").pairs, run.corpus.items("candidates").modality
    ranked = science.rank_relevant(rows.queries, rows.candidates, pairs)
    return ranked, science.pool_answers(rows.queries, rows.candidates, modality, pairs)


def _fitted_on(run: Run, setting: Setting) -> str:
    if setting.label == RAW:
        return "nothing"
    support = run.has_support and setting.per_side is not None and not setting.own_rows
    words = "the support split" if support else "test queries without labels, and the pool"
    return f"{words}; the first step on test queries and pool" if support and "+" in setting.variant else words


def _of(ranked: science.Ranked, chosen: np.ndarray) -> science.Ranked:
    """The ranking of some of the queries."""
    clusters = None
    if ranked.clusters is not None:
        clusters = np.unique(ranked.clusters[chosen], return_inverse=True)[1].astype(np.int64)
    first, last, ndcg = ranked.first[chosen], ranked.pessimistic[chosen], ranked.ndcg10[chosen]
    return science.Ranked(first, last, ndcg, ranked.n_candidates, clusters)


def _missed(raw: np.ndarray, now: np.ndarray, clusters: np.ndarray | None, same: bool) -> dict[str, float]:
    """Share missed with its interval, and how many fewer than raw."""
    fewer = raw.astype(float) - now
    low, high = science.bootstrap_means(np.column_stack([now.astype(float), fewer]), clusters=clusters)
    missed = {"missed": float(now.mean()), "missed_low": float(low[0]), "missed_high": float(high[0])}
    if same:
        return missed | PairedGain.nothing().columns("fewer_missed")
    p = science.exact_sign_flip(fewer, clusters)
    gain = PairedGain(float(fewer.mean()), float(low[1]), float(high[1]), p)
    return missed | gain.columns("fewer_missed")


def _bias(run: Run, variants: tuple[str, ...]) -> pd.DataFrame:
    rows, sizes, clusters = list[dict[str, Any]](), {}, query_clusters(run)
    for variant in variants:
        answers = pool_answers(run, variant)
        low, high = science.bootstrap_means(answers.bias, clusters=clusters)
        sizes[variant] = float(answers.bias_size.mean())
        for m, name in enumerate(answers.modalities):
            rows.append(
                {
                    "variant": variant,
                    "modality": name,
                    "share_of_pool": float(answers.pool_share[m]),
                    "share_of_nearest": float(answers.top_share[:, m].mean()),
                    "bias": float(answers.bias[:, m].mean()),
                    "bias_low": float(low[m]),
                    "bias_high": float(high[m]),
                    "queries": len(answers.bias),
                    "nearest": answers.nearest,
                }
            )
    pool = np.array(list(run.corpus.items("candidates").by_modality.values()))
    chance = science.bias_by_chance(pool[pool > 0], min(NEAREST, int(pool.sum())))
    return tidy(rows, sizes=sizes, by_chance=chance)


def _summary(run: Run, variant: VariantSpec) -> FailureSummary:
    """The terms of every preference for a rival, concept by concept; kept in memory for the second table."""

    def compute() -> FailureSummary:
        preferences = pool_answers(run, variant).preferences
        if not len(preferences):
            raise NotAvailable(f"no query of run {run.name!r} misses the wanted modality under {variant}")
        both = fitted(run, variant)
        query, candidate = (side_rows(run, part, side_of(both, part)) for part in ("queries", "candidates"))
        groups = [np.flatnonzero(mask) for mask in _kind_masks(run).values()]
        return summarise_failures(query, candidate, preferences, run.need_sae().dictionary, groups=groups)

    return run.memo(("preferences", variant), compute, limit=2)


def _kind_masks(run: Run) -> dict[str, np.ndarray]:
    """Kind of concept -> which concepts are of it."""
    score = concept_table(run)["modality_score"].to_numpy(dtype=float)
    unknown = np.isnan(score)
    image, text = ~unknown & (score < IMAGE_BELOW), ~unknown & (score > TEXT_ABOVE)
    return dict(zip(KINDS, (image, text, ~unknown & ~image & ~text, unknown), strict=True))


def _kinds(run: Run, variant: VariantSpec) -> pd.DataFrame:
    summary, masks = _summary(run, variant), _kind_masks(run)
    values = dict(zip(masks, summary.group_sums.T, strict=True)) | {name: getattr(summary, name) for name in REST}
    clusters = query_clusters(run)
    if clusters is not None:
        clusters = np.unique(clusters[summary.failures[:, 0]], return_inverse=True)[1].astype(np.int64)
    low, high = science.bootstrap_means(np.column_stack(list(values.values())), clusters=clusters)
    margin = float(summary.margin.mean())
    rows = [
        {
            "carrier": name.replace("_", " "),
            "term": float(terms.mean()),
            "term_low": float(low[i]),
            "term_high": float(high[i]),
            "of_margin": float(terms.mean()) / margin if margin else np.nan,
            "concepts": int(masks[name].sum()) if name in masks else 0,
            "queries": len(terms),
        }
        for i, (name, terms) in enumerate(values.items())
    ]
    residual = margin - float(sum(terms.mean() for terms in values.values()))
    return tidy(rows, margin=margin, queries=len(summary.failures), residual=residual)


def _concepts(run: Run, variant: VariantSpec) -> pd.DataFrame:
    summary, known = _summary(run, variant), concept_table(run)
    order = np.argsort(summary.term_sum, kind="stable")[:LISTED]
    n = len(summary.failures)
    return pd.DataFrame(
        {
            "concept": order,
            "label": known["label"].to_numpy()[order],
            "modality_score": known["modality_score"].to_numpy()[order],
            "term_mean": summary.term_mean[order],
            "decided": summary.decided[order],
            "share_of_failures": summary.decided[order] / n,
            "queries": n,
        }
    )
