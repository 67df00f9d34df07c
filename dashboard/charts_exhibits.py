"""Charts of exhibits, described by data: `CHARTS` says for each exhibit which columns are drawn and how, `draw` draws them.

A chart's rows are those of the exhibit's table: an estimate NAME, its interval NAME_low and NAME_high. The rules of `charts.py` hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard import charts
from dashboard import words_exhibits as words

GAP = 74
"""Pixels between panels: the axis of the one above and the title of the one below."""
METRIC = "metric"
"""Stands for the recall that the exhibit's option `metric` names."""
FIXED = {
    "none": charts.BEFORE, "center": "#4aa3c7", "realign": charts.AFTER, "pca": "#8c6bd1", "zca": charts.IMAGE,
    "multimodal LLM": charts.AFTER, "contrastive": charts.OTHER, "fine-tuned retriever": charts.TEXT, "own embeddings": charts.BEFORE,
    "top attribution": charts.MINUS,
    "random directions": "#c2a878", "ReAlign": charts.AFTER, "similarities": charts.BEFORE, "applying alone": "#4aa3c7",
}  # fmt: skip
"""Values that have one colour everywhere."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How an exhibit is drawn. `bars`: categories top to bottom; `lines`: over a number; `steps`: a distribution, one panel per run."""

    kind: Literal["bars", "lines", "steps"]
    title: str
    """What is seen; {metric} stands for the recall chosen."""
    x: str
    """Categories of bars, the axis of lines, the left edge of steps."""
    y: str = METRIC
    """Column of the lengths or heights."""
    series: str = "run"
    """One colour each."""
    panel: str | tuple[str, ...] | None = None
    """One panel each, below one another, for every value of the column or columns; None: all in one."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Rows drawn: column -> value or list of values."""
    melt: Mapping[str, str] = field(default_factory=dict)
    """Columns that become rows: column -> name; they are drawn as `y` and coloured as `series`."""
    axis: str = ""
    """Title of the axis of x (lines, steps) or of the lengths (bars)."""
    percent: bool = True
    log: bool = False
    overlay: bool = False
    """One bar per category, coloured by series; without it series stand side by side."""
    level: Mapping[str, Any] = field(default_factory=dict)
    """Rows drawn as a dotted level instead: column -> value."""


CHARTS: dict[str, Drawing] = {
    "figure-1": Drawing(kind="bars", title="{metric} of the raw embeddings", x="run", series="kind"),
    "figure-2": Drawing(
        kind="steps", title="Concepts by modality score", x="left", y="share_of_concepts", panel="run", axis="0 image, 1 text"
    ),
    "figure-3": Drawing(
        kind="lines", title="Concepts that hold a share of the energy", x="energy_held", y="share", axis="share of energy held"
    ),
    "figure-4": Drawing(kind="bars", title="{metric} by the tokens that are pooled", x="mask", series="variant", panel="run"),
    "figure-5": Drawing(
        kind="lines", title="{metric} by layer", x="layer", series="variant", panel="run", axis="layer (0: the input)"
    ),
    "figure-6": Drawing(
        kind="lines", title="{metric} over the shrinkage", x="beta", where={"variant": "realign"}, level={"variant": "none"},
        axis="shrinkage β (0 whitens fully, 1 only centres); dotted: raw",
    ),
    "table-1": Drawing(kind="bars", title="Overlap of the top sets", x="measures", y="overlap"),
    "table-2": Drawing(kind="bars", title="{metric} without some concepts", x="removal", series="removal", panel="run"),
    "table-3": Drawing(kind="bars", title="{metric} raw, centred and with ReAlign", x="run", series="variant"),
    "table-4": Drawing(kind="bars", title="{metric} raw and with ReAlign", x="run", series="variant"),
    "table-5": Drawing(kind="bars", title="{metric} by pooling", x="pooling", series="variant", panel="run"),
    "table-7": Drawing(
        kind="bars", title="Seconds, this machine", x="run", y="seconds", series="step", percent=False, axis="seconds (log)", log=True,
        melt={"realign_seconds": "ReAlign", "realign_apply_seconds": "applying alone", "similarity_seconds": "similarities"},
        where={"shapes": "the run's"},
    ),
    "table-8": Drawing(kind="bars", title="{metric} by whitening", x="variant", series="variant", panel="run"),
    "table-9": Drawing(kind="bars", title="{metric} raw and with ReAlign", x="run", series="variant"),
    "removal-controls": Drawing(
        kind="lines", title="{metric} by how much is removed", x="amount", series="removal", panel=("run", "then"),
        axis="% of the concepts, or directions, removed",
    ),
    "whitening-sources": Drawing(
        kind="bars", title="Change of recall@1 by each ingredient", x="label", y="gain", series="part", panel="run", overlay=True,
    ),
    "support-size": Drawing(
        kind="lines", title="Gain of recall@1 over raw", x="size", y="gain", series="variant", panel="run", log=True,
        axis="support queries (log)",
    ),
    "remedies": Drawing(
        kind="bars", title="Gain of recall@1 over raw", x="remedy", y="gain", series="remedy_kind", panel="run", overlay=True,
    ),
    "failures": Drawing(
        kind="bars", title="Failures that a concept decides", x="named", y="share_of_failures", series="run", panel="run", overlay=True,
        where={"part": "concept"},
    ),
    "dictionaries": Drawing(
        kind="bars", title="Change of recall@1 without the top 1% by attribution", x="dictionary", y="change", series="against",
        panel="run", melt={"gain": "minus no removal", "beyond_random": "minus random concepts"},
    ),
    "sae-fidelity": Drawing(
        kind="bars", title="Explained variance", x="dictionary", y="explained", series="rows", panel="run",
        melt={"explained_variance": "pooled test embeddings", "explained_in_training": "its own rows, end of training"},
    ),
    "geometry": Drawing(
        kind="bars", title="Shape before and after", x="variant", y="value", series="variant", panel=("measure", "run"), percent=False,
        where={"measure": ["modality gap", "hubness (skewness of N_10)", "d'"]},
    ),
}  # fmt: skip
"""Exhibit -> drawing; an exhibit without one shows its table only."""


def draw(name: str, table: pd.DataFrame, metric: str = "recall@5") -> tuple[str, go.Figure] | None:
    """Title and figure of an exhibit's table; None where it has no drawing or nothing to draw."""
    drawing = CHARTS.get(name)
    if drawing is None or table.empty:
        return None
    y = metric if drawing.y == METRIC else drawing.y
    rows = _where(_melted(table, drawing), drawing.where)
    if rows.empty or y not in rows:
        return None
    title = drawing.title.format(metric=words.label(metric))
    where = _panel_of(rows, drawing.panel)
    panels = list(where.drop_duplicates()) if drawing.panel else []
    several = len(panels) > 1
    parts = [rows[where == panel] for panel in panels] or [rows]
    heights = [_height(part, drawing) for part in parts]
    total = sum(heights) + GAP * (len(parts) - 1)
    figure = make_subplots(
        rows=len(parts), cols=1, shared_xaxes=drawing.kind != "bars", subplot_titles=panels if several else None,
        vertical_spacing=GAP / total if several else 0, row_heights=heights,
    )  # fmt: skip
    shown: set[str] = set()
    for i, part in enumerate(parts, start=1):
        {"bars": _bars, "lines": _lines, "steps": _steps}[drawing.kind](figure, i, part, y, drawing, shown)
        if drawing.level:
            _levels(figure, i, _where(table, drawing.level), y, drawing)
    figure.update_annotations(x=0, xanchor="left", font_size=13)
    finished = charts._legend(charts._finish(figure, total + 90))
    return title, finished.update_layout(margin_t=52, legend_y=1 + 26 / total) if several else finished


def _height(part: pd.DataFrame, drawing: Drawing) -> int:
    """Pixels a panel needs."""
    if drawing.kind != "bars":
        return 250 if drawing.kind == "lines" else 170
    single = drawing.overlay or drawing.series in (drawing.x, "kind")
    return part[drawing.x].nunique() * (34 if single else 12 + 24 * part[drawing.series].nunique())


def _bars(figure: go.Figure, row: int, part: pd.DataFrame, y: str, drawing: Drawing, shown: set[str]) -> None:
    """Horizontal bars, one group per category."""
    single = drawing.overlay or drawing.series in (drawing.x, "kind")
    for i, value in enumerate(part[drawing.series].drop_duplicates()):
        rows, name = part[part[drawing.series] == value], words.write(drawing.series, value)
        figure.add_bar(
            row=row, col=1, orientation="h", x=rows[y], y=[words.write(drawing.x, v) for v in rows[drawing.x]], name=name,
            marker_color=_colour(value, i), error_x=_error(rows, y), text=[_text(v, drawing) for v in rows[y]], textposition="inside",
            insidetextanchor="start", insidetextfont_color=_ink(_colour(value, i)), textangle=0,
            legendgroup=name, showlegend=not (single and drawing.series == drawing.x) and name not in shown,
            hovertemplate="%{y}: %{text}<extra>" + name + "</extra>",
        )  # fmt: skip
        shown.add(name)
    figure.update_layout(barmode="overlay" if single else "group", bargap=0.25, bargroupgap=0.06)
    names = list(dict.fromkeys(words.write(drawing.x, v) for v in part[drawing.x]))
    order = {"categoryorder": "array", "categoryarray": names, "range": [len(names) - 0.5, -0.5]}  # also where a bar has no length
    figure.update_yaxes(type="category", row=row, col=1, **order)
    ticks = {"type": "log", "dtick": "D2"} if drawing.log else {"rangemode": "tozero", "nticks": 6}
    figure.update_xaxes(tickformat=".0%" if drawing.percent else "~g", title=drawing.axis or None, row=row, col=1, **ticks)


def _lines(figure: go.Figure, row: int, part: pd.DataFrame, y: str, drawing: Drawing, shown: set[str]) -> None:
    """Lines with bands; an index of layers is spread evenly with the last one last."""
    places = {value: i for i, value in enumerate(part[drawing.x].drop_duplicates())} if drawing.x == "layer" else None
    for i, value in enumerate(part[drawing.series].drop_duplicates()):
        rows, name, colour = part[part[drawing.series] == value], words.write(drawing.series, value), _colour(value, i)
        x = [places[v] for v in rows[drawing.x]] if places else list(rows[drawing.x])
        if f"{y}_low" in rows:
            band = [*rows[f"{y}_high"], *rows[f"{y}_low"][::-1]]
            figure.add_scatter(
                row=row, col=1, x=[*x, *x[::-1]], y=band, mode="lines", fill="toself", fillcolor=_pale(colour), line_width=0,
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            row=row, col=1, x=x, y=rows[y], name=name, mode="lines+markers", line={"color": colour, "width": 3}, marker_size=7,
            legendgroup=name, showlegend=name not in shown, text=[_text(v, drawing) for v in rows[y]],
            hovertemplate="%{x}: %{text}<extra>" + name + "</extra>",
        )  # fmt: skip
        shown.add(name)
    if places:
        figure.update_xaxes(tickvals=list(places.values()), ticktext=[words.write("layer", v) for v in places], row=row, col=1)
    ticks = {"type": "log", "dtick": 1} if drawing.log else {"tickformat": ".1%" if drawing.x == "share" else None}
    figure.update_xaxes(title=drawing.axis or None, row=row, col=1, **ticks)
    if drawing.x.endswith("_held"):
        figure.update_xaxes(tickformat=".0%", row=row, col=1)
    figure.update_yaxes(tickformat=".0%" if drawing.percent else None, nticks=6, row=row, col=1)


def _steps(figure: go.Figure, row: int, part: pd.DataFrame, y: str, drawing: Drawing, shown: set[str]) -> None:
    """A histogram whose bars are coloured by modality."""
    middles = ((part["left"] + part["right"]) / 2).to_numpy()
    figure.add_bar(
        row=row, col=1, x=middles, y=part[y], width=(part["right"] - part["left"]) * 0.9, showlegend=False,
        marker_color=[charts.modality_colour(m) for m in middles], hovertemplate="score %{x:.2f}: %{y:.1%} of concepts<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(range=[0, 1], title=drawing.axis, row=row, col=1)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=5, row=row, col=1)


def _levels(figure: go.Figure, row: int, part: pd.DataFrame, y: str, drawing: Drawing) -> None:
    for i, value in enumerate(part[drawing.series].drop_duplicates()):
        level = float(part[part[drawing.series] == value][y].iloc[0])
        figure.add_hline(y=level, row=row, col=1, line={"color": _colour(value, i), "dash": "dot", "width": 1.5})


def _panel_of(rows: pd.DataFrame, panel: str | tuple[str, ...] | None) -> pd.Series:
    """The panel of every row, by name: "demo", or "demo, centring"."""
    columns = [panel] if isinstance(panel, str) else list(panel or ())
    named = [rows[column].map(lambda value, column=column: words.write(column, value)) for column in columns]
    return named[0].str.cat(named[1:], sep=", ") if named else pd.Series("", index=rows.index)


def _where(table: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column].isin(value if isinstance(value, list) else [value])]
    return table


def _melted(table: pd.DataFrame, drawing: Drawing) -> pd.DataFrame:
    """Columns of `melt` as rows, their intervals with them."""
    if not drawing.melt:
        return table
    parts = []
    for column, name in drawing.melt.items():
        ends = {drawing.y + end: table[column + end] for end in ("", "_low", "_high") if column + end in table}
        parts.append(table.assign(**ends, **{drawing.series: name}))
    return pd.concat(parts, ignore_index=True)


def _error(rows: pd.DataFrame, y: str) -> dict[str, object] | None:
    return charts._interval(rows[y], rows[f"{y}_low"], rows[f"{y}_high"]) if f"{y}_low" in rows else None


def _colour(value: object, i: int) -> str:
    named = (charts.AFTER, charts.OTHER, *(c for c in charts.SERIES if c not in (charts.AFTER, charts.OTHER)))
    if str(value).startswith(("random", "mean of")) and str(value) not in FIXED:
        return charts.CONTROL
    return FIXED.get(str(value), named[i % len(named)])


def _ink(colour: str) -> str:
    """Text on a bar: dark on light colours, else white."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#10151c" if 0.3 * red + 0.59 * green + 0.11 * blue > 138 else "#ffffff"


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _text(value: float, drawing: Drawing) -> str:
    if np.isnan(value):
        return ""
    return f"{value:.1%}" if drawing.percent else f"{value:.3g}"
