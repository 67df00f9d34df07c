"""An exhibit's numbers in the study's terms, so that they can stand beside its printed ones.

In: an exhibit's table. Out: DataFrame[run, setting, metric, value, low, high], with the settings, metrics and units of
`reported.csv`. What only one exhibit needs stands in its own file.
"""

from __future__ import annotations

from typing import Any

import pandas as pd


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


def of_variants(table: pd.DataFrame) -> pd.DataFrame:
    """Tables 3, 8 and 9."""
    return recalls_of(table, "variant", {"none": "base", "realign": "realign", "pca": "pca", "zca": "zca"})
