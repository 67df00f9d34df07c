"""Where queries lean in a pool of several modalities, and which concepts carry it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared import gate
from core.exhibits.shared.records import Exhibit, Option, Outcome, Verdict
from core.exhibits.shared.rows import each_run, joined
from core.questions import mixed_pools
from core.run import Run

ONE_MODALITY = mixed_pools.KINDS[:2]
BIAS, CARRIED, CONCEPT = "modality bias", "carried by", "concepts that carry it"


def compute(runs: Sequence[Run], variant: str = "none", listed: int = 12) -> pd.DataFrame:
    """The mean bias towards each modality under every variant; the parts of the preference for a rival under one."""
    tables = []
    for run in runs:
        bias, carried = mixed_pools.bias(run), mixed_pools.carriers(run, variant)
        concepts = carried.concepts.head(listed)
        concepts = concepts.assign(named=[f"{row.concept} {row.label}".strip() for row in concepts.itertuples()])
        parts = {
            BIAS: bias,
            CARRIED: carried.kinds.assign(variant=variant),
            CONCEPT: concepts.drop(columns=["label", "decided", "share_of_failures"]).assign(variant=variant),
        }
        table = pd.concat([part.assign(part=name) for name, part in parts.items()], ignore_index=True)
        table.attrs = {"notes": [_sizes(run, bias), _margin(run, carried, variant)]}
        tables.append((run, table))
    return joined(tables)


def _sizes(run: Run, bias: pd.DataFrame) -> str:
    nearest = int(bias["nearest"].iloc[0])
    sizes = ", ".join(f"{variant} {size:.3f}" for variant, size in bias.attrs["sizes"].items())
    chance = f"{nearest} candidates drawn at random: {bias.attrs['by_chance']:.3f}"
    return f"{run.name}: mean size of a query's bias (0-1): {sizes}; {chance}"


def _margin(run: Run, carried: mixed_pools.Carriers, variant: str) -> str:
    return (
        f"{run.name}: {carried.queries} queries miss the wanted modality under {variant}; the mean margin to the rival"
        f" is {carried.margin:+.4f}, the parts sum to it within {abs(carried.residual):.0e}"
    )


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Whether the most negative part of the preference are concepts of one modality."""
    verdicts = []
    for name, rows in each_run(table[table["part"] == CARRIED]):
        parts = rows.sort_values("term").to_dict("records")
        first, second = parts[0], parts[1]
        apart = first["term_high"] < min(second["term_low"], 0.0)
        outcome: Outcome = "not clear"
        if apart:
            outcome = "agrees" if first["carrier"] in ONE_MODALITY else "disagrees"
        why = (
            f"of the preference for an unwanted modality the {first['carrier']} carry most: mean term"
            f" {first['term']:+.4f} ({first['term_low']:+.4f} to {first['term_high']:+.4f}), then {second['carrier']}"
            f" {second['term']:+.4f} ({second['term_low']:+.4f} to {second['term_high']:+.4f})"
        )
        verdicts.append(
            Verdict(
                on=name, outcome=outcome, why=why if apart else f"{why}; the intervals overlap", n=int(first["queries"])
            )
        )
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="modality-bias",
    title="What carries modality bias",
    claim="Do concepts of one modality carry the preference for a modality that was not wanted?",
    definition=(
        "Bias of a query towards a modality: its share among the 10 nearest candidates minus its share of the pool "
        "(the set difference of Yang & Stoyanovich 2017 at one cut-off). Carried by: for each query whose wanted "
        "modality is missed, the margin between its best relevant candidate and the rival, the nearest candidate of an "
        "unwanted modality, as a sum of one term per concept, the offset and the SAE errors (docs/study.md section 4; "
        "exact), summed up over image concepts (modality score below 0.1), text concepts (above 0.9) and the others. "
        "Negative speaks for the rival."
    ),
    rule=(
        "Agrees (yes) where image or text concepts have the most negative mean term of all parts and its 95% interval "
        f"lies below 0 and below that of the next part; disagrees where another part has; else not clear. {gate.RULE}"
    ),
    compute=compute,
    judge=judge,
    group="beyond",
    check=mixed_pools.need_concepts_and_mixed_pool,
    options=(
        Option(
            name="variant",
            default="none",
            allowed=mixed_pools.VARIANTS,
            help="The variant whose preference is explained.",
        ),
        Option(name="listed", default=12, low=1, high=200, help="Concepts listed."),
        *gate.OPTIONS,
    ),
    needs="an SAE, candidates of several modalities, and relevant pairs",
    on_sae=True,
    gate=True,
    kept=False,
)
