"""Figures of retrieval: before and after, step by step, over the shrinkage."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base


def before_after(
    table: pd.DataFrame, labels: Mapping[str, str], names: tuple[str, str] = ("before", "after")
) -> go.Figure:
    """Two values with intervals per metric: [metric, before, before_low, before_high, after, ...]."""
    figure = go.Figure()
    shown_as = (base.text(names[0]), base.text(names[1]))
    for side, colour, name in zip(("before", "after"), (base.BEFORE, base.AFTER), shown_as, strict=True):
        figure.add_bar(
            x=[labels[m] for m in table["metric"]],
            y=table[side],
            name=name,
            marker_color=colour,
            text=[f"{v:.1%}" for v in table[side]],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            error_y=base.interval_bars(table[side], table[f"{side}_low"], table[f"{side}_high"]),
            hovertemplate="%{x}: %{y:.1%}<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06)
    figure.update_yaxes(
        tickformat=".0%",
        range=[0, min(1.05, 1.12 * float(table[["before_high", "after_high"]].to_numpy().max()) + 0.01)],
    )
    return base.legend_above(base.finish(figure, 300))


def steps(table: pd.DataFrame, metric: str = "recall@1") -> go.Figure:
    """One bar with interval per variant, in order: [label, metric, metric_low, metric_high]."""
    last = len(table) - 1
    figure = go.Figure(
        go.Bar(
            y=table["label"],
            x=table[metric],
            orientation="h",
            marker_color=[base.BEFORE if i == 0 else base.AFTER for i in range(last + 1)],
            marker_opacity=[1 if i in (0, last) else 0.6 for i in range(last + 1)],
            text=[f"{v:.1%}" for v in table[metric]],
            textposition="inside",
            insidetextanchor="start",
            error_x=base.interval_bars(table[metric], table[f"{metric}_low"], table[f"{metric}_high"]),
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return base.finish(figure, 70 + 44 * len(table))


def gains(table: pd.DataFrame, chosen: str) -> go.Figure:
    """One dot with interval per remedy, the simplest on top: [remedy, gain, gain_low, gain_high]; raw is the line at
    0."""
    rows = table[table["remedy"] != "raw"]
    is_chosen = [name == chosen for name in rows["remedy"]]
    figure = go.Figure(
        go.Scatter(
            y=[base.text(name) for name in rows["remedy"]],
            x=rows["gain"],
            mode="markers",
            marker={
                "size": [11 if mine else 8 for mine in is_chosen],
                "color": base.AFTER,
                "symbol": ["circle" if mine else "circle-open" for mine in is_chosen],
                "line": {"width": 2, "color": base.AFTER},
            },
            error_x=base.interval_bars(rows["gain"], rows["gain_low"], rows["gain_high"]),
            hovertemplate="%{y}: %{x:+.1%}<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": base.BEFORE, "dash": "dot"})
    figure.update_xaxes(tickformat="+.0%", nticks=6)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return base.finish(figure, 80 + 21 * len(rows), legend=False)


def beta_sweep(table: pd.DataFrame, chosen: float | None = None, raw: float | None = None) -> go.Figure:
    """Recall over the shrinkage: [beta, recall@1, recall@1_low, recall@1_high, recall@5, recall@10]."""
    figure = go.Figure()
    figure.add_scatter(
        x=[*table["beta"], *table["beta"][::-1]],
        y=[*table["recall@1_high"], *table["recall@1_low"][::-1]],
        mode="lines",
        fill="toself",
        fillcolor="rgba(21,154,146,0.18)",
        line_width=0,
        hoverinfo="skip",
        showlegend=False,
    )
    for metric, width, opacity in (("recall@1", 3, 1.0), ("recall@5", 2, 0.6), ("recall@10", 2, 0.4)):
        figure.add_scatter(
            x=table["beta"],
            y=table[metric],
            name=metric.capitalize(),
            mode="lines+markers",
            line={"color": base.AFTER, "width": width},
            marker_size=6,
            opacity=opacity,
            hovertemplate="β %{x:g}: %{y:.1%}<extra>" + metric + "</extra>",
        )
        base.end_label(figure, table["beta"].iloc[-1], table[metric].iloc[-1], f"@{metric.split('@')[1]}")
    if raw is not None:
        figure.add_hline(y=raw, line={"color": base.BEFORE, "dash": "dot"}, annotation_text=f"raw @1 {raw:.1%}")
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": base.BEFORE, "width": 1})
    figure.update_xaxes(title="shrinkage β (0 whitens fully, 1 only centres)", range=[-0.02, 1.08])
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=6)
    return base.finish(figure, 320, legend=False)
