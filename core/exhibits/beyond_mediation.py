"""What share of a removal's gain, or loss, is the shift of the two means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from core.exhibits.shared import gate
from core.exhibits.shared.agreement import by_direction, cannot, percent, points
from core.exhibits.shared.records import Exhibit, Option, Verdict
from core.exhibits.shared.rows import METRIC, each_run, joined, need_sae_and_pairs
from core.exhibits.shared.words import PAIRED_YES
from core.questions import mediation
from core.run import Run

MEANS, ROWS = mediation.PARTS


def compute(runs: Sequence[Run], share: float = 0.01, metric: str = "recall@5") -> pd.DataFrame:
    """Recall with the means' part of the removed subspace taken away, the rows' own part, both or none; and the change
    of `metric` taken apart."""
    tables = [(run, mediation.mediation(run, share, metric)) for run in runs]
    whole = joined([(run, table.assign(metric=metric)) for run, table in tables])
    whole.attrs["notes"] += [
        f"{table.attrs['directions']} directions removed, attribution measured on {table.attrs['fitted_on']} pairs"
        for run, table in tables
    ]
    return whole


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether the means explain more than half of the change that the removal makes."""
    verdicts = []
    for name, rows in each_run(table):
        by_setting: dict[str, dict[str, Any]] = {row["setting"]: row for row in rows.to_dict("records")}
        removal, means = by_setting["removal"], by_setting[MEANS]
        change = f"{removal['metric']} changes by {points(removal['gain'])}"
        if pd.isna(means["of_change"]):
            verdicts.append(cannot(name, f"{change} without the top concepts: no clear change to explain"))
            continue
        what = (
            f"{change} without the top concepts, {percent(means['of_change'])} of it through the means (95% interval"
            f" {percent(means['of_change_low'])} to {percent(means['of_change_high'])}); the means' part minus the"
            " rows'"
        )
        row = means | {"queries": removal["queries"]}
        verdicts.append(by_direction(name, what, row, +1, "beyond_half"))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="mediation",
    title="What a removal does to the means",
    claim="Is a removal's change of recall the shift of the two means?",
    definition=(
        "A removed subspace V (Eqs 8-10) takes away VᵀVx = VᵀVm + VᵀV(x - m): the part of a side's mean m and each"
        " row's own, x of unit length. Means alone: only the first is taken away. Rows alone: only the second, the"
        " removal with the means put back. Through the means: the average of what taking the first changes before and"
        " after the second; the rest goes through the rows (the Shapley value, as in mediation analysis: Robins and"
        " Greenland 1992, Pearl 2001). Beside them centring, and the removal after it."
    ),
    rule=(
        f"{PAIRED_YES}. Difference: the part through the means minus that through the rows, above 0 where the means"
        " explain more than half of the change, be it a gain or a loss. Cannot be said where the change's interval"
        f" holds 0. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=need_sae_and_pairs,
    options=(
        Option(name="share", default=0.01, low=0.0001, high=0.5, help="Share of the concepts removed, 0-1."),
        METRIC,
        *gate.OPTIONS,
    ),
    needs="an SAE and relevant pairs",
    on_sae=True,
    gate=True,
    kept=False,
)
