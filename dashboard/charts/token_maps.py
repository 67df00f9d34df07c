"""What patches, and kinds of tokens by layer, add to a similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base

SCALE = [[0.0, "rgba(176,58,106,0.88)"], [0.5, "rgba(128,128,128,0.04)"], [1.0, "rgba(14,124,123,0.88)"]]
"""Lowers, nothing, raises: clear in the middle, so that the picture shows through."""
NUMBERS_UP_TO = 7
"""Rows or columns of patches up to which every patch has its number written in it."""
ROLE_COLOURS = {
    "image": base.IMAGE,
    "text": base.TEXT,
    "prompt": base.OTHER,
    "template": base.BEFORE,
    "offset": "#6b7280",
}


def patches(picture: str, grid: np.ndarray, limit: float, beside: Mapping[str, np.ndarray]) -> go.Figure:
    """A picture (data URI) under its patches, coloured from -limit to limit; `beside`: what else a patch's tooltip
    names, arrays of the same shape."""
    rows, columns = grid.shape
    more = np.stack([np.asarray(values, float) for values in beside.values()], axis=-1) if beside else None
    lines = "".join(f"<br>{base.text(name)}: %{{customdata[{at}]:+.5f}}" for at, name in enumerate(beside))
    written = max(rows, columns) <= NUMBERS_UP_TO
    figure = go.Figure(
        go.Heatmap(
            z=grid,
            zmin=-limit,
            zmax=limit,
            colorscale=SCALE,
            xgap=1,
            ygap=1,
            customdata=more,
            texttemplate="%{z:+.4f}" if written else None,
            textfont={"size": 12, "color": "#fff", "weight": 700, "shadow": "0 0 2px #000, 0 0 2px #000, 0 0 3px #000"},
            colorbar={"thickness": 10, "tickformat": "+.3f", "nticks": 5, "outlinewidth": 0},
            hovertemplate="patch row %{y}, column %{x}<br>adds %{z:+.5f}" + lines + "<extra></extra>",
        )
    )
    figure.add_layout_image(
        source=picture, x=-0.5, y=-0.5, sizex=columns, sizey=rows, xref="x", yref="y", sizing="stretch", layer="below"
    )
    base.finish(figure, 300, legend=False)
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], constrain="domain")
    figure.update_yaxes(visible=False, range=[rows - 0.5, -0.5], scaleanchor="x", constrain="domain")
    return figure


def kinds(table: pd.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """DataFrame[kind, towards, value]: one bar per kind of token and candidate."""
    figure = go.Figure()
    for name, colour in zip(table["towards"].drop_duplicates(), (base.PLUS, base.MINUS), strict=False):
        rows = table[table["towards"] == name]
        figure.add_bar(
            y=[names[kind] for kind in rows["kind"]],
            x=rows["value"],
            name=base.text(name),
            orientation="h",
            marker_color=colour,
            text=[f"{value:+.3f}" for value in rows["value"]],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:+.5f}<extra></extra>",
        )
    span = float(np.abs(table["value"]).max()) or 1.0
    low, high = min(0.0, float(table["value"].min())), max(0.0, float(table["value"].max()))
    figure.update_xaxes(range=[low - 0.25 * span, high + 0.25 * span], nticks=5, zeroline=True)
    figure.update_yaxes(autorange="reversed")
    return base.legend_above(base.finish(figure, 90 + 46 * table["kind"].nunique()))


def layers(table: pd.DataFrame, names: Mapping[str, str], order: Sequence[str], axis: str) -> go.Figure:
    """DataFrame[layer, kind, share, similarity]: a line per kind of token over the layers."""
    figure = go.Figure()
    for kind in [kind for kind in order if kind in set(table["kind"])]:
        rows = table[table["kind"] == kind]
        figure.add_scatter(
            x=rows["layer"],
            y=rows["share"],
            name=names[kind],
            mode="lines+markers",
            line={"color": ROLE_COLOURS[kind], "width": 2.5},
            hovertemplate=f"layer %{{x}}, {names[kind]}: %{{y:.4f}}<extra></extra>",
        )
    figure.update_xaxes(title="layer (0: input of the decoder; the last: after the final norm)", dtick=1)
    figure.update_yaxes(title=axis, zeroline=True, zerolinecolor=base.BEFORE, nticks=6)
    return base.legend_above(base.finish(figure, 320))
