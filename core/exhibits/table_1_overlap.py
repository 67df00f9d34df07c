"""Table 1: how far the top concepts by energy, attribution and bridge coincide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.exhibits.shared import gate, resampled
from core.exhibits.shared.agreement import cannot, direction, percent, with_detectable
from core.exhibits.shared.records import Exhibit, Option, Value, Verdict
from core.exhibits.shared.rows import (
    CONTRASTIVE,
    DICTIONARY,
    MLLM,
    head,
    named_runs,
    need_sae_and_pairs,
    other_saes,
    partner,
    sae_named,
)
from core.exhibits.shared.words import NEEDS_BOTH
from core.questions import modality
from core.questions.alternates import OWN
from core.run import Run

OVERLAP_METRICS = {
    "energy & attribution": "jaccard_energy_attribution",
    "energy & bridge": "jaccard_energy_bridge",
    "attribution & bridge": "jaccard_attribution_bridge",
    "all three": "triple_overlap",
}


ALL = "all three"
SHARES = (0.0025, 0.005, 0.01, 0.02, 0.05)
"""Sets of the specification curve."""


def compute(runs: Sequence[Run], share: float = 0.01, sets: str = ALL, dictionary: str = OWN) -> pd.DataFrame:
    """Table 1: overlap of the top share by energy, attribution and bridge (Eq 7); set_size concepts in each set.

    Intervals: standard errors by bootstrap over items (energy) and matching pairs (attribution, bridge). gain: the
    difference to the contrastive run among `runs` that has the same corpus, the two drawn independently; it has no p.
    judged: the sets whose overlap is compared; `dictionary`: whose concepts, the same name for every run.
    """
    other_sae = {run.key: None if dictionary == OWN else sae_named(run, dictionary) for run in runs}
    overlaps = {run.key: modality.overlaps(run, share, other_sae[run.key]) for run in runs}
    drawn = {run.key: resampled.drawn_overlaps(run, share, other_sae[run.key]) for run in runs}
    rows = []
    for run in runs:
        other = partner(run, runs, CONTRASTIVE)
        other = None if other is run else other
        theirs = overlaps[other.key]["overlap"] if other else None
        for i, row in enumerate(overlaps[run.key].itertuples()):
            low, high = resampled.interval(row.overlap, drawn[run.key][:, i])
            values = {
                "measures": row.measures,
                "overlap": row.overlap,
                "overlap_low": max(0.0, low),
                "overlap_high": min(1.0, high),
            }
            sizes = {
                "set_size": row.n,
                "concepts": len((other_sae[run.key] or run.need_sae()).dictionary),
                "pairs": len(run.qrels("test")),
                "judged": sets,
                "dictionary": dictionary,
            }
            apart = _apart()
            if other is not None and theirs is not None:
                apart = _apart(row.overlap, drawn[run.key][:, i], theirs.iloc[i], drawn[other.key][:, i])
            rows.append(head(run) | values | sizes | {"against": other.name if other else ""} | apart)
    table = pd.DataFrame(rows)
    table.attrs = {"notes": [f"Energy of all test items, attribution and bridge over the test pairs. {resampled.HOW}"]}
    return table


def _apart(mine: float = np.nan, drawn: Any = np.nan, theirs: float = np.nan, other: Any = np.nan) -> dict[str, float]:
    """The difference of two overlaps, with the interval of two independent draws; NaN without a partner."""
    low, high = (np.nan, np.nan) if np.isnan(mine) else resampled.interval(mine - theirs, drawn, other)
    return {"gain": mine - theirs, "gain_low": low, "gain_high": high}


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 1: the overlap of all three sets above that of the contrastive run."""
    rows = table[(table["measures"] == table["judged"]) & (table["kind"] == MLLM) & (table["against"] != "")]
    verdicts = [_overlap(row) for row in rows.to_dict("records")]
    spoken = {name for verdict in verdicts for name in verdict.on.split(", ")}
    left = table[~table["run"].isin(spoken)]
    return (*verdicts, *([cannot(named_runs(left), NEEDS_BOTH)] if len(left) else []))


def grid(runs: Sequence[Run]) -> list[dict[str, Value]]:
    """Five sizes of the sets, or the study's size with another SAE that all runs have; and which sets: all three, or
    two of them."""
    sizes: list[dict[str, Value]] = [{"share": share} for share in SHARES]
    others: list[dict[str, Value]] = [{"dictionary": name} for name in other_saes(runs)]
    return [chosen | {"sets": sets} for chosen in (*sizes, *others) for sets in OVERLAP_METRICS]


def _overlap(row: Mapping[str, Any]) -> Verdict:
    low, high = 100 * row["gain_low"], 100 * row["gain_high"]
    why = (
        f"overlap of {row['judged']} {percent(row['overlap'])}, {row['against']}'s"
        f" {percent(row['overlap'] - row['gain'])}: difference "
    )
    why += f"{100 * row['gain']:+.1f} points (95% interval {low:+.1f} to {high:+.1f}; sets of {row['set_size']})"
    outcome = direction(row["gain_low"], row["gain_high"], +1)
    verdict = Verdict(
        on=f"{row['run']}, {row['against']}",
        outcome=outcome,
        why=why,
        difference=row["gain"],
        low=row["gain_low"],
        high=row["gain_high"],
        n=int(row["set_size"]),
    )
    return with_detectable(verdict, None, f"sets of {row['set_size']} concepts on these items and pairs")


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1."""
    values = {"value": table["overlap"], "low": table["overlap_low"], "high": table["overlap_high"]}
    return pd.DataFrame(
        {"run": table["run"], "setting": "top 1%", "metric": table["measures"].map(OVERLAP_METRICS), **values}
    )


EXHIBIT = Exhibit(
    name="table-1",
    title="Table 1",
    claim="Top concepts by energy, bridging and attribution coincide more in multimodal LLMs.",
    definition=(
        "Jaccard overlap (Eq 7) of the top concepts by energy (Eq 3), attribution (Eq 6) and bridge "
        "(diagonal of Eq 5, our choice); a share x means max(1, round(x c)) of all c concepts."
    ),
    rule=(
        "Agrees where the 95% interval of the difference of the overlaps, multimodal LLM minus contrastive, "
        "lies above 0, disagrees below it, else not clear; intervals by bootstrap over items and matching "
        f"pairs of each run. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_sae_and_pairs,
    together=True,
    on_sae=True,
    gate=True,
    options=(
        Option(
            name="share",
            default=0.01,
            low=0.001,
            high=0.5,
            help="Share of all concepts in each top set; the study's is 0.01.",
        ),
        Option(
            name="sets",
            default=ALL,
            allowed=tuple(OVERLAP_METRICS),
            help="The sets whose overlap is judged; the study's claim is on all three.",
        ),
        DICTIONARY,
        *gate.OPTIONS,
    ),
    grid=grid,
    version=3,
    needs=("an SAE and relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus"),
    contradictions=("The bridge score per concept is not defined in the paper; here it is the diagonal of Eq 5.",),
)
