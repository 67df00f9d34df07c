"""Figures of modality and energy: the distribution of modality scores, where the energy is, overlaps of top sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.charts import base


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
            marker_color=[base.modality_colour(m) for m in middles],
            customdata=np.column_stack([histogram["left"], histogram["right"]]),
            hovertemplate="modality score %{customdata[0]:.2f}–%{customdata[1]:.2f}<br>%{y:.1%} of "
            + what
            + "<extra></extra>",
        )
    )
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], ticktext=["0<br>image", "0.5<br>both", "1<br>text"])
    figure.update_yaxes(tickformat=".0%", range=[0, top] if top else None, rangemode="tozero", nticks=5)
    return base.finish(figure, 260)


MOST_POINTS = 4000
"""Concepts drawn as points: half of them the strongest, the others every so many-th of the rest by energy."""


def drawn_rows(n: int) -> np.ndarray:
    """Which of n rows, the strongest first, are drawn: all of them up to `MOST_POINTS`."""
    half = MOST_POINTS // 2
    if n <= MOST_POINTS:
        return np.arange(n)
    return np.concatenate([np.arange(half), np.linspace(half, n - 1, MOST_POINTS - half).round().astype(int)])


def energy_by_modality(table: pd.DataFrame) -> go.Figure:
    """Each concept a point: [concept, label, energy, modality_score], the strongest first, energy on a log axis; of
    very many those of `drawn_rows`."""
    table = table[(table["energy"] > 0) & table["modality_score"].notna()]
    figure = go.Figure()
    kinds = np.array([base.modality_colour(s) for s in table["modality_score"]])
    drawn = np.isin(np.arange(len(table)), drawn_rows(len(table)))
    for colour, name in ((base.IMAGE, "image concept"), (base.BOTH, "both"), (base.TEXT, "text concept")):
        part, every = table[(kinds == colour) & drawn], int((kinds == colour).sum())
        figure.add_scatter(
            x=part["modality_score"],
            y=part["energy"],
            name=f"{name} ({every:,})",
            mode="markers",
            marker={"color": colour, "size": 6, "opacity": 0.55},
            customdata=base.texts(part[["concept", "label"]]),
            hovertemplate=(
                "concept %{customdata[0]} · %{customdata[1]}<br>score %{x:.2f}, energy %{y:.3g}<extra></extra>"
            ),
        )
    figure.update_xaxes(title="modality score", range=[-0.03, 1.03], tickvals=[0, 0.5, 1])
    figure.update_yaxes(title="energy (log)", type="log", dtick=1, tickformat="~g")
    return base.legend_above(base.finish(figure, 340))


def cumulative_energy(curves: Mapping[str, pd.DataFrame], marks: Mapping[str, float]) -> go.Figure:
    """Share of energy in the strongest concepts, one line per run: [share_of_concepts, share_of_energy]."""
    figure, span = go.Figure(), min(1, 2.5 * max(marks.values()))
    for colour, (name, curve) in zip((base.AFTER, base.OTHER, *base.SERIES), curves.items(), strict=False):
        figure.add_scatter(
            x=curve["share_of_concepts"],
            y=curve["share_of_energy"],
            name=base.text(name),
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate="%{x:.1%} of concepts hold %{y:.1%} of energy<extra>" + base.text(name) + "</extra>",
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
    return base.legend_above(base.finish(figure, 370))


def overlaps(tables: Mapping[str, pd.DataFrame], reference: Mapping[str, Sequence[float]] | None = None) -> go.Figure:
    """Overlap of top sets per pair of measures: [measures, overlap]; one bar per run, and below them the study's models
    as marks."""
    measures = list(next(iter(tables.values()))["measures"])
    rows, step = np.arange(len(measures)), 0.3
    figure = go.Figure()
    for i, (colour, (name, table)) in enumerate(zip((base.AFTER, base.OTHER), tables.items(), strict=False)):
        figure.add_bar(
            x=table["overlap"],
            y=rows + step * i,
            width=0.9 * step,
            orientation="h",
            name=base.text(name),
            marker_color=colour,
            text=[f"{v:.0%}" for v in table["overlap"]],
            textposition="outside",
            cliponaxis=False,
            customdata=measures,
            hovertemplate="%{customdata}: %{x:.1%}<extra>" + base.text(name) + "</extra>",
        )
    for symbol, (name, values) in zip(("circle-open", "diamond"), (reference or {}).items(), strict=False):
        figure.add_scatter(
            x=list(values),
            y=np.repeat(rows + step * (len(tables) - 0.25), len(values) // len(measures)),
            mode="markers",
            name=name,
            marker={"color": base.CONTROL, "size": 8, "symbol": symbol},
            hovertemplate="%{x:.1%}<extra>" + name + "</extra>",
        )
    figure.update_xaxes(tickformat=".0%", range=[0, 1.08])
    figure.update_yaxes(
        tickvals=rows + step * (len(tables) - 1) / 2, ticktext=measures, autorange="reversed", showgrid=False
    )
    return base.legend_above(base.finish(figure, 130 + 60 * len(measures)))
