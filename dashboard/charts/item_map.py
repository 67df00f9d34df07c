"""The map: items as points in two dimensions."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base

MAP_COLOURS = 12
"""Kinds of points with a colour of their own on a map; the rarer ones are grey together."""


def item_map(points: pd.DataFrame, colour: str, size: int = 380) -> go.Figure:
    """Items as points: [x, y, part, row, text, modality and the column to colour by]; points can be selected."""
    figure, kinds = go.Figure(), points[colour].astype(str)
    names = list(kinds.value_counts().index)
    if len(names) > MAP_COLOURS:
        kinds = kinds.where(kinds.isin(names[:MAP_COLOURS]), "other")
        names = ["other", *(n for n in names[:MAP_COLOURS] if n != "other")]
    palette = {
        n: base.MODALITY.get(n) or (base.CONTROL if n in ("other", "") else base.SERIES[i % len(base.SERIES)])
        for i, n in enumerate(names)
    }
    for name in names:
        part = points[kinds == name]
        figure.add_scatter(
            x=part["x"],
            y=part["y"],
            name=base.text(base.MODALITY_NAMES.get(name, name) or "other"),
            mode="markers",
            marker={"color": palette[name], "size": 5, "opacity": 0.7},
            unselected_marker_opacity=0.3,
            customdata=part[["part", "row"]].astype(str),
            text=[base.text(words[:70]) for words in part["text"]],
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(clickmode="event+select")
    return base.legend_above(base.finish(figure, size))


def mark(figure: go.Figure, points: pd.DataFrame) -> go.Figure:
    """Ring some points of an item map."""
    if len(points):
        ring = {"symbol": "circle-open", "size": 15, "line_width": 3, "color": base.MINUS}
        figure.add_scatter(
            x=points["x"], y=points["y"], mode="markers", marker=ring, showlegend=False, hoverinfo="skip"
        )
    return figure
