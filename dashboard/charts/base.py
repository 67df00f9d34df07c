"""What all figures share: colours, margins, legends, intervals.

Charts are pure functions, small tables in and plotly figures out; they know no Streamlit and no core.

One meaning per colour everywhere (distinct under the common colour-vision deficiencies, readable on light and dark):
text blue, image orange, both grey-green; before grey, after teal; raises teal, lowers magenta. Backgrounds are
transparent and text takes the theme's colour. Axes start at zero where lengths are compared. No WebGL: figures are SVG
and render without a GPU.
"""

from __future__ import annotations

import re

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


def text(words: object) -> str:
    """Foreign words in a figure: plotly reads tags and entities, here they stay what they are."""
    return re.sub(r"&(?=#?\w+;)", "&amp;", str(words)).replace("<", "&lt;")


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table with every cell of text as a figure shows it."""
    columns = table.select_dtypes(include=["object", "string"])
    return table.assign(**{name: [text(v) if isinstance(v, str) else v for v in columns[name]] for name in columns})


def modality_colour(score: float) -> str:
    """Text, image or both, by modality score."""
    return TEXT if score > TEXT_FROM else IMAGE if score < IMAGE_UP_TO else BOTH


def finish(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    """Margins, colours of the theme, grid lines; a legend only where there are several marks."""
    # All at once: each update checks the whole figure again, and a page has many.
    axes = {"xaxis", "yaxis", *(name for name in figure.layout.to_plotly_json() if name[1:5] == "axis")}
    figure.update_layout(
        **{axis: {"automargin": True, "gridcolor": GRID, "zeroline": False} for axis in axes},
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
    return figure


def legend_above(figure: go.Figure) -> go.Figure:
    """Put the legend above the plot, where it takes no width."""
    place = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "itemsizing": "constant"}
    return figure.update_layout(legend=place)


def interval_bars(values: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, object]:
    """Error bars from `low` to `high`, as plotly takes them."""
    bounds = {"array": high - values, "arrayminus": values - low}
    return bounds | {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": "#5b6472"}


def end_label(figure: go.Figure, x: float, y: float, text: str) -> None:
    """Name a line at its right end."""
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, xanchor="left", xshift=8)
