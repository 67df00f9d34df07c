"""More small tables in, figures out: attribution of concepts and parts of a similarity. The rules of `charts.py`
hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base as charts


def attribution(table: pd.DataFrame, total: float) -> go.Figure:
    """Shares of `total` attribution, largest first: [concept, label, attribution, modality_score]; coloured by
    modality."""
    names = [f"{k} · {label}" if label else str(k) for k, label in zip(table["concept"], table["label"], strict=True)]
    scores = table["modality_score"].fillna(0.5)
    figure = go.Figure(
        go.Bar(
            y=names,
            x=table["attribution"] / total,
            orientation="h",
            marker_color=[charts.modality_colour(s) for s in scores],
            customdata=table[["concept", "modality_score"]],
            hovertemplate="%{y}<br>%{x:.2%} of all attribution, modality score %{customdata[1]:.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="share of all attribution", tickformat=".2~%", rangemode="tozero", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return charts._finish(figure, 70 + 24 * len(table))


def parts(labels: Sequence[str], values: Sequence[float], total: str, digits: int = 3) -> go.Figure:
    """A waterfall whose long labels are cut, so that the bars keep room on a phone."""
    cut = [label if len(label) <= 26 else label[:25] + "…" for label in labels]
    figure = charts.waterfall(cut, values, total)
    ends = np.concatenate([[0.0], np.cumsum(values)])
    room = 0.34 * (float(ends.max() - ends.min()) or 1.0)
    figure.update_xaxes(range=[ends.min() - room, ends.max() + room], nticks=4)
    texts = [f"{v:+.{digits}f}" for v in values] + [f"{sum(values):.{digits}f}"]
    figure.update_traces(text=texts, customdata=[*labels, total], hovertemplate="%{customdata}: %{text}<extra></extra>")
    return figure
