"""Small tables in, plotly figures out. Pure functions; they know no Streamlit and no core.

One meaning per colour everywhere (told apart under the common colour-vision deficiencies, readable on light and dark):
text blue, image orange, both grey-green; before grey, after teal; raises teal, lowers magenta. Backgrounds are
transparent and text takes the theme's colour. Axes start at zero where lengths are compared. No WebGL: figures are SVG
and render without a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

TEXT, IMAGE, BOTH = "#3b7dd8", "#e08a1e", "#5f9b86"
BEFORE, AFTER, CONTROL = "#8b95a5", "#159a92", "#9aa3af"
PLUS, MINUS = "#159a92", "#c4497a"
GRID = "rgba(128,128,128,0.18)"
OTHER = "#8c6bd1"
"""The run that is compared with."""
SERIES = (
    "#3b7dd8", "#e08a1e", "#159a92", "#c4497a", "#8c6bd1", "#7a8b2e", "#4aa3c7",
    "#b5651d", "#5f9b86", "#d16ba5", "#6b7280", "#a3a83a", "#2f5fa8", "#d9a441",
)  # fmt: skip
MODALITY = {"text": TEXT, "image": IMAGE, "image,text": BOTH}
MODALITY_NAMES = {"text": "text", "image": "image", "image,text": "image and text"}
MAP_COLOURS = 12
"""Kinds of points told apart on a map; the rarer ones are grey together."""
TEXT_FROM, IMAGE_UP_TO = 0.9, 0.1
"""Modality scores above and below which a concept counts as a text or an image concept."""

CONFIG = {
    "displaylogo": False,
    "displayModeBar": "hover",
    "modeBarButtons": [["toImage"]],
    "scrollZoom": False,
    "responsive": True,
}
"""Toolbar: save as picture, nothing else."""


def modality_colour(score: float) -> str:
    """Text, image or both, by modality score."""
    return TEXT if score > TEXT_FROM else IMAGE if score < IMAGE_UP_TO else BOTH


def modality_histogram(histogram: pd.DataFrame, weighted: bool, top: float | None = None) -> go.Figure:
    """Share of concepts (or, weighted, of their energy) per modality-score bin: [left, right, concepts, energy]."""
    values = histogram["energy" if weighted else "concepts"].to_numpy(float)
    shares = values / values.sum() if values.sum() else values
    middles = ((histogram["left"] + histogram["right"]) / 2).to_numpy()
    what = "energy" if weighted else "concepts"
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=shares,
            width=(histogram["right"] - histogram["left"]) * 0.9,
            marker_color=[modality_colour(m) for m in middles],
            customdata=np.column_stack([histogram["left"], histogram["right"]]),
            hovertemplate="modality score %{customdata[0]:.2f}–%{customdata[1]:.2f}<br>%{y:.1%} of "
            + what
            + "<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], ticktext=["0<br>image", "0.5<br>both", "1<br>text"])
    figure.update_yaxes(tickformat=".0%", range=[0, top] if top else None, rangemode="tozero", nticks=5)
    return _finish(figure, 260)


def cumulative_energy(curves: Mapping[str, pd.DataFrame], marks: Mapping[str, float]) -> go.Figure:
    """Share of energy in the strongest concepts, one line per run: [share_of_concepts, share_of_energy]."""
    figure, span = go.Figure(), min(1, 2.5 * max(marks.values()))
    for colour, (name, curve) in zip((AFTER, OTHER, *SERIES), curves.items(), strict=False):
        figure.add_scatter(
            x=curve["share_of_concepts"],
            y=curve["share_of_energy"],
            name=name,
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate="%{x:.1%} of concepts hold %{y:.1%} of energy<extra>" + name + "</extra>",
        )
        figure.add_scatter(
            x=[marks[name]],
            y=[0.99],
            mode="markers+text",
            marker={"color": colour, "size": 10},
            text=[f" {marks[name]:.1%}"],
            textposition="bottom right" if marks[name] < 0.5 * span else "bottom left",
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_xaxes(title="share of concepts, strongest first", tickformat=".0%", range=[0, span])
    figure.update_yaxes(title="share of energy", tickformat=".0%", range=[0, 1.03])
    return _legend(_finish(figure, 370))


def energy_by_modality(table: pd.DataFrame) -> go.Figure:
    """Each concept a point: [concept, label, energy, modality_score], energy on a log axis."""
    table = table[(table["energy"] > 0) & table["modality_score"].notna()]
    figure = go.Figure()
    kinds = np.array([modality_colour(s) for s in table["modality_score"]])
    for colour, name in ((IMAGE, "image concept"), (BOTH, "both"), (TEXT, "text concept")):
        part = table[kinds == colour]
        figure.add_scatter(
            x=part["modality_score"],
            y=part["energy"],
            name=f"{name} ({len(part):,})",
            mode="markers",
            marker={"color": colour, "size": 6, "opacity": 0.55},
            customdata=part[["concept", "label"]],
            hovertemplate=(
                "concept %{customdata[0]} · %{customdata[1]}<br>score %{x:.2f}, energy %{y:.3g}<extra></extra>"
            ),
        )
    figure.update_xaxes(title="modality score", range=[-0.03, 1.03], tickvals=[0, 0.5, 1])
    figure.update_yaxes(title="energy (log)", type="log", dtick=1, tickformat="~g")
    return _legend(_finish(figure, 340))


def overlaps(tables: Mapping[str, pd.DataFrame], reference: Mapping[str, Sequence[float]] | None = None) -> go.Figure:
    """Overlap of top sets per pair of measures: [measures, overlap]; one bar per run, and below them the study's models
    as marks."""
    measures = list(next(iter(tables.values()))["measures"])
    rows, step = np.arange(len(measures)), 0.3
    figure = go.Figure()
    for i, (colour, (name, table)) in enumerate(zip((AFTER, OTHER), tables.items(), strict=False)):
        figure.add_bar(
            x=table["overlap"],
            y=rows + step * i,
            width=0.9 * step,
            orientation="h",
            name=name,
            marker_color=colour,
            text=[f"{v:.0%}" for v in table["overlap"]],
            textposition="outside",
            cliponaxis=False,
            customdata=measures,
            hovertemplate="%{customdata}: %{x:.1%}<extra>" + name + "</extra>",
        )
    for symbol, (name, values) in zip(("circle-open", "diamond"), (reference or {}).items(), strict=False):
        figure.add_scatter(
            x=list(values),
            y=np.repeat(rows + step * (len(tables) - 0.25), len(values) // len(measures)),
            mode="markers",
            name=name,
            marker={"color": CONTROL, "size": 8, "symbol": symbol},
            hovertemplate="%{x:.1%}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(tickformat=".0%", range=[0, 1.08])
    figure.update_yaxes(
        tickvals=rows + step * (len(tables) - 1) / 2, ticktext=measures, autorange="reversed", showgrid=False
    )
    return _legend(_finish(figure, 130 + 60 * len(measures)))


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
            increasing_marker_color=PLUS,
            decreasing_marker_color=MINUS,
            totals_marker_color=BEFORE,
            connector_line={"color": GRID, "width": 1},
            hovertemplate="%{y}: %{text}<extra></extra>",
            cliponaxis=False,
        )
    )
    ends = np.concatenate([[0.0], np.cumsum(values)])
    span = float(ends.max() - ends.min()) or 1.0
    figure.update_xaxes(
        zeroline=True, zerolinecolor=BEFORE, nticks=5, range=[ends.min() - 0.22 * span, ends.max() + 0.22 * span]
    )
    figure.update_yaxes(autorange="reversed")
    return _finish(figure, 60 + 27 * (len(labels) + 1))


def before_after(
    table: pd.DataFrame, labels: Mapping[str, str], names: tuple[str, str] = ("before", "after")
) -> go.Figure:
    """Two values with intervals per metric: [metric, before, before_low, before_high, after, ...]."""
    figure = go.Figure()
    for side, colour, name in (("before", BEFORE, names[0]), ("after", AFTER, names[1])):
        figure.add_bar(
            x=[labels[m] for m in table["metric"]],
            y=table[side],
            name=name,
            marker_color=colour,
            text=[f"{v:.1%}" for v in table[side]],
            textposition="inside",
            insidetextanchor="start",
            textangle=0,
            error_y=_interval(table[side], table[f"{side}_low"], table[f"{side}_high"]),
            hovertemplate="%{x}: %{y:.1%}<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="group", bargap=0.3, bargroupgap=0.06)
    figure.update_yaxes(
        tickformat=".0%",
        range=[0, min(1.05, 1.12 * float(table[["before_high", "after_high"]].to_numpy().max()) + 0.01)],
    )
    return _legend(_finish(figure, 300))


def steps(table: pd.DataFrame, metric: str = "recall@1") -> go.Figure:
    """One bar with interval per variant, in order: [label, metric, metric_low, metric_high]."""
    last = len(table) - 1
    figure = go.Figure(
        go.Bar(
            y=table["label"],
            x=table[metric],
            orientation="h",
            marker_color=[BEFORE if i == 0 else AFTER for i in range(last + 1)],
            marker_opacity=[1 if i in (0, last) else 0.6 for i in range(last + 1)],
            text=[f"{v:.1%}" for v in table[metric]],
            textposition="inside",
            insidetextanchor="start",
            error_x=_interval(table[metric], table[f"{metric}_low"], table[f"{metric}_high"]),
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", nticks=5)
    figure.update_yaxes(autorange="reversed")
    return _finish(figure, 70 + 44 * len(table))


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
            line={"color": AFTER, "width": width},
            marker_size=6,
            opacity=opacity,
            hovertemplate="β %{x:g}: %{y:.1%}<extra>" + metric + "</extra>",
        )
        _end_label(figure, table["beta"].iloc[-1], table[metric].iloc[-1], f"@{metric.split('@')[1]}")
    if raw is not None:
        figure.add_hline(y=raw, line={"color": BEFORE, "dash": "dot"}, annotation_text=f"raw @1 {raw:.1%}")
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": BEFORE, "width": 1})
    figure.update_xaxes(title="shrinkage β (0 whitens fully, 1 only centres)", range=[-0.02, 1.08])
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=6)
    return _finish(figure, 320, legend=False)


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
            line={"color": CONTROL, "width": 2, "dash": "dot"},
            hovertemplate="random: %{y:.1%}<extra></extra>",
        )
    figure.add_scatter(
        x=top["share"].map(spots),
        y=top[metric],
        name="top concepts by attribution",
        mode="lines+markers",
        line={"color": MINUS, "width": 3},
        marker_size=7,
        hovertemplate="top: %{y:.1%}<extra></extra>",
    )
    if chosen in spots:
        figure.add_vline(x=spots[chosen], line={"color": BEFORE, "width": 1})
    ticks = [f"{100 * share:.3g}%" for share in spots]
    figure.update_xaxes(title="share of concepts removed", tickvals=list(spots.values()), ticktext=ticks)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=6)
    return _legend(_finish(figure, 330))


def item_map(points: pd.DataFrame, colour: str, size: int = 380) -> go.Figure:
    """Items as points: [x, y, part, row, text, modality and the column to colour by]; points can be selected."""
    figure, kinds = go.Figure(), points[colour].astype(str)
    names = list(kinds.value_counts().index)
    if len(names) > MAP_COLOURS:
        kinds = kinds.where(kinds.isin(names[:MAP_COLOURS]), "other")
        names = ["other", *(n for n in names[:MAP_COLOURS] if n != "other")]
    palette = {
        n: MODALITY.get(n) or (CONTROL if n in ("other", "") else SERIES[i % len(SERIES)]) for i, n in enumerate(names)
    }
    for name in names:
        part = points[kinds == name]
        figure.add_scatter(
            x=part["x"],
            y=part["y"],
            name=MODALITY_NAMES.get(name, name) or "other",
            mode="markers",
            marker={"color": palette[name], "size": 5, "opacity": 0.7},
            unselected_marker_opacity=0.3,
            customdata=part[["part", "row"]].astype(str),
            text=part["text"].str.slice(0, 70),
            hovertemplate="%{text}<extra></extra>",
        )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(clickmode="event+select")
    return _legend(_finish(figure, size))


def mark(figure: go.Figure, points: pd.DataFrame) -> go.Figure:
    """Ring some points of an item map."""
    if len(points):
        ring = {"symbol": "circle-open", "size": 15, "line_width": 3, "color": MINUS}
        figure.add_scatter(
            x=points["x"], y=points["y"], mode="markers", marker=ring, showlegend=False, hoverinfo="skip"
        )
    return figure


def activations(histogram: pd.DataFrame) -> go.Figure:
    """How strongly a concept fires, by modality: [left, right, modality, count]."""
    figure = go.Figure()
    for modality, colour in MODALITY.items():
        part = histogram[histogram["modality"] == modality]
        if part["count"].sum():
            figure.add_bar(
                x=(part["left"] + part["right"]) / 2,
                y=part["count"],
                width=(part["right"] - part["left"]) * 0.92,
                name=f"{MODALITY_NAMES[modality]} ({int(part['count'].sum()):,})",
                marker_color=colour,
                hovertemplate="activation %{x:.2f}: %{y} items<extra>" + MODALITY_NAMES[modality] + "</extra>",
            )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="activation")
    figure.update_yaxes(title="items", nticks=5)
    return _legend(_finish(figure, 260))


def rank_shift(before: Sequence[int], after: Sequence[int]) -> go.Figure:
    """Each query by the rank of its first relevant candidate before and after, both on log axes; below the line is
    better."""
    first, second = np.asarray(before, float), np.asarray(after, float)
    known = (first > 0) & (second > 0)
    first, second = first[known], second[known]
    colours = np.where(second < first, PLUS, np.where(second > first, MINUS, CONTROL))
    figure = go.Figure(
        go.Scatter(
            x=first,
            y=second,
            mode="markers",
            marker={"color": colours, "size": 5, "opacity": 0.5},
            hovertemplate="rank %{x:.0f} → %{y:.0f}<extra></extra>",
        )
    )
    top = float(max(first.max(initial=1), second.max(initial=1)))
    figure.add_shape(type="line", x0=1, y0=1, x1=top, y1=top, line={"color": BEFORE, "dash": "dot"})
    figure.update_xaxes(type="log", title="rank before", dtick=1)
    figure.update_yaxes(type="log", title="rank after", dtick=1)
    return _finish(figure, 340)


def _interval(values: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, object]:
    bounds = {"array": high - values, "arrayminus": values - low}
    return bounds | {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": "#5b6472"}


def _end_label(figure: go.Figure, x: float, y: float, text: str) -> None:
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor="left", xshift=8)


def _legend(figure: go.Figure) -> go.Figure:
    place = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "itemsizing": "constant"}
    return figure.update_layout(legend=place)


def _finish(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 4, "r": 12, "t": 12, "b": 4},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend and len(figure.data) > 1,
        hoverlabel={"align": "left"},
        dragmode=False,
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": BEFORE, "activecolor": AFTER},
        font_size=13,
    )
    figure.update_xaxes(automargin=True, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(automargin=True, gridcolor=GRID, zeroline=False)
    return figure
