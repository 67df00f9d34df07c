"""An exhibit's numbers in the study's terms, so that they can stand beside its printed ones.

In: an exhibit's table. Out: DataFrame[run, setting, metric, value, low, high], with the settings, metrics and units of
`reported.csv`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from core.exhibits.rows import TUNED

LAST_LAYER = {"Qwen2-VL-7B": 27, "PaliGemma2-3B": 25}
"""The study counts layers from 0; its last one is what -1 means here."""
OVERLAP_METRICS = {
    "energy & attribution": "jaccard_energy_attribution",
    "energy & bridge": "jaccard_energy_bridge",
    "attribution & bridge": "jaccard_attribution_bridge",
    "all three": "triple_overlap",
}


def recalls_of(table: pd.DataFrame, column: str, settings: dict[Any, str]) -> pd.DataFrame:
    """Recalls of a table in the study's terms (per cent): DataFrame[run, setting, metric, value, low, high]."""
    rows = [
        (
            row["run"],
            settings[row[column]],
            f"recall@{k}",
            *(100 * row[f"recall@{k}{end}"] for end in ("", "_low", "_high")),
        )
        for _, row in table.iterrows()
        if row[column] in settings
        for k in (1, 5, 10)
    ]
    return pd.DataFrame(rows, columns=["run", "setting", "metric", "value", "low", "high"])


def base(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 1: raw embeddings."""
    return recalls_of(table.assign(setting="base"), "setting", {"base": "base"})


def masks(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 4."""
    named = {"all": "base", "no-image": "without image tokens", "no-prompt": "without prompt tokens"}
    return recalls_of(table[table["variant"] == "none"], "mask", named)


def layers(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 5; the last layer under the index of each model that has one."""
    raw = table[table["variant"] == "none"]
    named = {layer: f"layer {layer - 1}" for layer in raw["layer"] if layer > 0}
    last = [recalls_of(raw[raw["layer"] == -1], "layer", {-1: f"layer {index}"}) for index in set(LAST_LAYER.values())]
    return pd.concat([recalls_of(raw, "layer", named), *last], ignore_index=True).drop_duplicates(
        ["run", "setting", "metric"]
    )


def betas(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 6."""
    return recalls_of(table, "beta", {beta: f"beta={beta:g}" for beta in table["beta"].dropna()})


def poolings(table: pd.DataFrame) -> pd.DataFrame:
    """Table 5."""
    named = {"mean": "mean pooling", "last": "last token pooling", "max": "max pooling", "min": "min pooling"}
    return recalls_of(table[table["variant"] == "none"], "pooling", named)


def variants(table: pd.DataFrame) -> pd.DataFrame:
    """Tables 3, 8 and 9."""
    return recalls_of(table, "variant", {"none": "base", "realign": "realign", "pca": "pca", "zca": "zca"})


def tuned(table: pd.DataFrame) -> pd.DataFrame:
    """Table 4: fine-tuned retrievers as they are, others with ReAlign."""
    tuned, others = table[(table["kind"] == TUNED) & (table["variant"] == "none")], table[table["kind"] != TUNED]
    found = [
        recalls_of(tuned, "variant", {"none": "fine-tuned"}),
        recalls_of(others, "variant", {"realign": "realign"}),
    ]
    return pd.concat(found, ignore_index=True)


def removal(table: pd.DataFrame) -> pd.DataFrame:
    """Table 2."""
    return recalls_of(table[table["then"] == "none"], "removal", {"none": "base", "top attribution": "removal"})


def overlaps(table: pd.DataFrame) -> pd.DataFrame:
    """Table 1."""
    values = {"value": table["overlap"], "low": table["overlap_low"], "high": table["overlap_high"]}
    return pd.DataFrame(
        {"run": table["run"], "setting": "top 1%", "metric": table["measures"].map(OVERLAP_METRICS), **values}
    )


def energy(table: pd.DataFrame) -> pd.DataFrame:
    """Figure 3, in per cent."""
    rows = table[table["energy_held"] == 0.99]
    values = {
        name: 100 * rows[column] for name, column in (("value", "share"), ("low", "share_low"), ("high", "share_high"))
    }
    return pd.DataFrame(
        {"run": rows["run"], "setting": float("nan"), "metric": "concepts_for_99pct_energy_percent", **values}
    )


def cost(table: pd.DataFrame) -> pd.DataFrame:
    """Table 7, in ms and MiB; memory has no interval."""
    rows = []
    for row in table[table["shapes"] == "the run's"].to_dict("records"):
        setting = f"d={row['dimensions']}"
        for step in ("realign", "similarity"):
            seconds = [1000 * row[f"{step}_seconds{end}"] for end in ("", "_low", "_high")]
            rows.append((row["run"], setting, f"{step}_ms", *seconds))
            rows.append((row["run"], setting, f"{step}_mib", row[f"{step}_mib"], float("nan"), float("nan")))
    return pd.DataFrame(rows, columns=["run", "setting", "metric", "value", "low", "high"])
