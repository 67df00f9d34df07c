"""Recall after a removal, beside what it should be compared with (Eqs 8-10; Table 2 with the controls it lacks).

The one home of this experiment: the Similarity page, Table 2, the controls and the other dictionaries take their
removals, draws and tests from here. Controls of equal number: random active concepts (several draws), the concepts of
highest energy. Controls of equal rank: random directions (several draws), the top principal directions of all rows.
Each is followed by nothing, by centring or by ReAlign: a removal that adds nothing after centring repaired what
centring repairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from core.analysis.retrieval import Ranked, per_query
from core.analysis.variants import FitData, VariantSpec, parse_variant
from core.questions.answers import cached_table, explicit, fit_data, variant_of
from core.questions.comparisons import RECALLS, by_metric, rank_under, ranking_bytes, tidy
from core.questions.inside import under
from core.run import Run
from core.threads import at_once

Kind = Literal["top attribution", "top energy", "random concepts", "random directions", "top principal directions"]
KINDS: tuple[Kind, ...] = (
    "top attribution",
    "top energy",
    "random concepts",
    "random directions",
    "top principal directions",
)
SEEDS = (0, 1, 2)
"""Draws of the random controls."""
CURVE = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Shares of all concepts along the curve of the Similarity page."""
SHARES = (0.0025, 0.01, 0.05)
"""Shares at which every control is measured."""
RANKS = (1, 4, 16)
RANK_SHARE = 0.05
"""Share of concepts whose span the curve over the rank truncates."""


@dataclass(frozen=True, eq=False)
class Removal:
    """The test queries ranked after one removal, once per draw."""

    kind: str
    share: float
    """Of all concepts, 0-1; 0 where nothing is removed."""
    concepts: int
    ranked: tuple[Ranked, ...]
    ranks: tuple[int, ...]
    """Directions removed, per draw."""
    notes: tuple[str, ...]
    """What the fits of the first draw say."""

    def recall(self, metric: str) -> list[float]:
        """One recall per draw."""
        return [float(per_query(ranked, metric).mean()) for ranked in self.ranked]


def no_removal(run: Run, then: str | VariantSpec = "none", data: FitData | None = None) -> Removal:
    """The baseline: the variant `then` alone."""
    ranked, fitted = rank_under(run, then, data)
    return Removal("no removal", 0.0, 0, (ranked,), (0,), tuple(fitted.notes))


def removed(
    run: Run,
    kind: Kind,
    share: float,
    then: str | VariantSpec = "none",
    *,
    seeds: Sequence[int] = SEEDS,
    truncate: int | None = None,
    equal_rank: int = 1,
    data: FitData | None = None,
) -> Removal:
    """Rank the test queries after a removal of `share` of the concepts, or of `equal_rank` directions where the kind is
    one of directions, followed by `then`.

    `truncate`: only the first so many singular directions of the concepts' span. `data`: another dictionary than the
    run's own. A share x means max(1, round(x c)) of all c concepts.
    """
    data = fit_data(under(run, variant_of(run, then))) if data is None else data
    width = len(run.need_sae().dictionary if data.dictionary is None else data.dictionary)
    count = max(1, round(share * width))
    texts = _texts(kind, share, count, seeds, truncate, equal_rank)
    after = variant_of(run, then)
    done = at_once(lambda text: rank_under(run, parse_variant(text).then(after), data), texts, ranking_bytes(run))
    ranks = [0 if fitted.query.removed_basis is None else len(fitted.query.removed_basis) for _, fitted in done]
    return Removal(kind, share, count, tuple(ranked for ranked, _ in done), tuple(ranks), tuple(done[0][1].notes))


def _texts(
    kind: Kind, share: float, count: int, seeds: Sequence[int], truncate: int | None, equal_rank: int
) -> list[str]:
    """The removals as variants, one per draw."""
    rank = "" if truncate is None else f",rank={truncate}"
    every: Mapping[Kind, list[str]] = {
        "top attribution": [f"remove-top(share={share}{rank})"],
        "top energy": [f"remove-top(share={share},by=energy{rank})"],
        "random concepts": [f"remove-random(count={count},seed={seed}{rank})" for seed in seeds],
        "random directions": [f"remove-directions(rank={equal_rank},seed={seed})" for seed in seeds],
        "top principal directions": [f"remove-pca(rank={equal_rank})"],
    }
    return every[kind]


def spelled_out(
    run: Run, shares: Sequence[float], then: str | VariantSpec, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """The removals as keys of answers hold them: every kind with all its options, the shares and seeds it is made
    with, and what follows."""
    kinds = [parse_variant(_texts(kind, 0.01, 1, (0,), None, 1)[0]) for kind in KINDS]
    return {"kinds": explicit(run, *kinds), "then": explicit(run, then)[0], "shares": list(shares), "seeds": [*seeds]}


def removal_curve(run: Run, then: str | VariantSpec = "none") -> pd.DataFrame:
    """Recall against the share of concepts removed, top by attribution beside random concepts of equal number (Eqs
    8-10, Table 2).

    DataFrame[share, concepts, kind, seed, rank, recall@1, recall@5, recall@10], one row per draw; share 0 is no
    removal. `then` is a step applied afterwards ("none", "center", "realign"). attrs["fitted_on"]: the pairs
    attribution was measured on, "support" or "test".

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    spec = variant_of(run, then)

    def compute() -> pd.DataFrame:
        rows = _per_draw(no_removal(run, spec), "top attribution")
        kinds: tuple[Kind, ...] = ("top attribution", "random concepts")
        points = [(kind, share) for share in CURVE for kind in kinds]
        for (kind, _), result in zip(points, _at_once(run, spec, points), strict=True):
            rows += _per_draw(result, kind)
        return tidy(rows, fitted_on=fit_data(run).pair_codes().source, queries=len(fit_data(run).queries))

    return cached_table(run, "removal", spelled_out(run, CURVE, spec), compute)


def _at_once(run: Run, then: VariantSpec, points: Sequence[tuple[Kind, float]]) -> list[Removal]:
    """The removals of these kinds and shares."""
    fit_data(run)  # shared by all of them
    return at_once(lambda point: removed(run, point[0], point[1], then), points, ranking_bytes(run))


def _per_draw(result: Removal, kind: str) -> list[dict[str, Any]]:
    head = {"share": result.share, "concepts": result.concepts, "kind": kind}
    recalls = {metric: result.recall(metric) for metric in RECALLS}
    return [
        head | {"seed": SEEDS[i], "rank": rank} | {metric: values[i] for metric, values in recalls.items()}
        for i, rank in enumerate(result.ranks)
    ]


def removal_controls(run: Run, then: str | VariantSpec = "none", seeds: Sequence[int] = SEEDS) -> pd.DataFrame:
    """Recall after removal, by kind, along the removed share and along the rank, followed by the variant `then`.

    DataFrame[curve, share, concepts, kind, draws, rank, metric, value, low, high, gain, gain_low, gain_high, gain_p,
    beyond_random, beyond_random_low, beyond_random_high, beyond_random_p, draw_lowest, draw_highest]. Controls with
    several draws are one row: the mean over draws, query by query; `rank` is the mean number of directions removed.
    gain: paired difference to `then` without removal; beyond_random: to the mean of the random concepts of equal number
    (NaN for these themselves). curve "none" is the baseline row. attrs: fitted_on (pairs the attribution was measured
    on), queries.

    Raises:
        NotAvailable: a run without an SAE.
    """
    run.need_sae()
    spec = variant_of(run, then)
    arguments = spelled_out(run, SHARES, spec, seeds) | {"ranks": list(RANKS), "rank_share": RANK_SHARE}
    return cached_table(run, "removal-controls", arguments, lambda: _controls(run, spec, tuple(seeds)))


def _controls(run: Run, then: VariantSpec, seeds: tuple[int, ...]) -> pd.DataFrame:
    baseline = no_removal(run, then)
    rows = _mean_over_draws("none", baseline, baseline, None)
    points: list[tuple[str, float, int | None]] = [("share", share, None) for share in SHARES]
    points += [("rank", RANK_SHARE, rank) for rank in RANKS]

    def rows_of(point: tuple[str, float, int | None]) -> list[dict[str, Any]]:
        curve, share, truncate = point
        top = removed(run, "top attribution", share, then, truncate=truncate)
        # Controls of directions take as many as the removal they stand beside has.
        every = {
            kind: removed(run, kind, share, then, seeds=seeds, truncate=truncate, equal_rank=top.ranks[0])
            for kind in KINDS
        }
        random, rows = every["random concepts"], []
        for kind, result in every.items():
            rows += _mean_over_draws(curve, result, baseline, None if kind == "random concepts" else random)
        return rows

    for more in at_once(rows_of, points, ranking_bytes(run)):
        rows += more
    fitted_on = fit_data(run).pair_codes().source
    return tidy(rows, fitted_on=fitted_on, queries=len(baseline.ranked[0].first), then=str(then))


def _mean_over_draws(curve: str, result: Removal, baseline: Removal, random: Removal | None) -> list[dict[str, Any]]:
    baselines: dict[str, Sequence[Ranked]] = {"gain": baseline.ranked}
    if random is not None:
        baselines["beyond_random"] = random.ranked
    head = {"curve": curve, "kind": result.kind, "share": result.share, "concepts": result.concepts}
    head |= {"draws": len(result.ranked), "rank": sum(result.ranks) / len(result.ranks)}
    rows = []
    for row in by_metric(result.ranked, baselines):
        draws = result.recall(row["metric"])
        rows.append(head | row | {"draw_lowest": min(draws), "draw_highest": max(draws)})
    return rows
