"""Beyond the study: recall by where the embedding is read."""

from dashboard.charts.exhibits.drawing import Drawing

DRAWINGS: tuple[Drawing, ...] = (
    Drawing(kind="bars", title="{metric} by where it is read", x="reading", series="variant", panel="run"),
)
