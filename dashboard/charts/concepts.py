"""Figures of one concept."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base


def activations(histogram: pd.DataFrame) -> go.Figure:
    """How strongly a concept fires, by modality: [left, right, modality, count]."""
    figure = go.Figure()
    for modality, colour in base.MODALITY.items():
        part = histogram[histogram["modality"] == modality]
        if part["count"].sum():
            figure.add_bar(
                x=(part["left"] + part["right"]) / 2,
                y=part["count"],
                width=(part["right"] - part["left"]) * 0.92,
                name=f"{base.MODALITY_NAMES[modality]} ({int(part['count'].sum()):,})",
                marker_color=colour,
                hovertemplate="activation %{x:.2f}: %{y} items<extra>" + base.MODALITY_NAMES[modality] + "</extra>",
            )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="activation")
    figure.update_yaxes(title="items", nticks=5)
    return base.legend_above(base.finish(figure, 260))
