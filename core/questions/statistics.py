"""Where a whitening's gain comes from, and how many support queries its statistics need.

Query statistics may come from the test queries (transductive: no labels, but all of them at once), from a support
split, from the candidates, or from both sides together; candidate statistics always come from the pool (docs/study.md
section 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.retrieval import per_query
from core.analysis.retrieval.evaluation import safe_from
from core.analysis.retrieval.ranking import Ranked
from core.analysis.retrieval.resampling import bootstrap_means
from core.analysis.variants import VariantSpec, gain_split
from core.analysis.variants.fitdata import support_sample
from core.analysis.variants.statistics import PER_MODALITY
from core.questions.answers import cached_table, explicit, fit_data, fitted, variant_of
from core.questions.comparisons import compared, rank_under, ranking_bytes, statistics_words, tidy
from core.questions.inside import under
from core.questions.retrieval import evaluate
from core.run import Run
from core.threads import at_once

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
DRAWS = (0, 1, 2)
GAIN_SPLIT, MEANS, SOURCES, SHRINKAGE = (
    "where the gain comes from",
    "one mean or two",
    "whose statistics",
    "how much shrinkage",
)


def whitening_sources(run: Run) -> pd.DataFrame:
    """Each ingredient of ReAlign against the setting without it, paired query by query.

    DataFrame[part, label, variant, compared_with, recall@1, recall@1_low, ..., gain, gain_low, gain_high, gain_p,
    queries, beta_queries, beta_candidates, fitted_on]; gain in recall@1. Rows that need a support split are absent
    where there is none. attrs["notes"]: what the fits warn of (eps against the shrinkage floor), and what is absent.
    """
    whitening = run.spec.whitening
    plan = _plan(whitening.beta, whitening.eps, run.has_support)
    rows = [[part, label, *explicit(run, variant, before)] for part, label, variant, before in plan]
    arguments = {"plan": rows}
    return cached_table(run, "whitening-sources", arguments, lambda: _sources(run, plan))


def _sources(run: Run, plan: Sequence[tuple[str, str, str, str]]) -> pd.DataFrame:
    rows, notes = [], []
    for part, label, variant, before in plan:
        spec = variant_of(run, variant)
        evaluated = evaluate(run, spec)
        row = compared([evaluated.evaluation.ranked], {"gain": [evaluate(run, before).evaluation.ranked]})
        records = {side: getattr(fitted(run, spec), side).records for side in ("query", "candidate")}
        betas = {f"beta_{name}": records[side][-1].beta if records[side] else None for name, side in _SIDES}
        rows.append(
            {"part": part, "label": label, "variant": variant, "compared_with": before}
            | row
            | betas
            | {"fitted_on": statistics_words(run, spec)}
        )
        notes += [
            f"{variant}: {note}"
            for note in evaluated.notes
            if "it acts as shrinkage" in note or "rank-deficient" in note
        ]
    if not run.has_support:
        notes.append("this run has no support split: rows with statistics from support queries are absent")
    return tidy(rows, notes=list(dict.fromkeys(notes)))


_SIDES = (("queries", "query"), ("candidates", "candidate"))


def _plan(beta: float, eps: float, support: bool) -> list[tuple[str, str, str, str]]:
    """(part, label, variant, compared with)."""
    realign, auto = f"realign(beta={beta:g},eps={eps:g}", f"eps={eps:g}"
    steps = gain_split(beta, eps)
    labels, (raw, centred, *further) = list(steps), map(str, steps.values())
    default = further[-1]
    # The steps of the gain split, centring in two: a common mean, then one per side.
    plan = [
        (GAIN_SPLIT, labels[0], raw, raw),
        (GAIN_SPLIT, "+ one common mean", "center(statistics=shared)", raw),
        (GAIN_SPLIT, "+ a mean per side", centred, "center(statistics=shared)"),
        *(
            (GAIN_SPLIT, label, variant, before)
            for label, variant, before in zip(labels[2:], further, [centred, *further], strict=False)
        ),
        (MEANS, "centring per side against raw", "center", "none"),
        (MEANS, "ReAlign, both sides one mean and covariance", f"{realign},statistics=shared)", default),
        (SOURCES, "centring, queries from the candidates", "center(statistics=candidates)", "center"),
        (SOURCES, "ReAlign, queries from the candidates", f"{realign},statistics=candidates)", default),
        (SHRINKAGE, "Ledoit-Wolf's shrinkage", f"auto({auto})", default),
        (SHRINKAGE, "OAS shrinkage", f"auto(method=oas,{auto})", default),
        (SHRINKAGE, "ReAlign against centring alone (shrinkage 1)", default, "center"),
    ]
    if support:
        plan.insert(8, (SOURCES, "centring, queries from the support split", "center(statistics=support)", "center"))
        plan.insert(9, (SOURCES, "ReAlign, queries from the support split", f"{realign},statistics=support)", default))
    return plan


def support_size(
    run: Run, variants: Sequence[str | VariantSpec] = ("center", "realign"), sizes: Sequence[int] = SIZES
) -> pd.DataFrame:
    """Recall when query statistics come from ever more support queries, drawn at random several times.

    DataFrame[variant, size, draws, recall@1, recall@1_low, ..., gain, gain_low, gain_high, gain_p, gain_worst,
    queries]: mean over draws, query by query; gain to raw in recall@1; gain_worst: the lowest of the draws' own lower
    95% bounds. attrs["safe_from"]: per variant the smallest size from which on gain_worst stays above 0 (None: never);
    attrs["support"]: support queries at hand.

    Raises:
        NotAvailable: a run without a support split.
    """
    rows = fit_data(run).rows("support")[0]
    used = sorted({size for size in sizes if size < len(rows)} | {len(rows)})
    specs = [variant_of(run, variant) for variant in variants]
    arguments = {"variants": explicit(run, *specs), "sizes": used, "draws": list(DRAWS)}
    return cached_table(run, "support-size", arguments, lambda: _support_curve(run, specs, used, len(rows)))


def _support_curve(run: Run, variants: Sequence[VariantSpec], sizes: Sequence[int], available: int) -> pd.DataFrame:
    raw = evaluate(run).evaluation.ranked
    points = [(variant, size) for variant in variants for size in sizes]
    every = at_once(lambda point: _support_point(run, *point, available, raw), points, ranking_bytes(run))
    rows, safe = [], {}
    for i, variant in enumerate(variants):
        mine = every[i * len(sizes) : (i + 1) * len(sizes)]
        safe[str(variant)] = safe_from([row["size"] for row in mine], [row["gain_worst"] for row in mine])
        rows += mine
    return tidy(rows, safe_from=safe, support=available)


def _support_point(run: Run, variant: VariantSpec, size: int, available: int, raw: Ranked) -> dict[str, Any]:
    seeds = DRAWS if size < available else DRAWS[:1]
    spec = with_support(run, variant)
    data = fit_data(under(run, spec))
    draws = [rank_under(run, spec, support_sample(data, size, seed))[0] for seed in seeds]
    gains = np.column_stack([per_query(ranked, "recall@1") - per_query(raw, "recall@1") for ranked in draws])
    worst = float(bootstrap_means(gains, clusters=raw.clusters)[0].min())
    return (
        {"variant": str(variant), "size": size, "draws": len(draws)}
        | compared(draws, {"gain": [raw]})
        | {"gain_worst": worst}
    )


def with_support(run: Run, variant: str | VariantSpec) -> VariantSpec:
    """The same chain with the statistics of every affine step that allows it taken from the support split; those per
    modality come from there already."""
    spec = variant_of(run, variant)
    steps = [
        replace(
            step, options=tuple((name, "support" if name == "statistics" else value) for name, value in step.options)
        )
        if "support" in step.kind.option("statistics").choices and ("statistics", PER_MODALITY) not in step.options
        else step
        for step in spec.of_stage("affine")
    ]
    return replace(spec, steps=(*spec.of_stage("inside"), *spec.of_stage("edit"), *spec.of_stage("removal"), *steps))
