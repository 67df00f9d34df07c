"""Two sides in figures: who finds what, ranks against ranks, similarities of right and wrong pairs. The rules of
`charts/base.py` hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base as charts

FIRST, SECOND = charts.AFTER, charts.OTHER
"""Colours of the two sides."""
HITS = ((0, 0, "both"), (1, 0, "only first"), (0, 1, "only second"), (1, 1, "neither"))
"""Column, row and kind of each field of the 2 x 2 table: columns are the second side's hit and miss, rows the
first's."""
BIN = 0.18
"""Width of a bin of ranks, in decades."""


def outcomes(table: pd.DataFrame, names: tuple[str, str], k: int) -> go.Figure:
    """Who has a right answer in the top k, as a 2 x 2 table: [kind, queries, share]; the disagreements in the colours
    of the sides."""
    by_kind, names = table.set_index("kind"), (charts.text(names[0]), charts.text(names[1]))
    colours = {"both": charts.CONTROL, "only first": FIRST, "only second": SECOND, "neither": charts.CONTROL}
    figure, total = go.Figure(), int(by_kind["queries"].sum())
    for x, y, kind in HITS:
        share = float(by_kind.loc[kind, "share"])
        figure.add_shape(
            type="rect",
            x0=x - 0.48,
            x1=x + 0.48,
            y0=y - 0.46,
            y1=y + 0.46,
            line_width=0,
            fillcolor=colours[kind],
            opacity=0.15 + 0.6 * share,
        )
        figure.add_annotation(
            x=x, y=y, showarrow=False, text=f"<b>{int(by_kind.loc[kind, 'queries']):,}</b><br>{share:.1%}", font_size=20
        )  # fmt: skip
    hover = [f"{kind}: {int(by_kind.loc[kind, 'queries']):,} of {total:,} queries" for _, _, kind in HITS]
    figure.add_scatter(
        x=[f[0] for f in HITS], y=[f[1] for f in HITS], mode="markers", marker={"size": 60, "opacity": 0}, text=hover,
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    grid = {"showgrid": False, "zeroline": False, "range": [-0.5, 1.5]}
    figure.update_xaxes(tickvals=[0, 1], ticktext=["right", "wrong"], title=f"{names[1]}, top {k}", side="top", **grid)
    figure.update_yaxes(
        tickvals=[0, 1], ticktext=["right", "wrong"], title=f"{names[0]}, top {k}", **grid | {"range": [1.5, -0.5]}
    )
    return charts.finish(figure, 330, legend=False).update_xaxes(showgrid=False).update_yaxes(showgrid=False)


def ranks(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> go.Figure:
    """Queries by the rank of their first right candidate on both sides, log axes; a bubble's area is how many fall
    there."""
    known = (np.asarray(first) > 0) & (np.asarray(second) > 0)
    table = binned(np.asarray(first)[known], np.asarray(second)[known])
    towards = np.sign(table["y"] - table["x"])
    colours = np.where(towards > 0, FIRST, np.where(towards < 0, SECOND, charts.CONTROL))
    figure = go.Figure(
        go.Scatter(
            x=table["x"],
            y=table["y"],
            mode="markers",
            marker={
                "color": colours, "opacity": 0.65, "line_width": 0, "size": table["queries"], "sizemode": "area",
                "sizeref": 2 * float(table["queries"].max() or 1) / 44**2 if len(table) else 1, "sizemin": 3,
            },
            customdata=table["queries"],
            hovertemplate="about rank %{x:.0f} and %{y:.0f}: %{customdata:,} queries<extra></extra>",
        )
    )  # fmt: skip
    top = float(max(table["x"].max(), table["y"].max())) if len(table) else 1.0
    figure.add_shape(type="line", x0=1, y0=1, x1=top, y1=top, line={"color": charts.BEFORE, "dash": "dot"})
    span = [-0.25, np.log10(top) + 0.25]
    figure.update_xaxes(type="log", title=f"rank, {charts.text(names[0])}", dtick=1, range=span)
    figure.update_yaxes(type="log", title=f"rank, {charts.text(names[1])}", dtick=1, range=span)
    return charts.finish(figure, 330, legend=False)


def binned(first: np.ndarray, second: np.ndarray) -> pd.DataFrame:
    """[x, y, queries]: pairs of ranks in bins of `BIN` decades, each at its geometric middle; rank 1 has a bin of its
    own."""
    at = [np.round(np.log10(np.maximum(ranks, 1)) / BIN).astype(int) for ranks in (first, second)]
    counted = pd.DataFrame({"x": at[0], "y": at[1]}).value_counts().rename("queries").reset_index()
    return counted.assign(x=10 ** (counted["x"] * BIN), y=10 ** (counted["y"] * BIN))


def similarities(table: pd.DataFrame, colour: str) -> go.Figure:
    """Cosines of matching pairs over those of all others: [left, right, positive, negative], shares of each kind."""
    figure, middle = go.Figure(), (table["left"] + table["right"]) / 2
    for column, name, tint in (("negative", "other pairs", charts.CONTROL), ("positive", "matching pairs", colour)):
        figure.add_scatter(
            x=middle,
            y=table[column],
            name=name,
            mode="lines",
            line={"color": tint, "width": 2, "shape": "spline", "smoothing": 0.4},
            fill="tozeroy",
            hovertemplate="similarity %{x:.2f}: %{y:.1%}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(title="similarity", nticks=6)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=4, title="share of pairs")
    return charts.legend_above(charts.finish(figure, 250))
