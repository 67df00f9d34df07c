"""The shape of both sides under variants: modality gap, cosines, spread, hubs, how far matching pairs stand out, each
beside recall.

Measures are those of `core.analysis.retrieval.geometry` on the test rows. Differences to the first variant come with a
95% interval over queries: a delete-a-group jackknife (Shao & Wu 1989) with the pool of candidates and the fitted
variants held fixed. Measures of the candidates alone have no sampling over queries and no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from core.analysis.retrieval import geometry as science
from core.analysis.retrieval import rank_top_k
from core.analysis.variants import VariantSpec
from core.analysis.variants.moments import Moments, moments_of
from core.questions.answers import cached_table, explicit, item_frame, transformed, variant_of
from core.questions.comparisons import compared, tidy
from core.questions.labels import TEST_PARTS
from core.questions.retrieval import evaluate
from core.run import Run

VARIANTS = ("none", "center", "realign")
NEIGHBOURS = 10
"""Length of the lists in which candidates occur (N_k of hubness)."""
GROUPS = 10
"""Groups of queries of the jackknife."""
NEGATIVES = 50_000
"""Sampled pairs that do not match, for the histogram of their cosines."""
UNIFORMITY_PAIRS = 20_000
POOL = (
    "mean cosine within candidates",
    "effective rank, candidates",
    "participation ratio, candidates",
    "uniformity, candidates",
)
"""Measures of the candidates alone."""


@dataclass(frozen=True, eq=False)
class _Cloud:
    """One variant's rows, and what needs no recomputation when queries are left out."""

    queries: np.ndarray
    candidates: np.ndarray
    pairs: np.ndarray
    top: np.ndarray
    candidate_sums: science.Sums

    def without(self, queries: np.ndarray) -> _Cloud:
        """The same with these queries (a mask) left out."""
        staying = ~queries
        at = np.cumsum(staying) - 1
        pairs = self.pairs[staying[self.pairs[:, 0]]]
        moved = np.column_stack([at[pairs[:, 0]], pairs[:, 1]])
        return _Cloud(self.queries[staying], self.candidates, moved, self.top[staying], self.candidate_sums)


def shape(run: Run, variants: Sequence[str | VariantSpec] = VARIANTS) -> pd.DataFrame:
    """Every measure under every variant: DataFrame[variant, measure, value, change, change_low, change_high, change_p,
    queries, candidates].

    change: to the first variant, with a 95% interval and the p-value of a t-test over jackknife groups; NaN for the
        first variant and,
    interval and p, for measures of the candidates alone. The last rows are recall@1 with its paired bootstrap interval
    and McNemar's test.
    """
    specs = [variant_of(run, variant) for variant in variants]
    arguments = {
        "variants": explicit(run, *specs),
        "k": NEIGHBOURS,
        "groups": GROUPS,
        "negatives": "all",
        "uniformity": UNIFORMITY_PAIRS,
    }
    return cached_table(run, "geometry", arguments, lambda: _shape(run, specs))


def hubs(run: Run, variants: Sequence[str | VariantSpec] = VARIANTS, n: int = 5) -> pd.DataFrame:
    """The candidates in most top-10 lists: DataFrame[variant, place, row, id, modality, text, occurrences, expected,
    share].

    occurrences: lists they stand in; expected: if all candidates were in equally many; share: occurrences over all
        queries, 0-1.
    """
    specs = [variant_of(run, variant) for variant in variants]
    return cached_table(
        run, "hubs", {"variants": explicit(run, *specs), "k": NEIGHBOURS, "n": n}, lambda: _hubs(run, specs, n)
    )


def similarities(run: Run, variants: Sequence[str | VariantSpec] = VARIANTS, bins: int = 60) -> pd.DataFrame:
    """Cosines of matching and of other pairs: DataFrame[variant, left, right, positive, negative]; each column of
    shares sums to 1.

    attrs: per variant d_prime (over all pairs), n_positive, n_negative (all other pairs, or a seeded sample of them in
        the bins).
    """
    specs = [variant_of(run, variant) for variant in variants]
    arguments = {"variants": explicit(run, *specs), "bins": bins, "negatives": NEGATIVES, "d_prime": "all"}
    return cached_table(run, "similarities", arguments, lambda: _similarities(run, specs, bins))


def spectra(run: Run, variants: Sequence[str | VariantSpec] = VARIANTS) -> pd.DataFrame:
    """Variance along principal axes: DataFrame[variant, side, axis, share, held]; share of the total, and held by the
    first `axis` axes."""
    specs = [variant_of(run, variant) for variant in variants]
    return cached_table(run, "spectra", {"variants": explicit(run, *specs)}, lambda: _spectra(run, specs))


def _shape(run: Run, variants: Sequence[VariantSpec]) -> pd.DataFrame:
    clouds = {variant: _cloud(run, variant) for variant in variants}
    n = len(clouds[variants[0]].queries)
    group = np.random.default_rng(0).permutation(n) % GROUPS
    whole = {variant: _measures(cloud) for variant, cloud in clouds.items()}
    left_out = {v: [_of_queries(cloud.without(group == g)) for g in range(GROUPS)] for v, cloud in clouds.items()}
    rows = []
    for variant in variants:
        for measure, value in whole[variant].items():
            row = {
                "variant": str(variant),
                "measure": measure,
                "value": value,
                "queries": n,
                "candidates": len(clouds[variant].candidates),
            }
            rows.append(row | _change(measure, variant, variants[0], whole, left_out))
        rows.append(_recall(run, variant, variants[0], len(clouds[variant].candidates)))
    return tidy(rows)


def _cloud(run: Run, variant: VariantSpec) -> _Cloud:
    queries, candidates = transformed(run, variant, "queries"), transformed(run, variant, "candidates")
    pairs = np.unique(run.qrels("test").pairs, axis=0)
    top = rank_top_k(queries, candidates, NEIGHBOURS).candidates
    return _Cloud(queries, candidates, pairs, top, science.sums_of(candidates))


def _measures(cloud: _Cloud) -> dict[str, float]:
    """All measures by name, those of the pool last."""
    of_pool = moments_of(cloud.candidates)
    pool = (
        science.mean_cosine_within(cloud.candidates),
        science.effective_rank(of_pool),
        science.participation_ratio(of_pool),
        science.uniformity(cloud.candidates, pairs=UNIFORMITY_PAIRS),
    )
    return _of_queries(cloud) | dict(zip(POOL, pool, strict=True))


def _of_queries(cloud: _Cloud) -> dict[str, float]:
    """Measures that depend on which queries there are."""
    hub = science.hubness(cloud.top, len(cloud.candidates))
    matching = _cosines(cloud)
    other = science.other_cosines(science.sums_of(cloud.queries), cloud.candidate_sums, matching)
    moments: Moments = moments_of(cloud.queries)
    return {
        "modality gap": science.modality_gap(cloud.queries, cloud.candidates),
        "mean cosine across": science.mean_cosine_across(cloud.queries, cloud.candidates),
        "mean cosine within queries": science.mean_cosine_within(cloud.queries),
        "effective rank, queries": science.effective_rank(moments),
        "participation ratio, queries": science.participation_ratio(moments),
        "hubness (skewness of N_10)": hub.skewness,
        "candidates in no top-10 list": hub.never_share,
        "alignment": science.alignment(cloud.queries, cloud.candidates, cloud.pairs),
        "mean cosine of matching pairs": float(matching.mean()),
        "mean cosine of other pairs": other[0],
        "d'": science.d_prime(matching, *other),
    }


def _cosines(cloud: _Cloud) -> np.ndarray:
    """Of the matching pairs."""
    rows = cloud.pairs
    return np.einsum("pd,pd->p", cloud.queries[rows[:, 0]], cloud.candidates[rows[:, 1]], dtype=np.float64)


def _change(
    measure: str,
    variant: VariantSpec,
    first: VariantSpec,
    whole: dict[VariantSpec, dict[str, float]],
    left_out: dict[VariantSpec, list[dict[str, float]]],
) -> dict[str, float]:
    nothing = float("nan")
    change = nothing if variant == first else whole[variant][measure] - whole[first][measure]
    if variant == first or measure in POOL:
        return {"change": change, "change_low": nothing, "change_high": nothing, "change_p": nothing}
    replicates = [a[measure] - b[measure] for a, b in zip(left_out[variant], left_out[first], strict=True)]
    low, high, p = jackknife_interval(change, replicates)
    return {"change": change, "change_low": low, "change_high": high, "change_p": p}


def jackknife_interval(value: float, left_out: Sequence[float]) -> tuple[float, float, float]:
    """95% interval and two-sided p (that the truth is 0) from the value with each of g groups left out, by Student's t
    with g - 1 degrees.

    Standard error: sqrt((g - 1) / g sum_i (v_i - mean v)^2).
    """
    replicates = np.asarray(left_out, dtype=np.float64)
    g = len(replicates)
    error = float(np.sqrt((g - 1) / g * np.sum((replicates - replicates.mean()) ** 2)))
    reach = float(student.ppf(0.975, g - 1)) * error
    p = float(2 * student.sf(abs(value) / error, g - 1)) if error > 0 else float(value == 0)
    return value - reach, value + reach, p


def _recall(run: Run, variant: VariantSpec, first: VariantSpec, candidates: int) -> dict[str, object]:
    recalls = compared([evaluate(run, variant).evaluation.ranked], {"gain": [evaluate(run, first).evaluation.ranked]})
    row = {
        "variant": str(variant),
        "measure": "recall@1",
        "value": recalls["recall@1"],
        "queries": recalls["queries"],
        "candidates": candidates,
    }
    columns = {"change": "gain", "change_low": "gain_low", "change_high": "gain_high", "change_p": "gain_p"}
    return row | {name: float("nan") if variant == first else recalls[gain] for name, gain in columns.items()}


def _hubs(run: Run, variants: Sequence[VariantSpec], n: int) -> pd.DataFrame:
    frames = []
    for variant in variants:
        queries, candidates = transformed(run, variant, "queries"), transformed(run, variant, "candidates")
        hubness = science.hubness(rank_top_k(queries, candidates, NEIGHBOURS).candidates, len(candidates), n)
        counts = hubness.occurrences[hubness.hubs]
        frame = item_frame(run, "candidates", hubness.hubs).assign(
            occurrences=counts, expected=len(queries) * hubness.k / len(candidates), share=counts / len(queries)
        )
        frame.insert(0, "place", np.arange(1, len(frame) + 1))
        frame.insert(0, "variant", str(variant))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _similarities(run: Run, variants: Sequence[VariantSpec], bins: int) -> pd.DataFrame:
    frames, attrs = [], {}
    for variant in variants:
        queries, candidates = transformed(run, variant, "queries"), transformed(run, variant, "candidates")
        histograms = science.similarity_histograms(
            queries, candidates, run.qrels("test").pairs, bins=bins, negatives=NEGATIVES
        )
        columns = {
            "left": histograms.edges[:-1],
            "right": histograms.edges[1:],
            "positive": histograms.positive,
            "negative": histograms.negative,
        }
        frames.append(pd.DataFrame({"variant": str(variant)} | columns))
        attrs[str(variant)] = {
            "d_prime": histograms.d_prime,
            "n_positive": histograms.n_positive,
            "n_negative": histograms.n_negative,
        }
    table = pd.concat(frames, ignore_index=True)
    table.attrs = attrs
    return table


def _spectra(run: Run, variants: Sequence[VariantSpec]) -> pd.DataFrame:
    frames = []
    for variant in variants:
        for part in TEST_PARTS:
            shares = science.spectrum(moments_of(transformed(run, variant, part)))
            axes = np.arange(1, len(shares) + 1)
            frames.append(
                pd.DataFrame(
                    {"variant": str(variant), "side": part, "axis": axes, "share": shares, "held": np.cumsum(shares)}
                )
            )
    return pd.concat(frames, ignore_index=True)
