"""Figure 1: multimodal LLMs beside a small contrastive model, raw embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import by_direction, cannot
from core.exhibits.shared.measured import recalls_of
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import CONTRASTIVE, METRIC, MLLM, gain, head, named_runs, need_pairs, partner, recalls
from core.exhibits.shared.words import NEEDS_BOTH, PAIRED, RECALL
from core.questions import retrieval
from core.run import Run


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Figure 1: raw recall of each run; gain: the paired difference to the contrastive run on the same corpus,
    `against`."""
    rows = []
    for run in runs:
        mine, other = retrieval.evaluate(run).evaluation, partner(run, runs, CONTRASTIVE)
        theirs = mine if other is None or other is run else retrieval.evaluate(other).evaluation
        against = "" if theirs is mine or other is None else other.name
        rows.append(head(run) | recalls(mine) | {"metric": metric, "against": against} | gain(theirs, mine, metric))
    return pd.DataFrame(rows)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 1: each multimodal LLM below the contrastive run on its corpus."""
    rows = table[(table["kind"] == MLLM) & (table["against"] != "")]
    verdicts = [
        by_direction(f"{r['run']}, {r['against']}", f"{r['metric']} of {r['model']} minus {r['against']}'s", r, -1)
        for r in rows.to_dict("records")
    ]
    return tuple(verdicts) or (cannot(named_runs(table), NEEDS_BOTH),)


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 1: raw embeddings."""
    return recalls_of(table.assign(setting="base"), "setting", {"base": "base"})


EXHIBIT = Exhibit(
    name="figure-1",
    title="Figure 1",
    claim="Zero-shot, multimodal LLMs retrieve worse than a small CLIP.",
    definition=(
        f"{RECALL} Raw embeddings of each run; the difference is taken query by query to the contrastive run "
        "on the same corpus."
    ),
    rule=f"{PAIRED}. Difference: multimodal LLM minus contrastive.",
    variants=("none",),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_pairs,
    together=True,
    options=(METRIC,),
    needs="relevant pairs; for the verdict a multimodal LLM and a contrastive run on the same corpus",
    contradictions=(
        "Chameleon's Recall@5 on CIRR is 2.7 here and 7.19 in Table 3.",
        "Table 9's CLIP and SigLIP are of a variant the paper does not state; here it is CLIP ViT-B/32.",
    ),
)
