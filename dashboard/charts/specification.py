"""The specification curve of a claim: one mark per setting, the choices of each setting below it.

Simonsohn, Simmons and Nelson 2020. Settings stand in the order of their number, so that the curve rises; the rows below
show which choices lie on which side.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts import base

OUTCOMES = {
    "agrees": base.PLUS,
    "disagrees": base.MINUS,
    "not clear": base.CONTROL,
    "cannot be said": base.CONTROL,
}
"""Outcome -> colour, as on the badges."""
ABOVE, ROW, GAP = 210, 19, 16
"""Pixels: the curve, one row of choices, and what is between them."""


def curve(table: pd.DataFrame, choices: Sequence[str], unit: str, reference: float = 0.0) -> go.Figure:
    """Value and interval of every setting, and its choices: [value, low, high, outcome, default, one column of texts
    per choice, and `barred`, why a setting does not count, where some do not].

    `unit`: percent or points; `reference`: where the number changes sides.
    """
    table = base.texts(table[table["value"].notna()]).sort_values("value", kind="stable").reset_index(drop=True)
    rows = [(name, value) for name in choices for value in table[name].drop_duplicates()]
    below = ROW * len(rows)
    total = ABOVE + GAP + below
    figure = make_subplots(
        rows=2, shared_xaxes=True, vertical_spacing=GAP / total, row_heights=[ABOVE / total, below / total]
    )
    hover = [
        "<br>".join([*(f"{name}: {row[name]}" for name in choices), *[row["barred"]] * bool(row.get("barred"))])
        for row in table.to_dict("records")
    ]
    for outcome, colour in OUTCOMES.items():
        mine = table[table["outcome"] == outcome]
        if len(mine):
            _marks(figure, mine, outcome, colour, [hover[i] for i in mine.index])
    default = table[table["default"]]
    figure.add_scatter(
        x=default.index, y=default["value"], row=1, col=1, name="the default", mode="markers", hoverinfo="skip",
        marker={"color": "rgba(0,0,0,0)", "size": 17, "line": {"color": base.BEFORE, "width": 2}},
    )  # fmt: skip
    _choices(figure, table, rows)
    figure.add_hline(y=reference, row=1, col=1, line={"color": base.BEFORE, "width": 1})
    base.legend_above(base.finish(figure, total + 60))
    figure.update_xaxes(showticklabels=False, showgrid=False, range=[-0.8, len(table) - 0.2])
    figure.update_yaxes(row=1, col=1, **_ticks(unit))
    names = [f"{name}: {value}" for name, value in rows]
    figure.update_yaxes(
        row=2, col=1, tickvals=list(range(len(rows))), ticktext=names, tickfont_size=11, showgrid=False,
        range=[len(rows) - 0.4, -0.6],
    )  # fmt: skip
    return figure


def _marks(figure: go.Figure, rows: pd.DataFrame, name: str, colour: str, hover: Sequence[str]) -> None:
    figure.add_scatter(
        x=rows.index,
        y=rows["value"],
        row=1,
        col=1,
        name=f"{name} ({len(rows)})",
        mode="markers",
        # Hollow: the setting counts on no side.
        marker={"color": colour, "size": 7, "symbol": "circle-open" if name == "cannot be said" else "circle"},
        error_y=base.interval_bars(rows["value"], rows["low"], rows["high"]) | {"color": colour, "width": 0},
        text=list(hover),
        hovertemplate="%{y:.1%}<br>%{text}<extra>" + name + "</extra>",
    )


def _choices(figure: go.Figure, table: pd.DataFrame, rows: Sequence[tuple[str, str]]) -> None:
    """A dot below each setting in the rows of its choices, in the colour of its outcome."""
    for at, (name, value) in enumerate(rows):
        mine = table[table[name] == value]
        figure.add_scatter(
            x=mine.index,
            y=[at] * len(mine),
            row=2,
            col=1,
            mode="markers",
            marker={"color": [OUTCOMES[outcome] for outcome in mine["outcome"]], "size": 6, "symbol": "square"},
            showlegend=False,
            hoverinfo="skip",
        )


def _ticks(unit: str) -> dict[str, object]:
    return {"tickformat": ".0%" if unit == "percent" else "+.0%", "nticks": 6, "title": None}
