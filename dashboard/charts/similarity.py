"""Figures of similarity: a score as a sum of parts, attribution of concepts, recall without some concepts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base


def waterfall(labels: Sequence[str], values: Sequence[float], total: str) -> go.Figure:
    """Parts that add up to a total, top to bottom; the last bar is the sum."""
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=[*labels, total],
            x=[*values, 0],
            measure=["relative"] * len(values) + ["total"],
            text=[f"{v:+.3f}" for v in values] + [f"{sum(values):.3f}"],
            textposition="outside",
            increasing_marker_color=base.PLUS,
            decreasing_marker_color=base.MINUS,
            totals_marker_color=base.BEFORE,
            connector_line={"color": base.GRID, "width": 1},
            hovertemplate="%{y}: %{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    ends = np.concatenate([[0.0], np.cumsum(values)])
    span = float(ends.max() - ends.min()) or 1.0
    figure.update_xaxes(
        zeroline=True, zerolinecolor=base.BEFORE, nticks=5, range=[ends.min() - 0.22 * span, ends.max() + 0.22 * span]
    )
    figure.update_yaxes(autorange="reversed")
    return base.finish(figure, 60 + 27 * (len(labels) + 1))


def parts(labels: Sequence[str], values: Sequence[float], total: str, digits: int = 3) -> go.Figure:
    """A waterfall whose long labels are cut, so that the bars keep room on a phone."""
    cut = [base.text(label if len(label) <= 26 else label[:25] + "…") for label in labels]
    figure = waterfall(cut, values, total)
    ends = np.concatenate([[0.0], np.cumsum(values)])
    room = 0.34 * (float(ends.max() - ends.min()) or 1.0)
    figure.update_xaxes(range=[ends.min() - room, ends.max() + room], nticks=4)
    texts = [f"{v:+.{digits}f}" for v in values] + [f"{sum(values):.{digits}f}"]
    figure.update_traces(
        text=texts, customdata=[*map(base.text, labels), total], hovertemplate="%{customdata}: %{text}<extra></extra>"
    )
    return figure


def attribution(table: pd.DataFrame, total: float) -> go.Figure:
    """Shares of `total` attribution, largest first: [concept, label, attribution, modality_score]; coloured by
    modality."""
    names = [
        base.text(f"{k} · {label}" if label else k) for k, label in zip(table["concept"], table["label"], strict=True)
    ]
    scores = table["modality_score"].fillna(0.5)
    figure = go.Figure(
        go.Bar(
            y=names,
            x=table["attribution"] / total,
            orientation="h",
            marker_color=[base.modality_colour(s) for s in scores],
            customdata=table[["concept", "modality_score"]],
            hovertemplate="%{y}<br>%{x:.2%} of all attribution, modality score %{customdata[1]:.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="share of all attribution", tickformat=".2~%", rangemode="tozero", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return base.finish(figure, 70 + 24 * len(table))


def removal_curve(table: pd.DataFrame, metric: str = "recall@1", chosen: float | None = None) -> go.Figure:
    """Recall over the share of concepts removed, beside random ones of equal number: [share, kind, seed, metric]."""
    figure = go.Figure()
    top = table[table["kind"] == "top attribution"].sort_values("share")
    control = (
        table[table["kind"] != "top attribution"].groupby("share")[metric].agg(["min", "mean", "max"]).reset_index()
    )
    spots = {share: i for i, share in enumerate(sorted(table["share"].unique()))}
    at = control["share"].map(spots)
    if len(control):
        figure.add_scatter(
            x=[*at, *at[::-1]],
            y=[*control["max"], *control["min"][::-1]],
            mode="lines",
            fill="toself",
            fillcolor="rgba(139,149,165,0.25)",
            line_width=0,
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=at,
            y=control["mean"],
            name="random concepts, as many (mean and range over seeds)",
            mode="lines",
            line={"color": base.CONTROL, "width": 2, "dash": "dot"},
            hovertemplate="random: %{y:.1%}<extra></extra>",
        )
    figure.add_scatter(
        x=top["share"].map(spots),
        y=top[metric],
        name="top concepts by attribution",
        mode="lines+markers",
        line={"color": base.MINUS, "width": 3},
        marker_size=7,
        hovertemplate="top: %{y:.1%}<extra></extra>",
    )
    if chosen in spots:
        figure.add_vline(x=spots[chosen], line={"color": base.BEFORE, "width": 1})
    ticks = [f"{100 * share:.3g}%" for share in spots]
    figure.update_xaxes(title="share of concepts removed", tickvals=list(spots.values()), ticktext=ticks)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=6)
    return base.legend_above(base.finish(figure, 330))
