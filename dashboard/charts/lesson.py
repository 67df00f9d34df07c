"""Figures of the Lesson: large, few marks. The rules of `charts/base.py` hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base as charts

SHORT = 0.2
"""Share of the longest interval's end below which a bar has no room for its number on a narrow screen."""


def two_sides(table: pd.DataFrame, names: tuple[str, str]) -> go.Figure:
    """Concepts of a query to the left, of a candidate to the right: [name, query_activation, candidate_activation,
    modality_score]."""
    figure = go.Figure()
    colours = [charts.modality_colour(0.5 if s != s else s) for s in table["modality_score"]]  # noqa: PLR0124 (NaN)
    for column, name, sign in (("query_activation", names[0], -1), ("candidate_activation", names[1], 1)):
        figure.add_bar(
            x=sign * table[column],
            y=[charts.text(name) for name in table["name"]],
            orientation="h",
            marker_color=colours,
            customdata=table[column],
            hovertemplate="%{y}: %{customdata:.2f}<extra>" + name + "</extra>",
            showlegend=False,
        )
    reach = 1.08 * float(table[["query_activation", "candidate_activation"]].to_numpy().max(initial=0.1))
    figure.update_layout(barmode="relative")
    for x, anchor, text in ((-reach, "left", f"← {names[0]}"), (reach, "right", f"{names[1]} →")):
        figure.add_annotation(
            x=x, y=1.0, yref="paper", yanchor="bottom", xanchor=anchor, text=f"<b>{text}</b>", showarrow=False
        )
    ticks = np.unique(np.round(np.linspace(0, reach, 3)[1:2], 0))
    values = [*(-ticks[::-1]), 0, *ticks]
    figure.update_xaxes(
        range=[-reach, reach], tickvals=values, ticktext=[f"{abs(v):g}" for v in values], title="activation"
    )
    figure.update_yaxes(autorange="reversed")
    return charts.finish(figure, 120 + 30 * len(table)).update_layout(margin_t=34)


def settings(
    names: Sequence[str], values: Sequence[float], lows: Sequence[float], highs: Sequence[float], marked: int
) -> go.Figure:
    """Recall of several settings with intervals; the marked one in colour."""
    short = [value < SHORT * max(highs) for value in values]
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=list(names),
            orientation="h",
            marker_color=[charts.AFTER if i == marked else charts.BEFORE for i in range(len(names))],
            text=["" if s else f"{v:.1%}" for v, s in zip(values, short, strict=True)],
            textposition="inside",
            insidetextanchor="start",
            textfont={"size": 16, "color": "white"},
            error_x={
                "array": np.subtract(highs, values),
                "arrayminus": np.subtract(values, lows),
                "type": "data",
                "symmetric": False,
                "thickness": 1.5,
                "width": 4,
                "color": "#5b6472",
            },
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    for name, value, high, beside in zip(names, values, highs, short, strict=True):
        if beside:
            figure.add_annotation(
                x=high, y=name, text=f"{value:.1%}", xanchor="left", xshift=6, showarrow=False, font_size=16
            )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", nticks=5, title="Recall@1, 95% interval")
    figure.update_yaxes(autorange="reversed")
    return charts.finish(figure, 90 + 52 * len(names)).update_layout(font_size=15)
