"""Figure 5: retrieval with each stored layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.exhibits.shared.agreement import first_is_best
from core.exhibits.shared.measured import recalls_of
from core.exhibits.shared.records import Exhibit, Verdict
from core.exhibits.shared.rows import METRIC, need_pairs
from core.exhibits.shared.tables import by_view
from core.exhibits.shared.words import FIRST_IS_BEST, RECALL
from core.run import Run

LAYERS = "layers = [-1, 1, 3, 5] (any index of hidden_states, -1 first)"
LAST_LAYER = {"Qwen2-VL-7B": 27, "PaliGemma2-3B": 25}
"""The study counts layers from 0; its last one is what -1 means here."""


def compute(runs: Sequence[Run], metric: str = "recall@5") -> pd.DataFrame:
    """Figure 5: recall of every stored layer, the last one last."""
    table = by_view(runs, "layer", LAYERS, metric)
    depth = table["layer"].where(table["layer"] >= 0, np.inf)
    return (
        table.assign(depth=depth)
        .sort_values(["variant", "depth"], kind="stable")
        .drop(columns="depth")
        .reset_index(drop=True)
    )


def judge(table: pd.DataFrame) -> tuple[Verdict, ...]:
    """Figure 5: the best other layer below the last; raw embeddings."""
    return first_is_best(table, "layer", "layer {}", "the last layer")


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 5; the last layer under the index of each model that has one."""
    raw = table[table["variant"] == "none"]
    named = {layer: f"layer {layer - 1}" for layer in raw["layer"] if layer > 0}
    last = [recalls_of(raw[raw["layer"] == -1], "layer", {-1: f"layer {index}"}) for index in set(LAST_LAYER.values())]
    return pd.concat([recalls_of(raw, "layer", named), *last], ignore_index=True).drop_duplicates(
        ["run", "setting", "metric"]
    )


EXHIBIT = Exhibit(
    name="figure-5",
    title="Figure 5",
    claim="The last layer retrieves best.",
    definition=(
        f"{RECALL} Mean-pooled hidden states of each stored layer: 0 is the input, -1 the last after the "
        "final norm. The study is taken to count layers from 0, so its layer n is n + 1 here."
    ),
    rule=FIRST_IS_BEST.format(other="layer", first="the last"),
    version=3,
    variants=("none", "realign"),
    compute=compute,
    judge=judge,
    measured=measured,
    check=need_pairs,
    options=(METRIC,),
    needs=f"a multimodal LLM with {LAYERS}",
)
