"""Charts of exhibits, described by data: a `Drawing` says which columns are drawn and how, `draw` draws them.

A figure's rows are those of the exhibit's table: an estimate NAME, its interval NAME_low and NAME_high. The rules of
`charts/base.py` hold. Levels have a meaningful zero and are bars; differences are dots beside the line of no
difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.charts import base as charts
from dashboard.charts.exhibits import panels as charts_panels
from dashboard.charts.exhibits.panels import Axes
from dashboard.words import exhibits as words

METRIC = "metric"
"""Stands for the recall that the exhibit's option `metric` names."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a figure is drawn. `bars`, `dots`: categories top to bottom; `lines`: over a number; `steps`: a
    distribution."""

    kind: Literal["bars", "dots", "lines", "steps"]
    title: str
    """What is seen; {metric} stands for the recall chosen, {value} for the value of `apart`."""
    x: str
    """Categories of bars and dots, the axis of lines, the left edge of steps."""
    y: str = METRIC
    """Column of the lengths or heights."""
    series: str = "run"
    """One colour each."""
    panel: str | None = None
    """One panel each, below one another, for every value of the column; None: all in one."""
    apart: str | None = None
    """One figure each, for every value of the column."""
    apart_as: str = ""
    """Column whose words name the values of `apart`, if not its own."""
    where: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Rows drawn: column -> values."""
    without: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Rows left out: column -> values."""
    melt: Mapping[str, str] = field(default_factory=dict)
    """Columns that become rows: column -> name; they are drawn as `y`, their names stand in `apart`, else in
    `series`."""
    level: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Rows drawn as a dotted level instead: column -> values."""
    limits: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Dotted thresholds: value of `apart`, or "" for all figures -> where."""
    axis: str = ""
    """Title of the axis of x (lines) or of the lengths (bars, dots); {along} stands for the option of that name."""
    unit: Literal["", "percent", "points", "plain"] = ""
    """Of `y`; empty: by the column's name."""
    named: str = "{}"
    """How a category is written; {} is its name."""
    log: bool = False
    sort: bool = False
    """Largest first, within a series."""
    own: bool = False
    """Each panel has its own scale."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure, what it shows, and the rows it was drawn from."""

    title: str
    figure: go.Figure
    rows: pd.DataFrame


def draw(drawings: Sequence[Drawing], table: pd.DataFrame, options: Mapping[str, Any] | None = None) -> list[Drawn]:
    """The figures of an exhibit's table; none where the table is empty."""
    options, drawn = options or {}, []
    texts = charts.texts(table)
    for drawing in drawings if len(table) else ():
        metric = str(options.get("metric", "recall@5"))
        rows = rows_of(drawing, texts)
        for value in rows[drawing.apart].drop_duplicates() if drawing.apart else ("",):
            mine = rows[rows[drawing.apart] == value] if drawing.apart else rows
            y = metric if drawing.y == METRIC else drawing.y
            if y in mine and mine[y].notna().any():
                name = words.write(drawing.apart_as or drawing.apart or "", value)
                title = drawing.title.format(metric=words.label(metric), value=name)
                scale = rows if drawing.apart == "run" and not drawing.own else mine
                title = title if drawing.apart == "run" else title[:1].upper() + title[1:]
                figure = _figure(drawing, mine[mine[y].notna()], scale, y, value, options)
                given = table.loc[mine.index] if mine.index.isin(table.index).all() and not drawing.melt else mine
                drawn.append(Drawn(title, figure, given.dropna(axis=1, how="all")))
    return drawn


def rows_of(drawing: Drawing, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are drawn, columns of `melt` as rows with their intervals."""
    if drawing.melt:
        parts = []
        for column, name in drawing.melt.items():
            ends = {drawing.y + end: table[column + end] for end in ("", "_low", "_high") if column + end in table}
            parts.append(table.assign(**ends, **{drawing.apart or drawing.series: name, "source": column}))
        table = pd.concat(parts, ignore_index=True)
    table = table[_among(table, drawing.where)]
    for column, values in drawing.without.items():
        table = table[~table[column].isin(values)]
    return table


def _among(table: pd.DataFrame, wanted: Mapping[str, Sequence[Any]]) -> pd.Series:
    """Whether each row has one of the values in every column."""
    among = pd.Series(True, index=table.index)
    for column, values in wanted.items():
        among &= table[column].isin(list(values))
    return among


def _figure(
    drawing: Drawing, rows: pd.DataFrame, scale: pd.DataFrame, y: str, value: str, options: Mapping[str, Any]
) -> go.Figure:
    """Panels below one another; `scale`: all rows that share the figure's scale."""
    levels = rows[_among(rows, drawing.level)] if drawing.level else rows.iloc[:0]
    rows = rows.drop(levels.index)
    if drawing.sort:
        group = pd.Categorical(rows[drawing.series], categories=rows[drawing.series].drop_duplicates())
        rows = rows.assign(group=group).sort_values(["group", y], ascending=[True, False]).drop(columns="group")
    panels = list(rows[drawing.panel].drop_duplicates()) if drawing.panel else [""]
    parts = [rows[rows[drawing.panel] == panel] if drawing.panel else rows for panel in panels]
    heights = [_height(part, drawing) for part in parts]
    gap = 62 if drawing.own else 34
    total = sum(heights) + gap * (len(parts) - 1)
    several = len(panels) > 1
    titles = [words.write(str(drawing.panel), panel) for panel in panels] if several else None
    figure = make_subplots(
        rows=len(parts),
        shared_xaxes=not drawing.own,
        subplot_titles=titles,
        vertical_spacing=gap / total if several else 0,
        row_heights=heights,
    )
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    charts.finish(figure, total)
    in_legend: set[str] = set()
    for at, (panel, part) in enumerate(zip(panels, parts, strict=True), start=1):
        beside = levels[levels[drawing.panel] == panel] if drawing.panel else levels
        both = pd.concat([part, beside]) if drawing.own else scale
        _panel(figure, at, part, drawing, _axes(drawing, both, y, value), in_legend)
        for row in beside.to_dict("records"):
            column = next(iter(drawing.level))
            charts_panels.level(figure, at, row[y], words.write(column, row[column]))
        _limits(figure, at, drawing, value)
    return _finished(figure, drawing, total, several, _axis_title(drawing, value, options))


def _panel(figure: go.Figure, at: int, part: pd.DataFrame, drawing: Drawing, axes: Axes, in_legend: set[str]) -> None:
    if drawing.kind == "lines":
        charts_panels.lines(figure, at, part, axes, in_legend)
    elif drawing.kind == "steps":
        charts_panels.steps(figure, at, part, axes)
    else:
        charts_panels.marks(figure, at, part, axes, drawing.kind == "dots", in_legend)


def _limits(figure: go.Figure, at: int, drawing: Drawing, value: str) -> None:
    if drawing.kind == "lines":
        for name, (place, *_) in drawing.limits.items():
            charts_panels.level(figure, at, place, name, charts.MINUS, "bottom right")
    else:
        charts_panels.limits(figure, at, drawing.limits.get(value, ()))


def _finished(figure: go.Figure, drawing: Drawing, total: int, several: bool, axis: str) -> go.Figure:
    """Axis title below the last panel, legend above the first, room for the numbers at the right."""
    names = {trace.name for trace in figure.data if trace.showlegend is not False}
    legend = len(names) > 1 and drawing.series != drawing.panel
    top = (24 if several else 8) + (30 if legend else 0)
    last = sum(1 for _ in figure.select_xaxes())
    figure.update_xaxes(title=axis or None, row=last, col=1)
    right = charts_panels.BESIDE if drawing.kind in ("bars", "dots") else 28
    height = total + top + (58 if axis else 34)
    figure.update_layout(height=height, showlegend=legend, margin_t=top, margin_r=right)
    return charts.legend_above(figure).update_layout(legend_y=1 + (22 if several else 4) / total, legend_font_size=11)


def _axis_title(drawing: Drawing, value: str, options: Mapping[str, Any]) -> str:
    """Empty where it would speak of a threshold that this figure has not."""
    if drawing.limits and drawing.kind == "dots" and value not in drawing.limits:
        return ""
    return drawing.axis.format(along=words.ALONG.get(str(options.get("along", "share"))))


def _height(part: pd.DataFrame, drawing: Drawing) -> int:
    """Pixels a panel needs."""
    if drawing.kind in ("lines", "steps"):
        return 220 if drawing.kind == "lines" else 150
    return charts_panels.pixels(charts_panels.slots(part, drawing.x, drawing.series, drawing.named))


def _axes(drawing: Drawing, rows: pd.DataFrame, y: str, value: str) -> Axes:
    """Scale and unit. Bars and dots start at or include zero; on a log axis they do not."""
    unit = drawing.unit or words.unit(str(rows["source"].iloc[0]) if "source" in rows else y)
    unit = "percent" if value.startswith("recall@") else unit
    known = [end for name in (y, f"{y}_low", f"{y}_high") if name in rows for end in rows[name] if not isnan(end)]
    known += drawing.limits.get(value, ())
    low, high = min(known), max(known)
    if drawing.log and drawing.kind == "dots":
        ends = (low / 1.3, high * 1.3)
    else:
        if not (drawing.kind == "lines" and drawing.own and unit == "percent"):
            low, high = min(low, 0.0), max(high, 0.0)
        ends = (low - 0.04 * (high - low) * (low < 0), high + 0.04 * (high - low) * (high > 0))
    return Axes(x=drawing.x, y=y, series=drawing.series, unit=unit, range=ends, log=drawing.log, named=drawing.named)
