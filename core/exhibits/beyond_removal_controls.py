"""Removal along its strength, beside controls of equal number and of equal rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.exhibits.shared import gate
from core.exhibits.shared.agreement import beyond_draws, by_direction
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import METRIC, RECALLS, each_run, head, need_sae_and_pairs
from core.exhibits.shared.words import PAIRED_YES, THENS
from core.questions import removal
from core.run import Run

SHARE = 0.01
"""The share of concepts that the study removes."""
RANK = 4
"""Directions at which the curve over the rank is judged."""
DRAWS = "rows with several draws are the mean over draws, query by query, beside the lowest and the highest draw"


AFTER = {"none": "raw", "center": "after centring", "realign": "after ReAlign"}


def compute(runs: Sequence[Run], along: str = "share", then: str = "all", metric: str = "recall@5") -> pd.DataFrame:
    """Removal and its controls along the removed share, or along the rank r of the largest share; gain and
    beyond_random in `metric`.

    amount: per cent of the concepts, or directions; 0 is no removal.

    gain: to the same rows without removal; beyond_random: to the mean of random concepts of equal number.
    """
    frames, sources = [], set()
    for run in runs:
        for after in THENS if then == "all" else (then,):
            controls = removal.removal_controls(run, after)
            sources.add(controls.attrs["fitted_on"])
            frames.append(
                _with_recalls(controls[controls["curve"].isin(["none", along])], metric).assign(then=after, **head(run))
            )
    table = pd.concat(frames, ignore_index=True).drop(columns="curve")
    table.insert(0, "amount", 100 * table["share"] if along == "share" else table["rank"])
    table.attrs = {
        "notes": [f"attribution and energy measured on {source} pairs" for source in sorted(sources)] + [DRAWS]
    }
    return table


def _with_recalls(controls: pd.DataFrame, metric: str) -> pd.DataFrame:
    """From one row per recall to one row with all three recalls; everything else of `metric`."""
    point = ["curve", "share", "rank", "kind"]
    chosen = controls[controls["metric"] == metric].rename(
        columns={"value": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
    )
    for other in RECALLS:
        if other != metric:
            rows = controls[controls["metric"] == other][[*point, "value", "low", "high"]]
            rows = rows.rename(columns={"value": other, "low": f"{other}_low", "high": f"{other}_high"})
            chosen = chosen.merge(rows, on=point, validate="one_to_one")
    recalls = [name for recall in RECALLS for name in (recall, f"{recall}_low", f"{recall}_high")]
    gains = [f"{name}{end}" for name in ("gain", "beyond_random") for end in ("", "_low", "_high", "_p")]
    ordered = chosen.rename(columns={"kind": "removal"}).assign(queries=controls.attrs["queries"])
    return ordered[
        [
            "curve",
            "share",
            "concepts",
            "rank",
            "removal",
            "draws",
            *recalls,
            "metric",
            *gains,
            "draw_lowest",
            "draw_highest",
            "queries",
        ]
    ]


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """At the study's share, or at 4 directions: above no removal, and above random concepts, raw and after centring and
    ReAlign."""
    verdicts = []
    share = (table["share"] == SHARE).any()
    at = table["share"] == SHARE if share else table["rank"] == RANK
    removed = (
        f"the top {SHARE:.0%} by attribution"
        if share
        else f"{RANK} directions of the top {100 * table['share'].max():g}%"
    )
    for name, rows in each_run(table[(table["removal"] == "top attribution") & at]):
        for row in rows.to_dict("records"):
            what, after = f"{row['metric']} without {removed}", AFTER[row["then"]]
            verdicts.append(by_direction(name, f"{what}, {after}, minus no removal", row, +1))
            beyond = by_direction(name, f"{what}, {after}, minus random concepts", row, +1, "beyond_random")
            verdicts.append(beyond_draws(beyond, row[row["metric"]], _draws(table, row)))
    return tuple(verdicts)


def _draws(table: pd.DataFrame, row: dict[str, Any]) -> list[float]:
    """The lowest and the highest draw of the random concepts beside a row."""
    beside = (table["removal"] == "random concepts") & (
        table[["run", "then", "amount"]] == [row["run"], row["then"], row["amount"]]
    ).all(axis=1)
    control = table[beside].iloc[0]
    return [float(control["draw_lowest"]), float(control["draw_highest"])]


EXHIBIT = Exhibit(
    name="removal-controls",
    title="Removal and its controls",
    claim=(
        "Does removing the top concepts by attribution raise recall, more than removing others, and still "
        "after centring?"
    ),
    definition=(
        "h' = h - V Vᵀ h (Eqs 8-10), V spanning the top share by attribution (Eq 6), or its first r singular "
        "directions. Controls of equal number: random active concepts, the concepts of highest energy (Eq "
        "3). Controls of equal rank: random directions, the top principal directions of all rows. Each "
        "followed by nothing, centring or ReAlign, and compared with that step alone."
    ),
    rule=(
        f"{PAIRED_YES}. Differences at the study's share of 1%, or at 4 directions: removal minus none, and minus "
        f"the mean of random concepts, which must also lie beyond every draw. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_sae_and_pairs,
    options=(
        Option(
            name="along",
            default="share",
            allowed=("share", "rank"),
            help="What grows: the removed share, or the rank r of 5%.",
        ),
        Option(name="then", default="all", allowed=("all", *THENS), help="The step that follows the removal."),
        METRIC,
        *gate.OPTIONS,
    ),
    needs="an SAE and relevant pairs",
    on_sae=True,
    gate=True,
    kept=False,
)
