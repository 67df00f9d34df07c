"""Removal of the top-attribution concepts against what it should be compared with (Eqs 8-10, Table 2 with its
controls).

Controls of equal number: random active concepts (several draws), the concepts of highest energy. Controls of equal
rank: random directions (several draws), the top principal directions of all rows. Each is followed by nothing, by
centring or by ReAlign: a removal that adds nothing after centring repaired what centring repairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.analysis.retrieval import Ranked
from core.analysis.variants import VariantSpec, parse_variant
from core.questions.answers import cached_table, fit_data, variant_of
from core.questions.comparisons import by_metric, rank_under, tidy
from core.run import Run

SHARES = (0.0025, 0.01, 0.05)
RANKS = (1, 4, 16)
RANK_SHARE = 0.05
"""Share of concepts whose span the curve over the rank truncates."""
SEEDS = (0, 1, 2)
KINDS = ("top attribution", "top energy", "random concepts", "random directions", "top principal directions")


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
    arguments = {
        "then": str(spec),
        "seeds": list(seeds),
        "shares": list(SHARES),
        "ranks": list(RANKS),
        "rank_share": RANK_SHARE,
    }
    return cached_table(run, "removal-controls", arguments, lambda: _measure(run, spec, tuple(seeds)))


def _measure(run: Run, then: VariantSpec, seeds: tuple[int, ...]) -> pd.DataFrame:
    baseline, _ = rank_under(run, then)
    rows = _rows({"curve": "none", "kind": "no removal", "share": 0.0, "concepts": 0}, [baseline], [0], baseline, None)
    width = run.need_sae().width
    for share in SHARES:
        rows += _point(run, "share", share, max(1, round(share * width)), None, then, seeds, baseline)
    count = max(1, round(RANK_SHARE * width))
    for rank in RANKS:
        rows += _point(run, "rank", RANK_SHARE, count, rank, then, seeds, baseline)
    return tidy(rows, fitted_on=fit_data(run).pair_codes().source, queries=len(baseline.first), then=str(then))


def _point(
    run: Run,
    curve: str,
    share: float,
    count: int,
    rank: int | None,
    then: VariantSpec,
    seeds: tuple[int, ...],
    baseline: Ranked,
) -> list[dict[str, Any]]:
    """All kinds at one share (and rank); the rank that other kinds match is the one the top-attribution removal has."""
    found: dict[str, tuple[list[Ranked], list[int]]] = {}
    truncated = "" if rank is None else f",rank={rank}"
    found["top attribution"] = _ranked(run, [f"remove-top(share={share}{truncated})"], then)
    equal = found["top attribution"][1][0]
    texts = {
        "top energy": [f"remove-top(share={share},by=energy{truncated})"],
        "random concepts": [f"remove-random(count={count},seed={seed}{truncated})" for seed in seeds],
        "random directions": [f"remove-directions(rank={equal},seed={seed})" for seed in seeds],
        "top principal directions": [f"remove-pca(rank={equal})"],
    }
    found |= {kind: _ranked(run, variants, then) for kind, variants in texts.items()}
    head = {"curve": curve, "share": share, "concepts": count}
    random = found["random concepts"][0]
    return [
        row
        for kind in KINDS
        for row in _rows(head | {"kind": kind}, *found[kind], baseline, None if kind == "random concepts" else random)
    ]


def _ranked(run: Run, removals: Sequence[str], then: VariantSpec) -> tuple[list[Ranked], list[int]]:
    """Rankings and numbers of directions removed."""
    done = [rank_under(run, parse_variant(removal).then(then)) for removal in removals]
    return [ranked for ranked, _ in done], [
        0 if v.query.removed_basis is None else len(v.query.removed_basis) for _, v in done
    ]


def _rows(
    head: dict[str, Any], draws: list[Ranked], ranks: list[int], baseline: Ranked, random: list[Ranked] | None
) -> list[dict[str, Any]]:
    baselines = {"gain": [baseline]} if random is None else {"gain": [baseline], "beyond_random": random}
    head = head | {"draws": len(draws), "rank": sum(ranks) / len(ranks)}
    found = []
    for row in by_metric(draws, baselines):
        k = int(row["metric"].removeprefix("recall@"))
        each = [float(((ranked.first > 0) & (ranked.first <= k)).mean()) for ranked in draws]
        found.append(head | row | {"draw_lowest": min(each), "draw_highest": max(each)})
    return found
