"""Figure 3: how few concepts hold most of the energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.retrieval import smallest_difference
from core.exhibits.shared import gate, resampled
from core.exhibits.shared.agreement import Z, cannot, direction, percent
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import CONTRASTIVE, MLLM, head, named_runs, need_sae, partner
from core.exhibits.shared.words import NEEDS_BOTH
from core.questions.concepts import table as concept_table
from core.questions.fidelity import fidelity
from core.run import Run

HELD = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Shares of energy of Figure 3."""


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Figure 3: the fewest concepts that hold 50 ... 99.9% of the energy (Eq 3).

    in_k: their number in units of K, the concepts that one item has. share_of_alive: of the concepts that fire. share:
    of all concepts, as the study prints it. apart_k: in_k minus that of the contrastive run on the same corpus,
    `against`. Intervals by bootstrap over items.
    """
    drawn = {run.key: resampled.energies(run) for run in runs}
    rows = []
    for run in runs:
        other = partner(run, runs, CONTRASTIVE)
        other = None if other is run else other
        for energy_held in HELD:
            mine = _needed(run, drawn[run.key], energy_held)
            values: dict[str, Any] = {"energy_held": energy_held, "needed": mine.needed, "k": mine.k}
            values |= _with_interval("in_k", mine.needed / mine.k, mine.drawn / mine.k)
            values |= _with_interval(
                "share_of_alive", mine.needed / max(1, mine.alive), mine.drawn / max(1, mine.alive)
            )
            values |= _with_interval("share", mine.needed / mine.concepts, mine.drawn / mine.concepts)
            values |= {"concepts": mine.concepts, "alive": mine.alive, "against": "" if other is None else other.name}
            apart = dict.fromkeys(("apart_k", "apart_k_low", "apart_k_high"), np.nan)
            if other is not None:
                their = _needed(other, drawn[other.key], energy_held)
                difference = mine.needed / mine.k - their.needed / their.k
                low, high = resampled.interval(difference, mine.drawn / mine.k, their.drawn / their.k)
                apart = {"apart_k": difference, "apart_k_low": low, "apart_k_high": high}
            rows.append(head(run) | values | apart)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": [f"Energy of the test queries and candidates, each item once. {resampled.HOW}"]}
    return table


@dataclass(frozen=True, eq=False)
class _Needed:
    needed: int
    drawn: np.ndarray
    """The same on redrawn items (draws,)."""
    k: float
    alive: int
    concepts: int


def _needed(run: Run, drawn: np.ndarray, energy_held: float) -> _Needed:
    """The fewest concepts that hold that share, and what they are counted in; K is the mean number of active concepts
    where the architecture fixes none."""
    energy = concept_table(run)["energy"].to_numpy()
    k = float(run.need_sae().k or fidelity(run).value("L0"))
    needed = int(resampled.concepts_needed(energy[None, :], energy_held)[0])
    return _Needed(needed, resampled.concepts_needed(drawn, energy_held), k, int((energy > 0).sum()), len(energy))


def _with_interval(name: str, value: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = resampled.interval(value, drawn)
    return {name: value, f"{name}_low": max(0.0, low), f"{name}_high": high}


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 3: in units of K, a multimodal LLM needs no fewer concepts for 99% of the energy than the contrastive
    run."""
    rows = table[(table["energy_held"] == 0.99) & (table["kind"] == MLLM) & (table["against"] != "")]
    verdicts = [_concentration(row) for row in rows.to_dict("records")]
    spoken = {name for verdict in verdicts for name in verdict.on.split(", ")}
    left = table[~table["run"].isin(spoken)]
    return (*verdicts, *([cannot(named_runs(left), NEEDS_BOTH)] if len(left) else []))


def _concentration(row: Mapping[str, Any]) -> Verdict:
    theirs = row["in_k"] - row["apart_k"]
    why = (
        f"{row['needed']:,} concepts hold 99% of the energy: {row['in_k']:.1f} K (95% interval {row['in_k_low']:.1f} to"
        f" {row['in_k_high']:.1f}), {percent(row['share_of_alive'])} of the {row['alive']:,} that fire;"
        f" {row['against']} needs {theirs:.1f} K: difference {row['apart_k']:+.1f} K ({row['apart_k_low']:+.1f} to"
        f" {row['apart_k_high']:+.1f})"
    )
    outcome = direction(row["apart_k_low"], row["apart_k_high"], +1)
    error = (row["apart_k_high"] - row["apart_k_low"]) / (2 * Z)
    detectable = smallest_difference(error) if outcome == "not clear" else None
    if detectable is not None:
        why += f"; the smallest difference that these items show in 4 of 5 samples: {detectable:.1f} K"
    return Verdict(
        on=f"{row['run']}, {row['against']}",
        outcome=outcome,
        why=why,
        difference=row["apart_k"],
        low=row["apart_k_low"],
        high=row["apart_k_high"],
        n=int(row["needed"]),
        detectable=detectable,
    )


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
    claim="Few concepts hold 99% of the energy in every kind of model: multimodal LLMs are no more concentrated.",
    definition=(
        "Energy (Eq 3): mean activation over all queries and candidates. The fewest concepts that together "
        "hold a share of the sum, in units of K, the concepts of one item, and as a share of the concepts that fire: "
        "a share of all of them would hang on the size of the dictionary."
    ),
    rule=(
        "Agrees where the 95% interval of the difference in units of K, multimodal LLM minus contrastive run (±1.96 "
        "bootstrap standard errors over items), lies above 0, disagrees below it, else not clear. The study's printed "
        "shares come to 35 and 52 K for Qwen3-VL and PaliGemma2, to 6 and 3 K for CLIP and SigLIP2 (K = 50). "
        f"{gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_sae,
    together=True,
    on_sae=True,
    gate=True,
    options=gate.OPTIONS,
    version=2,
    needs="an SAE; for the verdict a multimodal LLM and a contrastive run on the same corpus",
)
