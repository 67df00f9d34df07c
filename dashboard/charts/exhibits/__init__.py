"""One module per exhibit, named as the exhibit's file in `core/exhibits`: which figures show it. `draw` draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from dashboard.charts.exhibits import (
    beyond_answer,
    beyond_dictionaries,
    beyond_failures,
    beyond_fidelity,
    beyond_geometry,
    beyond_mediation,
    beyond_remedies,
    beyond_removal_controls,
    beyond_support_size,
    beyond_whitening_sources,
    figure_1_models,
    figure_2_modality,
    figure_3_energy,
    figure_4_tokens,
    figure_5_layers,
    figure_6_shrinkage,
    table_1_overlap,
    table_2_removal,
    table_3_realign,
    table_4_tuned,
    table_5_pooling,
    table_7_cost,
    table_8_whitenings,
    table_9_contrastive,
)
from dashboard.charts.exhibits.drawing import Drawing, Drawn
from dashboard.charts.exhibits.drawing import draw as draw_all

__all__ = ["CHARTS", "Drawing", "Drawn", "draw"]

CHARTS: dict[str, tuple[Drawing, ...]] = {
    "figure-1": figure_1_models.DRAWINGS,
    "figure-2": figure_2_modality.DRAWINGS,
    "figure-3": figure_3_energy.DRAWINGS,
    "figure-4": figure_4_tokens.DRAWINGS,
    "figure-5": figure_5_layers.DRAWINGS,
    "figure-6": figure_6_shrinkage.DRAWINGS,
    "table-1": table_1_overlap.DRAWINGS,
    "table-2": table_2_removal.DRAWINGS,
    "table-3": table_3_realign.DRAWINGS,
    "table-4": table_4_tuned.DRAWINGS,
    "table-5": table_5_pooling.DRAWINGS,
    "table-7": table_7_cost.DRAWINGS,
    "table-8": table_8_whitenings.DRAWINGS,
    "table-9": table_9_contrastive.DRAWINGS,
    "removal-controls": beyond_removal_controls.DRAWINGS,
    "mediation": beyond_mediation.DRAWINGS,
    "whitening-sources": beyond_whitening_sources.DRAWINGS,
    "support-size": beyond_support_size.DRAWINGS,
    "remedies": beyond_remedies.DRAWINGS,
    "failures": beyond_failures.DRAWINGS,
    "dictionaries": beyond_dictionaries.DRAWINGS,
    "sae-fidelity": beyond_fidelity.DRAWINGS,
    "geometry": beyond_geometry.DRAWINGS,
    "answer": beyond_answer.DRAWINGS,
}
"""Exhibit -> drawings; an exhibit without one shows its table only."""


def draw(name: str, table: pd.DataFrame, options: Mapping[str, Any] | None = None) -> list[Drawn]:
    """The figures of an exhibit's table; none where it has no drawing or nothing to draw."""
    return draw_all(CHARTS.get(name, ()), table, options)
