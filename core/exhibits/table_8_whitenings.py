"""Table 8: ReAlign beside PCA and ZCA whitening."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import by_direction, of_mllm
from core.exhibits.shared.measured import of_variants
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import METRIC, gain, need_pairs
from core.exhibits.shared.tables import by_variant
from core.exhibits.shared.words import PAIRED, REALIGN, RECALL
from core.questions import retrieval
from core.run import Run

WHITENINGS = ("none", "center", "pca", "zca", "realign")


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 8: centring, PCA, ZCA, ReAlign; gain: to raw, realign_ahead: ReAlign minus the row's variant, query by
    query."""
    table = by_variant(runs, WHITENINGS, metric)
    ahead = []
    for run in runs:
        best = retrieval.evaluate(run, "realign").evaluation
        ahead += [gain(retrieval.evaluate(run, v).evaluation, best, metric, "realign_ahead") for v in WHITENINGS]
    joined = pd.concat(
        [table.drop(columns=[c for c in table if c.startswith("beyond_centring")]), pd.DataFrame(ahead)], axis=1
    )
    joined.attrs = table.attrs
    return joined


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 8: ReAlign above PCA, above ZCA."""
    rows = table[table["variant"].isin(["pca", "zca"])].to_dict("records")
    verdicts: list[Verdict] = []
    for row in rows:
        what = f"{row['metric']} of ReAlign minus {row['variant'].upper()}"
        verdicts += of_mllm(by_direction(row["run"], what, row, +1, "realign_ahead"), row["kind"])
    return tuple(verdicts)


EXHIBIT = Exhibit(
    name="table-8",
    title="Table 8",
    claim="ReAlign beats PCA and ZCA whitening.",
    definition=(
        f"{RECALL} {REALIGN} ZCA is ReAlign without shrinkage; PCA leaves out the final rotation and takes "
        "shared statistics only, so that the difference to it is also that of per-side to shared statistics "
        "(`whitening-sources` parts them)."
    ),
    rule=f"{PAIRED}. Differences: ReAlign minus PCA, ReAlign minus ZCA.",
    version=2,
    variants=WHITENINGS,
    compute=compute,
    judge=judge,
    measured=of_variants,
    check=need_pairs,
    options=(METRIC,),
    needs="relevant pairs",
    contradictions=(
        "PaliGemma2's ReAlign row on CIRR repeats its NIGHTS row (Recall@5 30.66); Table 3 has 15.48.",
        (
            "How the PCA row was fitted is not stated; fitted per side its cosines would mean nothing, so here "
            "it is shared."
        ),
    ),
)
