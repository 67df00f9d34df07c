"""Table 5: retrieval with mean, last-token, maximum and minimum pooling."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.exhibits.shared.agreement import first_is_best
from core.exhibits.shared.measured import recalls_of
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import METRIC, need_pairs
from core.exhibits.shared.tables import by_view
from core.exhibits.shared.words import FIRST_IS_BEST, RECALL
from core.run import Run

POOLINGS = 'poolings = ["mean", "last", "max", "min"]'


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Table 5: mean, last, max, min pooling; gain: to the run's first pooling."""
    return by_view(runs, "pooling", POOLINGS, metric)


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Table 5: the best other pooling below the mean; raw embeddings."""
    return first_is_best(table, "pooling", "{} pooling", "mean pooling")


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Table 5."""
    named = {"mean": "mean pooling", "last": "last token pooling", "max": "max pooling", "min": "min pooling"}
    return recalls_of(table[table["variant"] == "none"], "pooling", named)


EXHIBIT = Exhibit(
    name="table-5",
    title="Table 5",
    claim="Mean pooling is the best of four.",
    definition=(
        f"{RECALL} Mean, last token, elementwise maximum and minimum over the last layer's token states; "
        "paired differences to the run's first pooling."
    ),
    rule=FIRST_IS_BEST.format(other="pooling", first="the mean"),
    version=3,
    variants=("none", "realign"),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_pairs,
    options=(METRIC,),
    needs=f"a multimodal LLM with {POOLINGS}",
    contradictions=(
        "Qwen2-VL's Recall@1 on MSCOCO is 5.90 here and 5.60 in Table 2, both with mean pooling.",
        "The base Recall@5 on NIGHTS differs between this table and Table 3.",
    ),
)
