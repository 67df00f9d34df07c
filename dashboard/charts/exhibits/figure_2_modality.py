"""Figure 2: concepts by modality score."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="steps", title="Share of concepts by modality score", x="left", y="share_of_concepts", panel="run"),
)
