"""Figure 3: how few concepts hold most of the energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.exhibits.shared import resampled
from core.exhibits.shared.agreement import direction, percent
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import head, need_sae
from core.questions.concepts import table as concept_table
from core.run import Run

HELD = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Shares of energy of Figure 3."""
FEW = 0.1
"""Share of all concepts that counts as few (the study prints 2.3 to 7.9%)."""


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 3: the fewest concepts that hold 50 ... 99.9% of the energy (Eq 3), as a share of all; intervals by
    bootstrap over items."""
    rows = []
    for run in runs:
        energy = concept_table(run)["energy"].to_numpy()
        drawn = resampled.energies(run)
        alive = int((energy > 0).sum())
        for held in HELD:
            needed = resampled.concepts_needed(energy[None, :], held)[0]
            low, high = resampled.interval(needed / len(energy), resampled.concepts_needed(drawn, held) / len(energy))
            shares = {"share": needed / len(energy), "share_low": max(0.0, low), "share_high": min(1.0, high)}
            sizes = {"concepts": len(energy), "alive": alive, "share_of_alive": needed / max(1, alive)}
            rows.append(head(run) | {"energy_held": held, "needed": int(needed)} | shares | sizes)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": [f"Energy of the test queries and candidates, each item once. {resampled.HOW}"]}
    return table


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 3: 99% of the energy in less than a tenth of the concepts."""
    return tuple(_few(row) for row in table[table["energy_held"] == 0.99].to_dict("records"))


def _few(row: Mapping[str, Any]) -> Verdict:
    outcome = direction(row["share_low"] - FEW, row["share_high"] - FEW, -1)
    interval = f"95% interval {100 * row['share_low']:.1f} to {100 * row['share_high']:.1f}%"
    why = (
        f"{row['needed']:,} of {row['concepts']:,} concepts hold 99% of the energy: {percent(row['share'])}"
        f" ({interval}); "
    )
    why += f"{percent(row['share_of_alive'])} of the {row['alive']:,} that fire"
    return Verdict(on=str(row["run"]), outcome=outcome, why=why, n=int(row["concepts"]))


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 3, in per cent."""
    rows = table[table["energy_held"] == 0.99]
    values = {
        name: 100 * rows[column] for name, column in (("value", "share"), ("low", "share_low"), ("high", "share_high"))
    }
    return pd.DataFrame(
        {"run": rows["run"], "setting": float("nan"), "metric": "concepts_for_99pct_energy_percent", **values}
    )


EXHIBIT = Exhibit(
    name="figure-3",
    title="Figure 3",
    claim="Few concepts hold 99% of the energy, in every kind of model.",
    definition=(
        "Energy (Eq 3): mean activation over all queries and candidates. The fewest concepts that together "
        "hold a share of the sum, as a share of all concepts of the dictionary, dead ones included."
    ),
    rule=(
        "Agrees where the 95% interval of the share that holds 99% (±1.96 bootstrap standard errors over "
        "items) lies below 10%, disagrees above it, else not clear. The threshold is ours; the study prints "
        "2.3 to 7.9%."
    ),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_sae,
    on_sae=True,
    needs="an SAE",
)
