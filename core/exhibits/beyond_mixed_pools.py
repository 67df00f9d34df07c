"""What statistics per modality do in a pool of several modalities, beside statistics per side."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import by_direction
from core.exhibits.shared.records import About, Exhibit, Verdict
from core.exhibits.shared.rows import each_run, joined
from core.exhibits.shared.words import PAIRED_YES
from core.questions import mixed_pools
from core.questions.answers import fitted
from core.run import Run

NOTED = ("center(statistics=per-modality)", "realign(statistics=per-modality)")
CLAIMED = ("centred per modality", "ReAlign per modality")
"""Settings that answer the question; the others stand beside them."""


def compute(runs: Sequence[Run]) -> pd.DataFrame:
    """Recall and misses of the wanted modality, raw and with each transform per side and per modality."""
    tables = []
    for run in runs:
        table = mixed_pools.by_wanted(run)
        table.attrs = {"notes": [f"{run.name}: {note}" for v in NOTED for note in fitted(run, v).notes]}
        tables.append((run, table))
    return joined(tables)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Each transform per modality against itself per side, and against raw, over all queries."""
    verdicts = []
    for name, rows in each_run(table[table["wanted"] == mixed_pools.ALL]):
        for row in rows[rows["beyond_per_side"].notna()].to_dict("records"):
            label, side = row["label"], mixed_pools.PER_SIDE[row["label"]]
            about: About = "claim" if label in CLAIMED else "beside"
            verdicts.append(by_direction(name, f"recall@1, {label} minus {side}", row, +1, "beyond_per_side", about))
            if label in CLAIMED:
                verdicts.append(by_direction(name, f"recall@1, {label} minus raw", row, +1, about="beside"))
                what = f"share of queries whose wanted modality is missed, raw minus {label}"
                verdicts.append(by_direction(name, what, row, +1, "fewer_missed", about="beside"))
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="mixed-pools",
    title="Pools of several modalities",
    claim="In a pool of texts, images and both, do means per modality find more than means per side?",
    definition=(
        "A query wants the modalities of its relevant candidates; the wanted one is missed where the best-ranked "
        "candidate is of another (the modality bias of MM-Embed, Lin et al. 2025; MMEB-V3, Huang et al. 2026). Per "
        "modality: mean (and covariance) of the rows of each modality, on both sides together, from the support split "
        "where there is one, or from own rows (test queries without labels, and the pool), as per side (after GR-CLIP, "
        "Li et al. 2025). Per side: one mean for all queries, one for all candidates."
    ),
    rule=f"{PAIRED_YES}. Difference: recall@1 with statistics per modality minus the same transform per side.",
    compute=compute,
    judge=judge,
    group="beyond",
    check=mixed_pools.need_mixed_pool,
    needs="candidates of several modalities, and relevant pairs",
    kept=False,
)
