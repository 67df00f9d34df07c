"""Panels of exhibit charts: bars, dots, lines and steps, each with its intervals; numbers stand in a column beside the
marks.

A panel draws rows of one table onto one row of a figure: `at` numbers it from 1. Texts are set at the right edge of the
plot, outside of it, so that they never lie on a bar or an interval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, log10
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base as charts
from dashboard.words import exhibits as words

ROW, BETWEEN = 27, 0.45
"""Pixels per mark, and the gap between two groups of marks in rows."""
LINE = 0.15
"""Of a row: the room that a second line of a name needs above and below."""
LABEL = 26
"""Characters per line of a category."""
STEPS = (0.5, 1, 2, 5, 10, 20, 50)
"""Points between two ticks."""
BESIDE = 66
"""Pixels right of the plot: the column of numbers."""
FIXED = {
    "none": charts.BEFORE,
    "center": "#4aa3c7",
    "realign": charts.AFTER,
    "pca": "#8c6bd1",
    "zca": charts.IMAGE,
    "multimodal LLM": charts.AFTER,
    "contrastive": charts.OTHER,
    "fine-tuned retriever": charts.TEXT,
    "own embeddings": charts.BEFORE,
    "top attribution": charts.MINUS,
    "top energy": charts.TEXT,
    "top principal directions": "#7a8b2e",
    "deciding": charts.AFTER,
    "random directions": "#c2a878",
    "ReAlign": charts.AFTER,
    "similarities": charts.BEFORE,
    "applying alone": "#4aa3c7",
    "all": charts.BEFORE,
    "text": charts.TEXT,
    "image": charts.IMAGE,
    "image,text": charts.BOTH,
    "text concepts": charts.TEXT,
    "image concepts": charts.IMAGE,
    "text, shuffled": charts.BEFORE,
    "image, shuffled": "#c2a878",
}
"""Values that have one colour everywhere."""


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What the panels of a figure have in common."""

    x: str
    """Categories of bars and dots, the axis of lines."""
    y: str
    """Column of the lengths, places or heights."""
    series: str
    unit: str
    """percent, points or plain."""
    range: tuple[float, float]
    """Of `y`, 0-1 for per cent and points."""
    log: bool = False
    """Of lines the x axis, of dots the axis of `y`."""
    named: str = "{}"
    """How a category is written; {} is its name."""


Slots = dict[tuple[Hashable, Hashable], float]
"""(category, series) -> its place, downwards from 0."""


def slots(rows: pd.DataFrame, x: str, series: str, named: str = "{}") -> Slots:
    """One place per mark: marks of a category are neighbours, groups are a little apart, and names of two lines have
    room.

    What is not there takes no place.
    """
    places: Slots = {}
    at, before = 0.0, None
    single = not rows.duplicated(x).any()
    room = 0.0
    for category in rows[x].drop_duplicates():
        for value in rows.loc[rows[x] == category, series].drop_duplicates():
            group = (value if x != series else None) if single else category
            at += 0 if not places else 1 if group == before else 1 + BETWEEN
            needed = LINE * (len(_wrapped(category, x, named)) - 1) if single else 0.0
            at, room = at + (room + needed if places else 0.0), needed
            places[category, value] = at
            before = group
    return places


def pixels(places: Slots) -> int:
    """How high a panel of bars or dots must be."""
    return round(ROW * (max(places.values(), default=0) + 1))


def marks(figure: go.Figure, at: int, rows: pd.DataFrame, axes: Axes, dots: bool, in_legend: set[str]) -> None:
    """Bars or dots with intervals, one row each, and their numbers in a column."""
    places = slots(rows, axes.x, axes.series, axes.named)
    for i, value in enumerate(rows[axes.series].drop_duplicates()):
        mine, name = rows[rows[axes.series] == value], words.write(axes.series, value)
        common = {
            "x": mine[axes.y],
            "y": [places[category, value] for category in mine[axes.x]],
            "name": name,
            "error_x": _error(mine, axes.y),
            "legendgroup": name,
            "showlegend": axes.series != axes.x and name not in in_legend,
            "customdata": [f"{_category(row[axes.x], axes)}: {interval(row, axes)}" for row in mine.to_dict("records")],
            "hovertemplate": "%{customdata}<extra>" + name + "</extra>",
        }
        if dots:
            figure.add_scatter(row=at, col=1, mode="markers", marker={"color": colour(value, i), "size": 10}, **common)
        else:
            figure.add_bar(row=at, col=1, orientation="h", width=0.8, marker_color=colour(value, i), **common)
        in_legend.add(name)
    _numbers(figure, at, rows, axes, places)
    _categories(figure, at, axes, places)
    if axes.log:
        figure.update_xaxes(type="log", range=[log10(end) for end in axes.range], dtick="D2", row=at, col=1)
    else:
        figure.update_xaxes(
            range=list(axes.range),
            nticks=5,
            zeroline=dots,
            zerolinecolor=charts.BEFORE,
            zerolinewidth=1.5,
            row=at,
            col=1,
        )
        figure.update_xaxes(**ticks(axes), row=at, col=1)


def _numbers(figure: go.Figure, at: int, rows: pd.DataFrame, axes: Axes, places: Slots) -> None:
    records = rows.to_dict("records")
    texts = [f"\u2002{number(row[axes.y], axes.unit)}" for row in records]
    figure.add_scatter(
        row=at,
        col=1,
        x=[axes.range[1]] * len(records),
        y=[places[row[axes.x], row[axes.series]] for row in records],
        mode="text",
        text=texts,
        textposition="middle right",
        textfont_size=12,
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )


def _categories(figure: go.Figure, at: int, axes: Axes, places: Slots) -> None:
    """A name at the middle of each category's marks."""
    by_category: dict[Hashable, list[float]] = {}
    for (category, _), place in places.items():
        by_category.setdefault(category, []).append(place)
    middles = [(min(at) + max(at)) / 2 for at in by_category.values()]
    named = ["<br>".join(_wrapped(category, axes.x, axes.named)) for category in by_category]
    last = max(places.values())
    figure.update_yaxes(
        tickvals=middles,
        ticktext=named,
        tickfont_size=11,
        range=[last + 0.6, -0.6],
        showgrid=False,
        zeroline=False,
        row=at,
        col=1,
    )


def lines(figure: go.Figure, at: int, rows: pd.DataFrame, axes: Axes, in_legend: set[str]) -> None:
    """Lines with bands; an index of layers is spread evenly with the last one last."""
    places = {value: i for i, value in enumerate(rows[axes.x].drop_duplicates())} if axes.x == "layer" else None
    for i, value in enumerate(rows[axes.series].drop_duplicates()):
        mine, name, paint = rows[rows[axes.series] == value], words.write(axes.series, value), colour(value, i)
        x = [places[v] for v in mine[axes.x]] if places else list(mine[axes.x])
        if f"{axes.y}_low" in mine:
            figure.add_scatter(
                row=at,
                col=1,
                x=[*x, *x[::-1]],
                y=[*mine[f"{axes.y}_high"], *mine[f"{axes.y}_low"][::-1]],
                mode="lines",
                fill="toself",
                fillcolor=_pale(paint),
                line_width=0,
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            row=at,
            col=1,
            x=x,
            y=mine[axes.y],
            name=name,
            mode="lines+markers",
            line={"color": paint, "width": 2.5},
            marker_size=7,
            legendgroup=name,
            showlegend=name not in in_legend,
            text=[interval(row, axes) for row in mine.to_dict("records")],
            hovertemplate="%{x}: %{text}<extra>" + name + "</extra>",
        )
        in_legend.add(name)
    figure.update_yaxes(
        range=list(axes.range), nticks=6, zeroline=True, zerolinecolor=charts.BEFORE, zerolinewidth=1, row=at, col=1
    )
    figure.update_yaxes(**ticks(axes), row=at, col=1)
    if places:
        figure.update_xaxes(
            tickvals=list(places.values()), ticktext=[words.write("layer", v) for v in places], row=at, col=1
        )
    elif axes.log:
        values = sorted(rows[axes.x].unique())
        figure.update_xaxes(type="log", tickvals=values, ticktext=[f"{v:,g}" for v in values], row=at, col=1)
    elif axes.x.endswith("_held"):
        figure.update_xaxes(tickformat=".0%", row=at, col=1)


def steps(figure: go.Figure, at: int, rows: pd.DataFrame, axes: Axes) -> None:
    """A histogram whose bars are coloured by modality."""
    middles = ((rows["left"] + rows["right"]) / 2).to_numpy()
    figure.add_bar(
        row=at,
        col=1,
        x=middles,
        y=rows[axes.y],
        width=(rows["right"] - rows["left"]) * 0.9,
        showlegend=False,
        marker_color=[charts.modality_colour(m) for m in middles],
        hovertemplate="score %{x:.2f}: %{y:.1%} of concepts<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], ticktext=["0 image", "0.5 both", "1 text"], row=at, col=1)
    figure.update_yaxes(tickformat=".0%", range=list(axes.range), nticks=5, row=at, col=1)


def level(
    figure: go.Figure, at: int, value: float, name: str, paint: str = charts.BEFORE, side: str = "top right"
) -> None:
    """A dotted level with its name beside it."""
    line = {"color": paint, "dash": "dot", "width": 1.5}
    figure.add_hline(
        y=value,
        row=at,
        col=1,
        line=line,
        annotation_text=name,
        annotation_position=side,
        annotation_font_size=11,
        annotation_name="level",
    )


def limits(figure: go.Figure, at: int, values: Sequence[float]) -> None:
    """Dotted lines across bars or dots: thresholds of a rule."""
    for value in values:
        figure.add_vline(x=value, row=at, col=1, line={"color": charts.MINUS, "dash": "dot", "width": 1.5})


def ticks(axes: Axes) -> dict[str, object]:
    """Points are written as such: +10, not 10%."""
    if axes.unit != "points":
        return {"tickformat": ".0%" if axes.unit == "percent" else "~g"}
    low, high = (100 * end for end in axes.range)
    step = next((s for s in STEPS if (high - low) / s <= 7), STEPS[-1])
    places = [step * n for n in range(ceil(low / step), floor(high / step) + 1)]
    return {
        "tickvals": [place / 100 for place in places],
        "ticktext": [f"{p:+g}".replace("-", "−") if p else "0" for p in places],
    }


def number(value: float, unit: str) -> str:
    """As it stands beside its mark."""
    if isnan(value):
        return ""
    if unit == "points":
        return words.points(value)
    if unit == "percent":
        return f"{value:.1%}"
    return f"{value:.3f}".replace("-", "−") if abs(value) < 0.01 else f"{value:.3g}".replace("-", "−")


def interval(row: dict[str, float], axes: Axes) -> str:
    """The number with its interval."""
    text, ends = number(row[axes.y], axes.unit), [row.get(f"{axes.y}{end}", float("nan")) for end in ("_low", "_high")]
    return (
        text
        if any(map(isnan, ends))
        else f"{text} [{', '.join(number(end, axes.unit).removesuffix('%') for end in ends)}]"
    )


def colour(value: object, i: int) -> str:
    """Of a series: its own, the control's, or the next free one."""
    named = (charts.AFTER, charts.OTHER, *(c for c in charts.SERIES if c not in (charts.AFTER, charts.OTHER)))
    if str(value).startswith(("random", "mean of")) and str(value) not in FIXED:
        return charts.CONTROL
    return FIXED.get(str(value), named[i % len(named)])


def _category(value: object, axes: Axes) -> str:
    return axes.named.format(words.write(axes.x, value))


def _wrapped(category: Hashable, x: str, named: str) -> list[str]:
    return wrap(named.format(words.write(x, category)), LABEL)


def _error(rows: pd.DataFrame, y: str) -> dict[str, object] | None:
    return charts.interval_bars(rows[y], rows[f"{y}_low"], rows[f"{y}_high"]) if f"{y}_low" in rows else None


def _pale(paint: str) -> str:
    red, green, blue = (int(paint[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
