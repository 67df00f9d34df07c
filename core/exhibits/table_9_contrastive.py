"""Table 9: what ReAlign leaves of the gap between multimodal LLMs and contrastive models."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import by_direction, cannot
from core.exhibits.shared.measured import of_variants
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import CONTRASTIVE, METRIC, named_runs, need_pairs
from core.exhibits.shared.tables import against, realigned
from core.exhibits.shared.words import NEEDS_BOTH, PAIRED, REALIGN, RECALL
from core.run import Run


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 9: every run raw and with ReAlign; gain: of a multimodal LLM, to the contrastive run on the same corpus as
    it is."""
    return against(runs, CONTRASTIVE, metric)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 9: ReAlign narrows the gap to the contrastive run as it is; what is left of it is said."""
    verdicts = []
    for row in realigned(table):
        left = f"{row['metric']}: ReAlign narrows the gap to {row['against']}, leaving {100 * row['gain']:+.1f} points"
        left += f" ({100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f}), by"
        verdicts.append(by_direction(f"{row['run']}, {row['against']}", left, row, +1, "narrowed"))
    return tuple(verdicts) or (cannot(named_runs(table), NEEDS_BOTH),)


EXHIBIT = Exhibit(
    name="table-9",
    title="Table 9",
    claim="ReAlign narrows the gap of zero-shot multimodal LLMs to contrastive baselines.",
    definition=(
        f"{RECALL} {REALIGN} The contrastive run counts as it is; what ReAlign does to it stands beside. The "
        "gap is paired."
    ),
    rule=(f"{PAIRED}. Difference: the gap to the contrastive run with ReAlign minus without; the baseline cancels."),
    version=2,
    variants=("none", "realign"),
    compute=compute,
    judge=judge,
    measured=of_variants,
    check=need_pairs,
    together=True,
    options=(METRIC,),
    needs="relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus",
    contradictions=(
        "Which CLIP and SigLIP these are is not stated.",
        "Qwen3-VL's ReAlign on CIRR is 14.94 here and 15.94 in Table 3.",
    ),
)
